"""PatchGAN: scores each patch of a picture, as a Wasserstein critic or as a real-or-generated classifier.

Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, and the authors'
PyTorch code (`NLayerDiscriminator`): 4x4 convolutions of widths C, 2C, 4C and 8C, the last of stride 1, and a head of
stride 1. Three layers of stride 2 see 70x70 pixels, two see 34x34, one sees 16x16. A picture must have at least
3 * 2^num_layers pixels a side.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from kinema_core.errors import InvalidInputError
from kinema_trainer.models.color_network import AB_SCALE, NetworkDescription, describe
from kinema_trainer.models.pix2pix_unet import draw_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchGANConfig:
    """Width, reach and norm."""

    kind: Literal["patch_gan"] = "patch_gan"
    channels: int = 64
    """Width of the first layer."""
    num_layers: int = 3
    """Layers of stride 2."""
    norm: Literal["none", "instance", "batch"] = "none"
    """Of all layers but the first and the head."""

    def __post_init__(self) -> None:
        if self.num_layers < 1:
            raise InvalidInputError("num_layers", f"must be 1 or more, got {self.num_layers}")

    def build(self) -> "PatchGAN":
        """Build the network, its weights drawn from torch's generator."""
        return PatchGAN(self)


class PatchGAN(nn.Module):
    """Score patches of (L, ab): higher is more real. As a classifier the scores are logits."""

    def __init__(self, config: PatchGANConfig | None = None) -> None:
        super().__init__()
        config = config or PatchGANConfig()
        self.config = config
        widths = [config.channels * min(2**i, 8) for i in range(config.num_layers + 1)]
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(1, len(widths)):
            stride = 2 if i < config.num_layers else 1
            layers.append(nn.Conv2d(widths[i - 1], widths[i], 4, stride, 1, bias=config.norm != "batch"))
            layers += [*_norm(config.norm, widths[i]), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        self.apply(draw_weights)

    def forward(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """Score L* 0..100, (B, 1, H, W), with ab in Lab units, (B, 2, H, W).

        Returns:
            (B, 1, h, w), h = floor(H / 2^num_layers) - 2, w alike; unbounded.
        """
        return self.score_scaled(lightness, self.scale_ab(ab))

    @staticmethod
    def scale_ab(ab: Tensor) -> Tensor:
        """Take ab from Lab units to the critic's own, in which the gradient penalty measures its slope."""
        return ab / AB_SCALE

    def score_scaled(self, lightness: Tensor, scaled_ab: Tensor) -> Tensor:
        """Score L* 0..100 with ab that `scale_ab` has scaled; shapes as in `forward`."""
        # (B, 3, H, W) -> (B, 64, H/2, W/2) -> (B, 128, H/4, W/4) -> (B, 256, H/8, W/8) -> (B, 512, H/8 - 1, W/8 - 1)
        scores: Tensor = self.layers(torch.cat((lightness / 50 - 1, scaled_ab), dim=1))  # -> (B, 1, H/8 - 2, W/8 - 2)
        return scores

    def check_is_critic(self) -> None:
        """Check that the network may be trained with a gradient penalty.

        Raises:
            InvalidInputError: it has BatchNorm, through which a picture's score depends on the rest of the batch, so
                that a gradient of one picture means nothing (Gulrajani et al., NeurIPS 2017, section 4).
        """
        if self.config.norm == "batch":
            message = 'must be "none" or "instance" in a critic with a gradient penalty, got "batch"'
            raise InvalidInputError("norm", message)

    def describe(self, size: int = 256) -> NetworkDescription:
        """Count parameters, and the operations of one picture of `size` pixels squared."""
        return describe(self, (torch.zeros(1, 1, size, size), torch.zeros(1, 2, size, size)), size)


def _norm(kind: Literal["none", "instance", "batch"], channels: int) -> list[nn.Module]:
    """Return the norm, if any."""
    if kind == "batch":
        return [nn.BatchNorm2d(channels)]
    return [nn.InstanceNorm2d(channels)] if kind == "instance" else []
