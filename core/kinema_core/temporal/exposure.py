"""Exposure flicker, and what is left of a difference between two frames without it."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

STRIDE: Final = 2
"""The gain is fitted to every other row and column: thousands of pixels for two numbers are enough."""
NUM_FITS: Final = 2
GAINS: Final = (0.5, 2.0)
"""More than this is a fade or a flash, not flicker."""
MAX_LOCAL: Final = 3.0
"""L*; where the picture is further off, something else is there."""
LOCAL_SHARE: Final = 4
"""Local flicker is even over a fourth of the picture's height and width."""


def difference_without_flicker(before: F32, after: F32) -> F32:
    """Return `before` minus `after`, both (h, w), L*, the flicker of the exposure taken out of `before`.

    A gain and an offset are fitted to all the picture by least squares with Cauchy weights, so that what really
    changed has little say in them; then a slow field is taken away, from which large differences are clipped for the
    same reason.
    """
    x, y = before[::STRIDE, ::STRIDE].ravel(), after[::STRIDE, ::STRIDE].ravel()
    gain, offset = 1.0, float(np.median(y - x))
    typical = 0.0
    for _ in range(NUM_FITS):
        residual = x * np.float32(gain) + np.float32(offset) - y
        typical = float(np.median(np.abs(residual)))
        weight = 1 / (1 + np.square(residual / np.float32(0.5 + 2 * typical)))
        gain, offset = _fit_line(x, y, weight)
    difference = before * np.float32(gain) + np.float32(offset) - after
    height, width = difference.shape
    limit = min(0.3 + 2 * typical, MAX_LOCAL)
    window = (max(1, width // LOCAL_SHARE), max(1, height // LOCAL_SHARE))
    return difference - np.asarray(cv2.blur(difference.clip(-limit, limit), window), np.float32)


def _fit_line(x: F32, y: F32, weight: F32) -> tuple[float, float]:
    """Return the gain and offset that bring `x` closest to `y`."""
    total = weight.sum()
    mean_x, mean_y = float(np.vdot(weight, x) / total), float(np.vdot(weight, y) / total)
    weighted = weight * (x - mean_x)
    # A flat picture has no gain to find: the little on both sides keeps it at 1.
    gain = float((np.vdot(weighted, y - mean_y) + 1e-3) / (np.vdot(weighted, x - mean_x) + 1e-3))
    gain = min(max(gain, GAINS[0]), GAINS[1])
    return gain, mean_y - gain * mean_x
