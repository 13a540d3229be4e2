"""Colourfulness and flicker of a film while it is colorized, without its original: cheap enough to run always.

A watch over a service, not a score of a model: the neighbouring modules' measures, of every eighth frame.
"""

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color import lab_to_rgb
from kinema_core.quality.colourfulness import colourfulness
from kinema_core.quality.flicker import FlickerMeter
from kinema_core.temporal.thumbnails import SIZE

F32 = NDArray[np.float32]

SAMPLE_EVERY: Final = 8
"""Frames to a reading."""
STRIDE: Final = 2
"""Every second row and column of ab is read for colourfulness."""
MIN_CONTRAST: Final = 2.0
"""Standard deviation in L* below which a picture has nothing to colour: black, white, the middle of a fade."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one frame looks like."""

    colourfulness: float | None
    """Hasler and Süsstrunk's M3, 0 for grey; None for a picture without contrast."""
    flicker: float | None
    """As `FlickerMeter` has it, since the frame before; None behind a cut, and where nothing is seen twice."""


class LiveQuality:
    """Follow one film frame by frame."""

    def __init__(self) -> None:
        self._index = -1
        self._meter = FlickerMeter()

    def measure(self, lightness: F32, ab: F32, *, is_cut: bool) -> Reading | None:
        """Take the next frame; return a reading of every SAMPLE_EVERY-th, and None of the others.

        Args:
            lightness: (H, W), L* 0-100, as the model saw it; at least as large as `ab`.
            ab: (h, w, 2), Lab units.
            is_cut: whether the frame begins a new shot.
        """
        self._index += 1
        is_read = self._index % SAMPLE_EVERY == 0
        if not is_read and (self._index + 1) % SAMPLE_EVERY:  # neither this frame nor the next is read
            return None
        is_first = not is_read or self._index == 0  # of the two frames that flicker is measured between
        flicker = self._meter.measure(_lab(lightness, ab, SIZE), is_cut=is_first or is_cut)
        if not is_read:
            return None
        return Reading(_colourfulness(lightness, ab), None if math.isnan(flicker) else flicker)


def _lab(lightness: F32, ab: F32, size: tuple[int, int]) -> F32:
    """Reduce a picture to (height, width, 3) of the `size` (width, height)."""
    planes = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (lightness, ab)]
    return np.dstack(planes).astype(np.float32, copy=False)


def _colourfulness(lightness: F32, ab: F32) -> float | None:
    colors = np.ascontiguousarray(ab[::STRIDE, ::STRIDE])
    lab = np.dstack((cv2.resize(lightness, colors.shape[1::-1], interpolation=cv2.INTER_AREA), colors))
    if lab[..., 0].std() < MIN_CONTRAST:
        return None
    return colourfulness(lab_to_rgb(lab).clip(0, 1) * 255)
