"""The encoder and the default network."""

from typing import Literal

import pytest
import torch

from kinema_core.color.lab import rgb_to_lab
from kinema_trainer.models.color_network import count_parameters
from kinema_trainer.models.efficientnet_lite0 import TAP_CHANNELS, EfficientNetLite0Encoder
from kinema_trainer.models.lite0_unet import Lite0UNet


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
    assert count_parameters(Lite0UNet()) <= 12_000_000
