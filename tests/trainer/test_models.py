"""Networks."""

import pytest
import torch

from kinema_trainer.models.efficientnet_lite0 import TAP_CHANNELS, EfficientNetLite0Encoder
from kinema_trainer.models.residual_unet import ResidualUNet, count_parameters


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (192, 352)])
def test_every_multiple_of_32_gives_ab_at_half_size(height: int, width: int) -> None:
    network = ResidualUNet().eval()

    with torch.no_grad():
        ab = network(torch.rand(2, 1, height, width) * 100)

    assert ab.shape == (2, 2, height // 2, width // 2)
    assert ab.isfinite().all()


def test_the_encoder_taps_every_stride() -> None:
    with torch.no_grad():
        taps = EfficientNetLite0Encoder().eval()(torch.zeros(1, 1, 64, 96))

    assert [tuple(tap.shape) for tap in taps] == [
        (1, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(TAP_CHANNELS, (2, 4, 8, 16, 32), strict=True)
    ]


def test_the_imagenet_weights_fill_every_parameter_of_the_encoder() -> None:
    torch.manual_seed(0)
    encoder = EfficientNetLite0Encoder()
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


def test_the_default_network_keeps_to_its_budget() -> None:
    assert count_parameters(ResidualUNet()) <= 12_000_000
