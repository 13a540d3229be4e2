"""The encoder and the default network."""

from typing import Any, Literal

import pytest
import torch
from torch import nn

from kinema_core.color.lab import rgb_to_lab
from kinema_trainer.models.efficientnet_lite0 import NUM_BLOCKS, TAP_CHANNELS, EfficientNetLite0Encoder
from kinema_trainer.models.lite0_unet import Lite0UNet, Lite0UNetConfig
from kinema_trainer.recipes.recipe import OptimizerConfig
from kinema_trainer.training.optimizers import generator_optimizer


def test_the_encoder_taps_every_stride() -> None:
    with torch.no_grad():
        taps = EfficientNetLite0Encoder().eval()(torch.zeros(1, 1, 64, 96))

    assert [tuple(tap.shape) for tap in taps] == [
        (1, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(TAP_CHANNELS, (2, 4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize("in_channels", [1, 3])
def test_the_imagenet_weights_fill_every_parameter_of_the_encoder(in_channels: Literal[1, 3]) -> None:
    torch.manual_seed(0)
    encoder = EfficientNetLite0Encoder(in_channels)
    before = {name: parameter.clone() for name, parameter in encoder.named_parameters()}

    encoder.load_imagenet_weights()

    unchanged = [name for name, parameter in encoder.named_parameters() if torch.equal(parameter, before[name])]
    assert unchanged == []


def test_the_pretrained_encoder_tells_pictures_apart() -> None:
    """Two noisy views of one picture are closer in the deepest tap than two pictures."""
    encoder = EfficientNetLite0Encoder().eval()
    encoder.load_imagenet_weights()
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    disc = 20 + 60 * (((x - 64) ** 2 + (y - 64) ** 2) < 1200).float()
    stripes = 50 + 30 * torch.sin(x / 4)
    noise = torch.randn(128, 128, generator=torch.Generator().manual_seed(1)) * 2
    views = torch.stack((disc, disc + noise, stripes, stripes + noise))[:, None].clamp(0, 100)

    with torch.no_grad():
        deepest = encoder(views)[-1].mean(dim=(2, 3))

    alike = torch.nn.functional.cosine_similarity(deepest[[0, 2]], deepest[[1, 3]])
    apart = torch.nn.functional.cosine_similarity(deepest[[0, 1]], deepest[[2, 3]])
    assert alike.min() > apart.max()


def test_both_encoders_see_nearly_the_same_in_a_grey_picture() -> None:
    """L* stands in for the codes of a grey; the two curves differ by less than three codes of 255 above black."""
    grey, colour = EfficientNetLite0Encoder(1).eval(), EfficientNetLite0Encoder(3).eval()
    grey.load_imagenet_weights()
    colour.load_imagenet_weights()
    codes = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(3)) * 0.8 + 0.1
    lightness = torch.from_numpy(rgb_to_lab(codes[0, 0].numpy()[..., None].repeat(3, axis=2))[..., 0])

    with torch.no_grad():
        seen = [
            encoder(picture)[2]
            for encoder, picture in ((grey, lightness[None, None]), (colour, codes.expand(-1, 3, -1, -1)))
        ]

    assert torch.nn.functional.cosine_similarity(seen[0].flatten(), seen[1].flatten(), dim=0) > 0.99


def test_the_default_network_keeps_to_its_budget() -> None:
    described = Lite0UNet().describe(256)

    assert described.num_parameters <= 12_000_000
    assert described.gflops <= 9


def test_frozen_blocks_stay_as_they_were_and_so_do_the_statistics_of_all_norms() -> None:
    torch.manual_seed(1)
    network = Lite0UNet(Lite0UNetConfig(channels=(8, 8, 8, 8, 8), num_blocks=(0,) * 5, num_frozen=5)).train()
    nn.init.normal_(network.head.weight)  # zero at first, and then no gradient goes past it
    before = {name: value.clone() for name, value in network.encoder.state_dict().items()}
    optimizer = generator_optimizer(network, OptimizerConfig(learning_rate=0.1, weight_decay=0.1))

    network(torch.rand(2, 1, 64, 64) * 100).square().mean().backward()
    optimizer.step()

    changed = {name for name, value in network.encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name, parameter in network.encoder.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[1] for name in changed} == {str(block) for block in range(5, NUM_BLOCKS)}


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(1)
    network = Lite0UNet(Lite0UNetConfig(channels=(8, 8, 8, 8, 8), num_blocks=(0,) * 5, dropout=0.5))
    nn.init.normal_(network.head.weight)
    lightness = torch.rand(1, 1, 64, 64) * 100

    network.eval()
    assert torch.equal(network(lightness), network(lightness))
    network.bottom.train()
    assert not torch.equal(network(lightness), network(lightness))


@pytest.mark.parametrize("wrong", [{"num_frozen": 17}, {"num_frozen": -1}, {"dropout": 1.0}])
def test_a_network_without_a_meaning_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Lite0UNetConfig(**wrong)
