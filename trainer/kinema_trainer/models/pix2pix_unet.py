"""The plain U-Net of pix2pix, ab at full size.

Source: Isola, Zhu, Zhou and Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, and
the authors' PyTorch code (`UnetGenerator`): 4x4 convolutions of stride 2 down to a 1x1 map for the picture size that
the depth is made for, transposed ones up, BatchNorm but on the first and the innermost layer, LeakyReLU 0.2 down and
ReLU up, dropout in the decoder's first layers, tanh, weights drawn from N(0, 0.02). In evaluation dropout is off: the
authors leave it on as their source of noise, and report that the noise hardly shows.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema_core.errors import InvalidInputError
from kinema_trainer.models.color_network import AB_SCALE, ColorNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Pix2PixUNetConfig:
    """Widths of the encoder; their number is the depth: 8 for 256x256 pictures, 5 for 32x32."""

    kind: Literal["pix2pix_unet"] = "pix2pix_unet"
    channels: tuple[int, ...] = (64, 128, 256, 512, 512, 512, 512, 512)
    """From stride 2 down to the bottleneck."""
    dropout: float = 0.5
    num_dropout_layers: int = 3
    """The decoder's first so many layers drop out, as far as there are so many before the head."""

    def __post_init__(self) -> None:
        if len(self.channels) < 2:
            raise InvalidInputError("channels", f"must be two widths or more, got {self.channels}")

    def build(self) -> "Pix2PixUNet":
        """Build the network, its weights drawn from torch's generator."""
        return Pix2PixUNet(self)


class Down(nn.Module):
    """Halve: a 4x4 convolution of stride 2, and a norm but where the map may be 1x1, which has no variance."""

    def __init__(self, in_channels: int, out_channels: int, *, has_norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 4, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels) if has_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H/2, W/2)."""
        h: Tensor = self.norm(self.conv(x))
        return h


class Up(nn.Module):
    """Double: a transposed 4x4 convolution of stride 2, its norm and dropout."""

    def __init__(self, in_channels: int, out_channels: int, *, dropout: float) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, 4, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', 2H, 2W)."""
        h: Tensor = self.dropout(self.norm(self.conv(x)))
        return h


class Pix2PixUNet(ColorNetwork):
    """Predict ab at full size."""

    output_stride = 1

    def __init__(self, config: Pix2PixUNetConfig | None = None) -> None:
        super().__init__()
        config = config or Pix2PixUNetConfig()
        self.config = config
        depth = len(config.channels)
        self.size_multiple = 2**depth
        self.encoder = nn.ModuleList(
            Down(*sizes, has_norm=0 < i < depth - 1) for i, sizes in enumerate(pairwise((1, *config.channels)))
        )
        # Behind the innermost layer, the input of each is what comes up beside the tap of the same size.
        joined = (config.channels[-1], *(2 * width for width in config.channels[-2:0:-1]))
        self.decoder = nn.ModuleList(
            Up(*sizes, dropout=config.dropout if i < config.num_dropout_layers else 0.0)
            for i, sizes in enumerate(zip(joined, config.channels[-2::-1], strict=True))
        )
        self.head = nn.ConvTranspose2d(2 * config.channels[0], 2, 4, 2, 1)
        self.apply(draw_weights)

    def forward(self, lightness: Tensor) -> Tensor:
        """Predict ab in Lab units, (B, 2, H, W), from L* 0..100, (B, 1, H, W), H and W multiples of `size_multiple`."""
        h = lightness / 50 - 1
        taps: list[Tensor] = []
        for i, layer in enumerate(self.encoder):
            h = layer(
                F.leaky_relu(h, 0.2) if i else h
            )  # (B, 1, H, W) -> (B, 64, H/2, W/2) -> ... (B, 512, H/256, W/256)
            taps.append(h)
        h = taps.pop()
        for layer in self.decoder:
            h = torch.cat((layer(F.relu(h)), taps.pop()), dim=1)  # doubles: ... -> (B, 64 + 64, H/2, W/2)
        ab: Tensor = torch.tanh(self.head(F.relu(h))) * AB_SCALE  # (B, 128, H/2, W/2) -> (B, 2, H, W)
        return ab


def draw_weights(module: nn.Module) -> None:
    """Draw a layer's weights as pix2pix does (Radford, Metz and Chintala, ICLR 2016): N(0, 0.02), norms N(1, 0.02)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
