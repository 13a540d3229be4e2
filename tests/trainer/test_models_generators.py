"""What every generator promises, and what the switches of each change."""

import io
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema_core.errors import InvalidInputError
from kinema_trainer.models.attention_unet import AttentionUNetConfig, Doubling
from kinema_trainer.models.color_network import ColorNetwork, count_parameters
from kinema_trainer.models.lite0_unet import Lite0UNetConfig
from kinema_trainer.models.pix2pix_unet import Pix2PixUNet, Pix2PixUNetConfig
from kinema_trainer.models.residual_unet import ResidualUNetConfig
from kinema_trainer.models.self_attention import SelfAttention

Config = Lite0UNetConfig | ResidualUNetConfig | Pix2PixUNetConfig | AttentionUNetConfig

TINY: dict[str, Config] = {
    "lite0": Lite0UNetConfig(channels=(16, 16, 16, 8, 8), num_blocks=(1, 1, 1, 1, 1)),
    "residual": ResidualUNetConfig(channels=(8, 16, 16), dropout=0),
    "plain": ResidualUNetConfig(channels=(8, 16, 16), dropout=0, is_residual=False),
    "residual with instance norms": ResidualUNetConfig(channels=(8, 16, 16), dropout=0, norm="instance"),
    "residual with attention": ResidualUNetConfig(channels=(8, 16, 16), dropout=0, has_self_attention=True),
    "pix2pix": Pix2PixUNetConfig(channels=(8, 16, 16, 16, 16), dropout=0),
    "attention": AttentionUNetConfig(channels=(16, 16, 8, 8)),
    "attention without": AttentionUNetConfig(channels=(16, 16, 8, 8), has_self_attention=False),
}
every_network = pytest.mark.parametrize("config", TINY.values(), ids=TINY)


def built(config: Config) -> ColorNetwork:
    torch.manual_seed(0)
    return config.build()


def lightness(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 100


def wake(network: nn.Module) -> None:
    """Let all that starts at zero on purpose take part: heads, self-attention, norms of residual branches."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.uniform_(parameter, 0.1, 0.3)


@every_network
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 2), (1, 5)])
def test_every_multiple_of_the_size_gives_ab_at_the_stated_stride(config: Config, rows: int, columns: int) -> None:
    network = built(config).eval()
    height, width = rows * network.size_multiple, columns * network.size_multiple

    with torch.no_grad():
        ab = network(lightness(2, 1, height, width))

    assert ab.shape == (2, 2, height // network.output_stride, width // network.output_stride)
    assert ab.isfinite().all()


@every_network
def test_every_network_takes_the_multiples_of_32(config: Config) -> None:
    network = built(config)

    assert 32 % network.size_multiple == 0


@every_network
def test_a_network_learns_one_batch(config: Config) -> None:
    network = built(config).train()
    inputs = lightness(2, 1, 64, 64)
    side = 64 // network.output_stride
    target = F.interpolate((inputs - 50)[:, :, ::16, ::16], size=side).repeat(1, 2, 1, 1) / 2
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)

    losses = []
    for _ in range(15):
        loss = F.l1_loss(network(inputs), target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        optimizer.step()
        losses.append(loss.item())

    assert min(losses[-3:]) < 0.85 * losses[0]


@every_network
def test_every_parameter_takes_part(config: Config) -> None:
    network = built(config).train()
    wake(network)

    network(lightness(2, 1, 64, 64)).square().mean().backward()

    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


@every_network
def test_every_batch_norm_stands_right_behind_its_convolution(config: Config) -> None:
    """The export folds norms by that order."""
    network = built(config)

    misplaced = []
    for module in network.modules():
        children = list(module.children())
        for before, child in zip([None, *children], children, strict=False):
            if isinstance(child, nn.BatchNorm2d) and not (
                isinstance(before, nn.Conv2d | nn.ConvTranspose2d) and before.out_channels == child.num_features
            ):
                misplaced.append(module)

    assert misplaced == []


@every_network
def test_onnx_gives_what_torch_gives_at_every_size(config: Config) -> None:
    network = built(config).train()
    wake(network)
    network(lightness(4, 1, 64, 64))  # norms with statistics of their own
    network.eval()
    buffer: Any = io.BytesIO()
    with pytest.warns((DeprecationWarning, UserWarning)):  # the tracing exporter says that it is old
        torch.onnx.export(
            network, (torch.zeros(1, 1, 64, 64),), buffer, dynamo=False, opset_version=18,
            input_names=["lightness"], output_names=["ab"],
            dynamic_axes={"lightness": {0: "b", 2: "h", 3: "w"}, "ab": {0: "b", 2: "h2", 3: "w2"}},
        )  # fmt: skip
    session = onnxruntime.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])

    differences = []
    for shape in ((1, 1, 64, 64), (2, 1, 32, 96)):
        inputs = lightness(*shape)
        with torch.no_grad():
            expected = network(inputs).numpy()
        differences.append(np.abs(session.run(["ab"], {"lightness": inputs.numpy()})[0] - expected).max())

    assert max(differences) < 1e-2  # Lab units, of up to 110; float32 sums in another order


@every_network
def test_a_description_counts_what_is_there(config: Config) -> None:
    network = built(config).train()

    small, large = network.describe(32), network.describe(64)

    assert large.num_parameters == count_parameters(network)
    assert large.gflops > 3.9 * small.gflops > 0  # four times the pixels, and attention grows faster
    assert network.training


@pytest.mark.parametrize("config", [TINY["residual"], TINY["pix2pix"]], ids=["residual", "pix2pix"])
def test_tanh_keeps_ab_within_110(config: Config) -> None:
    network = built(config).eval()
    for parameter in network.get_submodule("head").parameters():
        nn.init.constant_(parameter, 1e3)

    with torch.no_grad():
        ab = network(lightness(1, 1, 64, 64))

    assert ab.abs().max() <= 110


def test_plain_blocks_are_the_residual_ones_without_their_shortcuts() -> None:
    residual, plain = built(TINY["residual"]), built(TINY["plain"])

    shortcuts = {name for name in residual.state_dict() if ".shortcut." in name}

    assert shortcuts
    assert set(residual.state_dict()) - shortcuts == set(plain.state_dict())


def test_a_residual_block_passes_its_input_where_a_plain_one_cannot() -> None:
    """With its two convolutions at zero, only the shortcut is left."""
    spreads = []
    for name in ("residual", "plain"):
        block = built(TINY[name]).get_submodule("encoder.0")
        for convolution in ("conv1", "conv2"):
            nn.init.zeros_(block.get_parameter(f"{convolution}.weight"))
        with torch.no_grad():
            spreads.append(block(lightness(1, 1, 8, 8)).std().item())

    assert spreads[0] > 0
    assert spreads[1] == 0


@pytest.mark.parametrize(("norm", "depends"), [("batch", True), ("instance", False)])
def test_only_batch_norm_lets_pictures_of_a_batch_see_each_other(norm: str, depends: bool) -> None:
    network = built(TINY["residual" if norm == "batch" else "residual with instance norms"]).train()
    one, other = lightness(2, 1, 32, 32).chunk(2)

    with torch.no_grad():
        alone = network(torch.cat((one, one)))[0]
        together = network(torch.cat((one, other)))[0]

    assert torch.allclose(alone, together, atol=1e-4) != depends


def test_dropout_acts_in_training_only() -> None:
    network = built(ResidualUNetConfig(channels=(8, 16, 16), dropout=0.5, norm="instance"))
    inputs = lightness(1, 1, 32, 32)

    with torch.no_grad():
        trained = [network.train()(inputs) for _ in range(2)]
        evaluated = [network.eval()(inputs) for _ in range(2)]

    assert not torch.equal(*trained)
    assert torch.equal(*evaluated)


@pytest.mark.parametrize(("name", "reaches"), [("residual", False), ("residual with attention", True)])
def test_only_attention_lets_one_corner_see_the_other(name: str, reaches: bool) -> None:
    network = built(TINY[name]).double().eval()
    wake(network)
    inputs = lightness(1, 1, 128, 128).double().requires_grad_()

    (gradient,) = torch.autograd.grad(network(inputs)[0, :, 0, 0].sum(), inputs)

    assert bool(gradient[..., -8:, -8:].any()) == reaches


def test_attention_starts_as_an_identity() -> None:
    torch.manual_seed(0)
    block = SelfAttention(16)
    x = torch.randn(2, 16, 4, 6)

    y = block(x)

    assert torch.equal(y, x)


def test_attention_agrees_with_torchs_own() -> None:
    torch.manual_seed(0)
    block = SelfAttention(16).double()
    nn.init.constant_(block.gamma, 0.7)
    x = torch.randn(2, 16, 4, 6, dtype=torch.float64)

    y = block(x)

    query = block.query(x).flatten(2).mT
    key, value = (F.max_pool2d(layer(x), 2).flatten(2).mT for layer in (block.key, block.value))
    found = F.scaled_dot_product_attention(query, key, value, scale=1.0).mT.reshape(2, 8, 4, 6)
    assert torch.allclose(y, x + 0.7 * block.out(found), atol=1e-12)


def test_doubling_starts_without_a_checkerboard() -> None:
    torch.manual_seed(0)
    double = Doubling(8, 4).train()

    out = double(torch.randn(2, 8, 5, 6))

    assert out.shape == (2, 4, 10, 12)
    assert torch.equal(out, F.interpolate(out[..., ::2, ::2], scale_factor=2, mode="nearest"))


def test_pix2pix_has_the_parameters_of_the_authors_code() -> None:
    """Theirs, three channels to three, has 54,413,955; one of input takes 64 x 16, one of output 128 x 16 + 1."""
    with torch.device("meta"):
        network = Pix2PixUNet()

    assert count_parameters(network) == 54_413_955 - 2 * 64 * 16 - (128 * 16 + 1)


def test_pix2pix_trains_on_one_picture_whose_bottleneck_is_one_pixel() -> None:
    network = built(TINY["pix2pix"]).train()

    ab = network(lightness(1, 1, 32, 32))

    assert ab.isfinite().all()


def test_only_the_stated_number_of_pix2pix_layers_drops_out() -> None:
    network = built(Pix2PixUNetConfig(channels=(8, 8, 8, 8, 8), dropout=0.5, num_dropout_layers=2))

    rates = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]

    assert rates == [0.5, 0.5, 0, 0]


def test_the_pretrained_part_of_the_attention_network_is_its_encoder() -> None:
    network = built(TINY["attention"])
    before = {name: p.clone() for name, p in network.named_parameters()}

    network.load_pretrained_weights()

    changed = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name in before if name.startswith("encoder.")}
    assert len(network.pretrained_parameters()) == len(changed)


@pytest.mark.parametrize("make", [ResidualUNetConfig, Pix2PixUNetConfig, AttentionUNetConfig])
def test_a_network_of_one_width_is_refused(make: type[Any]) -> None:
    with pytest.raises(InvalidInputError, match="channels: must be"):
        make(channels=(8,))
