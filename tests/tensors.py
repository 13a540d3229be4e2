"""A stand-in for an engine whose frames stay on a GPU, torch on the CPU in the GPU's place; and a film that moves."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from kinema_core.engines.torch_run import check_colour_on_device
from kinema_core.frames import ColorTags, LumaFrame
from tests.fakes import FakeEngine

F32 = NDArray[np.float32]


class TensorEngine(FakeEngine):
    """The fake engine, for tensors too."""

    takes_tensors = True

    def __init__(self) -> None:
        super().__init__()
        self.num_on_device: list[int] = []
        """How many pictures each run had whose input and result stayed on the device."""

    def infer_on_device(self, lightness: torch.Tensor) -> torch.Tensor:
        """Return what `infer` does, checked as the torch engine checks it."""
        self.num_on_device.append(len(lightness))
        ab = torch.from_numpy(self.infer(lightness.numpy()))
        check_colour_on_device(ab, lightness)
        return ab


def smooth_field(height: int, width: int, seed: int, scale: float) -> F32:
    """Return a field of patches, (height, width), about -scale to scale."""
    coarse = np.random.default_rng(seed).uniform(-scale, scale, (7, 9)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def moving_film(
    num_frames: int, height: int, width: int, tags: ColorTags | None = None, seed: int = 0
) -> Iterator[LumaFrame]:
    """Make a picture with grain that moves by three pixels a frame, and another one from the fifth frame on."""
    tags = tags or ColorTags()
    top = (1 << tags.bit_depth) - 1
    for index in range(num_frames):
        wide = smooth_field(height, width + 3 * num_frames, seed + index // 5, 0.5) + 0.5
        shown = wide[:, 3 * index : 3 * index + width]
        grain = np.random.default_rng(index).normal(0, 0.01, shown.shape)
        luma: Any = np.clip((shown + grain) * top, 0, top).astype(tags.dtype)
        yield LumaFrame(luma, index, Fraction(1, 24), tags)
