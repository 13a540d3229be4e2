"""Which pictures are in colour already, and which are monochrome: grey, tinted or toned.

In a monochrome picture, whatever its tint, colour is a function of lightness: sepia, blue night tints, split tones and
cyanotypes are lines in Lab. What is left of ab when the mean of each lightness is taken away is small there, and large
in a picture in colour.
"""

import math
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color import rgb_to_lab, ycbcr_to_rgb
from kinema_core.frames import ColorTags, Plane
from kinema_core.temporal.state import StateReader, Value

F32: TypeAlias = NDArray[np.float32]

COLOUR_RESIDUAL: Final = 3.0
"""Lab units of RMS above which a picture counts as in colour; docs/colour.md has the rates."""
HYSTERESIS: Final = 1.5
"""Within a shot, the mean residual must be so many times above or below the threshold to change the verdict."""
NEW_FRAME_WEIGHT: Final = 0.1
_SIDE: Final = 32
"""Chroma is averaged down to about so many pixels squared: its noise goes, areas of colour stay."""
_NUM_LEVELS: Final = 32
_BLACK: Final = 5.0
"""L* below which a pixel says nothing: bars, and blacks whose chroma is noise."""
_MIN_SHARE: Final = 0.05
"""Of pixels that are not black, without which a picture says nothing."""


def frame_residual(luma: Plane, cb: Plane, cr: Plane, tags: ColorTags) -> float:
    """Return the RMS of what lightness does not explain of ab, in Lab units.

    `luma` is Y' (H, W), `cb` and `cr` are (ceil(H/2), ceil(W/2)), as `tags` says.
    """
    height, width = _small_shape(cb)
    small_cb, small_cr = (_shrink(plane, (height, width)) for plane in (cb, cr))
    rgb = ycbcr_to_rgb(_shrink(luma, (2 * height, 2 * width)), small_cb, small_cr, tags)
    return _residual(rgb_to_lab(rgb.astype(np.float32) / np.float32(np.iinfo(rgb.dtype).max)))


def photo_residual(rgb: NDArray[np.uint8]) -> float:
    """Return the same of a photograph (H, W, 3), sRGB."""
    return _residual(rgb_to_lab(_shrink(rgb, _small_shape(rgb)).astype(np.uint8, copy=False)))


def is_colour_photo(rgb: NDArray[np.uint8]) -> bool:
    """Tell whether a photograph (H, W, 3), sRGB, is in colour: neither grey nor toned."""
    return photo_residual(rgb) > COLOUR_RESIDUAL


class ColourShots:
    """Tells of each frame of a film, in order, whether its shot is in colour already.

    The first frame of a shot decides; within it the verdict changes only where the shot's recent frames speak clearly
    against it, as after a fade from black.
    """

    def __init__(self) -> None:
        self._mean: float | None = None
        self._is_colour = False

    def is_colour(self, residual: float, *, is_cut: bool) -> bool:
        """Take the frame's residual, in Lab units."""
        if self._mean is None or is_cut:
            self._mean = residual
            self._is_colour = residual > COLOUR_RESIDUAL
            return self._is_colour
        self._mean += NEW_FRAME_WEIGHT * (residual - self._mean)
        if self._is_colour:
            self._is_colour = self._mean > COLOUR_RESIDUAL / HYSTERESIS
        else:
            self._is_colour = self._mean > COLOUR_RESIDUAL * HYSTERESIS
        return self._is_colour

    def snapshot(self) -> dict[str, Value]:
        """Give what the frames so far leave to the next."""
        return {"mean": self._mean, "is_colour": int(self._is_colour)}

    def restore(self, state: StateReader, prefix: str = "") -> None:
        """Go on behind the frames that `snapshot` was taken after.

        Raises:
            InvalidInputError: it is not such a state.
        """
        is_colour = bool(state.integer(f"{prefix}is_colour"))
        mean = state.number(f"{prefix}mean") if state.is_set(f"{prefix}mean") else None
        self._mean, self._is_colour = mean, is_colour


def _residual(lab: F32) -> float:
    lightness, ab = lab[..., 0].ravel(), lab[..., 1:].reshape(-1, 2)
    seen = lightness > _BLACK
    if seen.mean() < _MIN_SHARE:
        return 0.0
    level = (lightness[seen] * (_NUM_LEVELS / 100)).astype(int).clip(0, _NUM_LEVELS - 1)
    num_pixels = np.maximum(np.bincount(level, minlength=_NUM_LEVELS), 1)
    squares = 0.0
    for values in ab[seen].T:
        mean = np.bincount(level, values, _NUM_LEVELS) / num_pixels
        squares += float(np.mean(np.square(values - mean[level])))
    return math.sqrt(squares)


def _small_shape(plane: NDArray[Any]) -> tuple[int, int]:
    """Return a (height, width) of about _SIDE squared pixels, no larger than the plane."""
    height, width = plane.shape[:2]
    scale = min(1.0, _SIDE / math.sqrt(height * width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _shrink(plane: NDArray[Any], shape: tuple[int, int]) -> Any:
    return cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_AREA)
