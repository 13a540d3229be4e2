"""Colourfulness and flicker of a film while it is colorized, without its original: cheap enough to run always.

A watch over a service, not a score of a model: papers' metrics, on full pictures and along the flow, are the
neighbouring modules' business.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color import lab_to_rgb
from kinema_core.quality.colourfulness import colourfulness

F32 = NDArray[np.float32]

SAMPLE_EVERY: Final = 8
"""Frames to a reading."""
STRIDE: Final = 2
"""Every second row and column of ab is read."""
MIN_CONTRAST: Final = 2.0
"""Standard deviation in L* below which a picture has nothing to colour: black, white, the middle of a fade."""
MAX_STILL_CHANGE: Final = 2.0
"""A pixel whose L* changes by less than this stands still."""
MIN_STILL_SHARE: Final = 0.05
"""Share of the pixels that must stand still for their flicker to say something."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one frame looks like."""

    colourfulness: float | None
    """Hasler and Süsstrunk's M3, 0 for grey; None for a picture without contrast."""
    flicker: float | None
    """Mean distance in (a, b) to the frame before, Lab units, over the pixels whose L* stood still; None behind a cut,
    and where nothing stands still."""


class LiveQuality:
    """Follow one film frame by frame."""

    def __init__(self) -> None:
        self._index = -1
        self._previous: tuple[F32, F32] | None = None

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
        colors = np.ascontiguousarray(ab[::STRIDE, ::STRIDE])
        size = (colors.shape[1], colors.shape[0])
        light: F32 = np.asarray(cv2.resize(lightness, size, interpolation=cv2.INTER_AREA), np.float32)
        previous, self._previous = self._previous, (light, colors)
        if not is_read:
            return None
        flicker = None if is_cut or previous is None else _flicker(*previous, light, colors)
        return Reading(_colourfulness(light, colors), flicker)


def _colourfulness(lightness: F32, ab: F32) -> float | None:
    if lightness.std() < MIN_CONTRAST:
        return None
    return colourfulness(lab_to_rgb(np.dstack((lightness, ab))).clip(0, 1) * 255)


def _flicker(lightness_before: F32, ab_before: F32, lightness: F32, ab: F32) -> float | None:
    is_still = np.abs(lightness - lightness_before) < MAX_STILL_CHANGE
    if is_still.mean() < MIN_STILL_SHARE:
        return None
    change = (ab - ab_before)[is_still]
    return float(np.hypot(change[:, 0], change[:, 1]).mean())
