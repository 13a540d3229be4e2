"""How far two colourings of one picture are for a network that knows pictures."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema_core.errors import InvalidInputError
from kinema_trainer.losses.differentiable_rgb import lab_to_rgb
from kinema_trainer.models.efficientnet_lite0 import TAP_CHANNELS, EfficientNetLite0Encoder

Features = Callable[[Tensor], list[Tensor]]
"""Takes sRGB (B, 3, H, W), 0..1, and gives maps from fine to coarse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PerceptualLossConfig:
    """Weights of the loss among the others, and of the layers among themselves."""

    weight: float = 1.0
    layer_weights: tuple[float, ...] = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
    """Of the taps at strides 2, 4, 8, 16 and 32; those of Wang et al. (CVPR 2018) for five layers of a VGG."""

    def __post_init__(self) -> None:
        if len(self.layer_weights) != len(TAP_CHANNELS):
            message = f"must be {len(TAP_CHANNELS)} numbers, one a tap of the encoder, got {self.layer_weights}"
            raise InvalidInputError("layer_weights", message)


class PerceptualLoss(nn.Module):
    """Weighted sum over layers of the mean absolute difference of features.

    Sources: Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV
    2016; several weighted layers and absolute differences after Wang et al., "High-Resolution Image Synthesis and
    Semantic Manipulation with Conditional GANs", CVPR 2018. The judge is an EfficientNet-Lite0 trained on ImageNet in
    colour, not their VGG: its weights come with a package.

    The judge is frozen and stays in evaluation mode. Keep this module outside of what is saved and optimized: its
    parameters never change. The loss is multiplied by the layers' weights alone; `PerceptualLossConfig.weight` is the
    caller's.

    Args:
        config: the layers' weights.
        features: the judge; None for EfficientNet-Lite0 with its packaged weights, which needs 64 pixels a side.
    """

    def __init__(self, config: PerceptualLossConfig | None = None, features: Features | None = None) -> None:
        super().__init__()
        self.config = config or PerceptualLossConfig()
        self.features = features or imagenet_features()
        self.train(mode=False)
        self.requires_grad_(requires_grad=False)

    def forward(self, lightness: Tensor, predicted_ab: Tensor, target_ab: Tensor) -> Tensor:
        """Compare two colourings of one picture.

        Args:
            lightness: (B, 1, H, W), L* 0..100; averaged over blocks to the size of ab.
            predicted_ab: (B, 2, H/stride, W/stride), Lab units; the gradient flows back into it.
            target_ab: the same shape, Lab units.

        Returns:
            A scalar, 0 where the two are the same.
        """
        stride = lightness.shape[-1] // predicted_ab.shape[-1]
        lightness = F.avg_pool2d(lightness, stride)
        with torch.no_grad():
            expected = self.features(lab_to_rgb(torch.cat((lightness, target_ab), dim=1)))
        found = self.features(lab_to_rgb(torch.cat((lightness, predicted_ab), dim=1)))
        terms = [
            weight * F.l1_loss(f.float(), e.float())
            for weight, f, e in zip(self.config.layer_weights, found, expected, strict=True)
            if weight
        ]
        return torch.stack(terms).sum()

    def train(self, mode: bool = True) -> "PerceptualLoss":  # noqa: ARG002, FBT001, FBT002  # nn.Module's signature
        """Stay in evaluation mode: the judge's BatchNorms must not follow the pictures."""
        return super().train(mode=False)


def imagenet_features() -> EfficientNetLite0Encoder:
    """Return the encoder for colour pictures with its ImageNet weights."""
    encoder = EfficientNetLite0Encoder(in_channels=3)
    encoder.load_imagenet_weights()
    return encoder
