"""A U-Net with a pretrained EfficientNet-Lite0 encoder and self-attention in the decoder, L* -> ab at half size.

Source: the attention U-Net colorization papers and DeOldify (Antic, 2018), which share fastai's `DynamicUnet`: a
pretrained encoder, doubling by PixelShuffle with ICNR weights (Aitken et al., "Checkerboard artifact free sub-pixel
convolution", 2017), two 3x3 convolutions a stage, one self-attention block (Zhang et al., ICML 2019) in the decoder.

Ours differs in three points. The encoder is the one that our other network has, so that the two compare. Attention sits
at stride 16, not fastai's 8: its table grows with the fourth power of the stride's inverse and a film frame of
1920x1088 would take 1 GB at stride 8, 67 MB at 16. And the network stops at half size, for film carries its chroma at
half size (4:2:0).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema_core.errors import InvalidInputError
from kinema_trainer.models.color_network import AB_SCALE, ColorNetwork
from kinema_trainer.models.efficientnet_lite0 import TAP_CHANNELS, EfficientNetLite0Encoder
from kinema_trainer.models.self_attention import SelfAttention


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionUNetConfig:
    """Widths of the decoder, and the ablation switch."""

    kind: Literal["attention_unet"] = "attention_unet"
    channels: tuple[int, ...] = (192, 128, 64, 32)
    """At strides 16, 8, 4 and 2."""
    has_self_attention: bool = True

    def __post_init__(self) -> None:
        if len(self.channels) != len(TAP_CHANNELS) - 1:
            raise InvalidInputError("channels", f"must be {len(TAP_CHANNELS) - 1} widths, got {self.channels}")

    def build(self) -> "AttentionUNet":
        """Build the network, its weights drawn from torch's generator; `load_pretrained_weights` fills the encoder."""
        return AttentionUNet(self)


class Doubling(nn.Module):
    """Double the map by PixelShuffle: a 1x1 convolution to four times the channels, four of which become 2x2 pixels.

    ICNR: those four start alike, so that the doubling starts as nearest-neighbour and draws no checkerboard.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(4 * out_channels)
        self.shuffle = nn.PixelShuffle(2)
        alike = nn.init.kaiming_normal_(torch.empty(out_channels, in_channels, 1, 1))
        with torch.no_grad():
            self.conv.weight.copy_(alike.repeat_interleave(4, dim=0))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', 2H, 2W)."""
        h: Tensor = self.shuffle(F.relu(self.norm(self.conv(x))))
        return h


class DecoderStage(nn.Module):
    """Double the deeper map, join the encoder's tap, mix by two 3x3 convolutions."""

    def __init__(self, deeper_channels: int, tap_channels: int, channels: int) -> None:
        super().__init__()
        self.up = Doubling(deeper_channels, channels)
        self.conv1 = nn.Conv2d(channels + tap_channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, deeper: Tensor, tap: Tensor) -> Tensor:
        """Join (B, C, H, W) and a tap (B, C', 2H, 2W)."""
        h = F.relu(self.norm1(self.conv1(torch.cat((self.up(deeper), tap), dim=1))))
        return F.relu(self.norm2(self.conv2(h)))


class AttentionUNet(ColorNetwork):
    """Predict ab at half size."""

    size_multiple = 32
    output_stride = 2

    def __init__(self, config: AttentionUNetConfig | None = None) -> None:
        super().__init__()
        config = config or AttentionUNetConfig()
        self.config = config
        self.encoder = EfficientNetLite0Encoder()
        self.attention = SelfAttention(config.channels[0]) if config.has_self_attention else nn.Identity()
        self.stages = nn.ModuleList(
            DecoderStage(deeper, tap, width)
            for (deeper, width), tap in zip(
                pairwise((TAP_CHANNELS[-1], *config.channels)), TAP_CHANNELS[-2::-1], strict=True
            )
        )
        self.head = nn.Conv2d(config.channels[-1], 2, 3, padding=1)
        nn.init.zeros_(self.head.weight)  # the first guess is grey
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, lightness: Tensor) -> Tensor:
        """Predict ab in Lab units, (B, 2, H/2, W/2), from L* 0..100, (B, 1, H, W), H and W multiples of 32."""
        *taps, h = self.encoder(lightness)  # (B, 320, H/32, W/32) and the taps before it
        for i, stage in enumerate(self.stages):
            h = stage(h, taps.pop())  # (B, 320, H/32, W/32) -> (B, 192, H/16, W/16) -> ... (B, 32, H/2, W/2)
            if i == 0:
                h = self.attention(h)
        ab: Tensor = self.head(h) * AB_SCALE  # (B, 32, H/2, W/2) -> (B, 2, H/2, W/2)
        return ab

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Return the encoder's."""
        return list(self.encoder.parameters())

    def load_pretrained_weights(self) -> None:
        """Load the encoder's ImageNet weights."""
        self.encoder.load_imagenet_weights()
