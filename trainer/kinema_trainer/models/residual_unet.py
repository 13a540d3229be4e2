"""The generator of the conditional WGAN-GP recipe: a U-Net of residual blocks, trained from scratch, ab at full size.

Source: "Image Colorization using Pix2Pix with cWGAN and Residual U-Net Architecture", and the public notebook that it
and many others share, "Pix2Pix image colorization with conditional WGAN" (salimhammadi07, Kaggle): widths 64, 128, 256
and 512, max-pooling down, bilinear doubling up, residual blocks of two 3x3 convolutions beside a 1x1 convolution,
channel dropout of 0.2 behind each encoder stage. U-Net after Ronneberger, Fischer and Brox (MICCAI 2015).

Where we leave the notebook, and why:
- Its blocks detach their input, so that gradients reach the encoder through shortcuts alone. Ours flow through both.
- Its blocks apply ReLU before the addition and again after it; ours after it only (He et al., CVPR 2016).
- Its head is linear; ours is tanh x 110, as in pix2pix, for no colour of sRGB has an |a| or |b| above 108.
- It aligns corners as it doubles, which shifts features by up to half a pixel, depending on the size; ours does not.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema_core.errors import InvalidInputError
from kinema_trainer.models.color_network import AB_SCALE, ColorNetwork
from kinema_trainer.models.self_attention import SelfAttention


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualUNetConfig:
    """Widths of the encoder, and the ablation switches."""

    kind: Literal["residual_unet"] = "residual_unet"
    channels: tuple[int, ...] = (64, 128, 256, 512)
    """From stride 1 down to the bridge, each at twice the stride before it."""
    is_residual: bool = True
    """False leaves the shortcuts out: the same two convolutions a block, and nothing beside them."""
    has_self_attention: bool = False
    """True adds self-attention behind the bridge."""
    norm: Literal["batch", "instance"] = "batch"
    dropout: float = 0.2
    """Part of the channels that training drops behind each encoder stage and the bridge."""

    def __post_init__(self) -> None:
        if len(self.channels) < 2:
            raise InvalidInputError("channels", f"must be two widths or more, got {self.channels}")

    def build(self) -> "ResidualUNet":
        """Build the network, its weights drawn from torch's generator."""
        return ResidualUNet(self)


class InstanceNorm(nn.Module):
    """Each channel of each picture to mean 0 and variance 1.

    What `nn.InstanceNorm2d` does, without its look at the size in Python, which the ONNX exporter cannot trace.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (B, C, H, W)."""
        return torch.instance_norm(
            x, None, None, None, None, use_input_stats=True, momentum=0.0, eps=1e-5, cudnn_enabled=True
        )


class Block(nn.Module):
    """Two 3x3 convolutions with norms, and a 1x1 convolution beside them if the block is residual.

    Each norm is registered right behind its convolution, and the shortcut, which has none, comes last.
    """

    def __init__(self, in_channels: int, out_channels: int, config: ResidualUNetConfig) -> None:
        super().__init__()
        norm = {"batch": nn.BatchNorm2d, "instance": InstanceNorm}[config.norm]
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = norm(out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if config.is_residual else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H, W)."""
        h = F.relu(self.norm1(self.conv1(x)))
        h = self.norm2(self.conv2(h))
        return F.relu(h if self.shortcut is None else h + self.shortcut(x))


class ResidualUNet(ColorNetwork):
    """Predict ab at full size.

    Self-attention sits behind the bridge, at stride 8 with the four default widths and at stride 16 with five. That is
    the coarsest map, where its quadratic table is smallest, and the one place that every far path goes through.
    """

    output_stride = 1

    def __init__(self, config: ResidualUNetConfig | None = None) -> None:
        super().__init__()
        config = config or ResidualUNetConfig()
        self.config = config
        self.size_multiple = 2 ** len(config.channels)  # twice the bridge's stride: self-attention pools an even map
        sizes = (1, *config.channels)
        self.encoder = nn.ModuleList(Block(*pair, config) for pair in pairwise(sizes))
        self.dropout = nn.Dropout2d(config.dropout)
        self.attention = SelfAttention(config.channels[-1]) if config.has_self_attention else nn.Identity()
        self.decoder = nn.ModuleList(
            Block(deeper + width, width, config) for width, deeper in reversed(list(pairwise(config.channels)))
        )
        self.head = nn.Conv2d(config.channels[0], 2, 1)

    def forward(self, lightness: Tensor) -> Tensor:
        """Predict ab in Lab units, (B, 2, H, W), from L* 0..100, (B, 1, H, W), H and W multiples of `size_multiple`."""
        h = lightness / 50 - 1
        taps: list[Tensor] = []
        for i, block in enumerate(self.encoder):
            # (B, 1, H, W) -> (B, 64, H, W) -> (B, 128, H/2, W/2) -> (B, 256, H/4, W/4) -> (B, 512, H/8, W/8)
            h = self.dropout(block(F.max_pool2d(h, 2) if i else h))
            taps.append(h)
        h = self.attention(taps.pop())
        for block in self.decoder:
            up = F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
            h = block(torch.cat((up, taps.pop()), dim=1))  # (B, 512, H/8, W/8) -> (B, 256, H/4, W/4) -> ...
        ab: Tensor = torch.tanh(self.head(h)) * AB_SCALE  # (B, 64, H, W) -> (B, 2, H, W)
        return ab
