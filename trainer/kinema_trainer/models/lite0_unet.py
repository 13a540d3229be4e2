"""The default network: a residual U-Net on a pretrained EfficientNet-Lite0 encoder, L* -> ab at half size.

U-Net after Ronneberger, Fischer and Brox (MICCAI 2015); residual blocks after He et al. (CVPR 2016). Film carries its
chroma at half size (4:2:0), so the network stops there: the last doubling would cost as much as all the others.
"""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from kinema_trainer.models.color_network import AB_SCALE, ColorNetwork
from kinema_trainer.models.efficientnet_lite0 import NUM_BLOCKS, TAP_CHANNELS, EfficientNetLite0Encoder

SIZE_MULTIPLE = 32
"""Input height and width must be multiples of this."""
OUTPUT_STRIDE = 2
"""Output height and width are the input's divided by this."""


@dataclass(frozen=True, slots=True)
class Lite0UNetConfig:
    """Widths and depths of the decoder, from stride 32 up to stride 2, and how it is kept from learning by heart."""

    kind: Literal["lite0_unet"] = "lite0_unet"
    channels: tuple[int, ...] = (256, 192, 128, 64, 32)
    num_blocks: tuple[int, ...] = (1, 2, 2, 1, 1)
    num_frozen: int = 0
    """The encoder's first blocks, and the stem before them, that stay as they were loaded. If any do, all of the
    encoder's BatchNorms keep their statistics."""
    dropout: float = 0.0
    """How often a channel of the deepest map is left out of a training step (Tompson et al., CVPR 2015)."""

    def __post_init__(self) -> None:
        if not 0 <= self.num_frozen <= NUM_BLOCKS:
            raise ValueError(f"num_frozen must be 0 to {NUM_BLOCKS}, got {self.num_frozen}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")

    def build(self) -> "Lite0UNet":
        """Build the network, its weights drawn from torch's generator."""
        return Lite0UNet(self)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm2.weight)  # every block starts as the identity (Goyal et al., 2017)

    def forward(self, x: Tensor) -> Tensor:
        """Refine (B, C, H, W)."""
        h = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(h)))


class DecoderStage(nn.Module):
    """Join a deeper map and the encoder's tap, each through a 1x1 convolution; refine by residual blocks.

    The deeper map is mixed before it is doubled: the same sums as after it, at a quarter of the cost.
    """

    def __init__(self, deeper_channels: int, tap_channels: int, channels: int, num_blocks: int) -> None:
        super().__init__()
        self.mix_deeper = nn.Sequential(nn.Conv2d(deeper_channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.mix_tap = nn.Sequential(nn.Conv2d(tap_channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(num_blocks)))

    def forward(self, deeper: Tensor, tap: Tensor) -> Tensor:
        """Join (B, C, H, W) and a tap (B, C', 2H, 2W)."""
        up = F.interpolate(self.mix_deeper(deeper), scale_factor=2, mode="nearest")
        h = F.relu(up + self.mix_tap(tap))
        out: Tensor = self.blocks(h)
        return out


class Lite0UNet(ColorNetwork):
    """Predict ab from L*."""

    size_multiple = SIZE_MULTIPLE
    output_stride = OUTPUT_STRIDE

    def __init__(self, config: Lite0UNetConfig | None = None) -> None:
        super().__init__()
        config = config or Lite0UNetConfig()
        self.config = config
        self.encoder = EfficientNetLite0Encoder(num_frozen=config.num_frozen)
        self.bottom = nn.Sequential(
            nn.Conv2d(TAP_CHANNELS[-1], config.channels[0], 1, bias=False),
            nn.BatchNorm2d(config.channels[0]),
            nn.ReLU(),
            *(ResidualBlock(config.channels[0]) for _ in range(config.num_blocks[0])),
            nn.Dropout2d(config.dropout),
        )
        deeper = (config.channels[0], *config.channels[1:-1])
        self.stages = nn.ModuleList(
            DecoderStage(*sizes)
            for sizes in zip(deeper, TAP_CHANNELS[-2::-1], config.channels[1:], config.num_blocks[1:], strict=True)
        )
        self.head = nn.Conv2d(config.channels[-1], 2, 3, padding=1)
        nn.init.zeros_(self.head.weight)  # the first guess is grey
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, lightness: Tensor) -> Tensor:
        """Predict ab in Lab units, (B, 2, H/2, W/2), from L* 0..100, (B, 1, H, W), H and W multiples of 32."""
        *taps, deepest = self.encoder(lightness)
        h = self.bottom(deepest)  # (B, 320, H/32, W/32) -> (B, 256, H/32, W/32)
        for stage, tap in zip(self.stages, reversed(taps), strict=True):
            h = stage(h, tap)  # doubles: ... -> (B, 32, H/2, W/2)
        ab: Tensor = self.head(h) * AB_SCALE  # (B, 32, H/2, W/2) -> (B, 2, H/2, W/2)
        return ab

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Return the encoder's."""
        return list(self.encoder.parameters())

    def load_pretrained_weights(self) -> None:
        """Load the encoder's ImageNet weights."""
        self.encoder.load_imagenet_weights()
