"""Warmth, and blacks and highlights without colour: what depends on a pixel's lightness and its ab alone."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color import luma_to_lightness
from kinema_core.frames import ColorRange, ColorTags, Plane

F32: TypeAlias = NDArray[np.float32]

WARM: Final = (2.4, 17.65)
"""How far ab of a white moves from daylight of 6500 K (D65) to 5000 K (D50): the axis of warmth."""
MAX_BLACKS: Final = 50.0
MIN_HIGHLIGHTS: Final = 50.0
_NARROWEST: Final = np.float32(1e-3)
"""L*; no code lies so close to black or white, and dividing by less may overflow."""


@dataclass(frozen=True, slots=True)
class Grade:
    """A change of ab by lightness. The defaults change nothing."""

    warmth: float = 0.0
    """-1 to 1. At 1, ab of a mid grey (L* 50) moves by `WARM`; towards black and white the shift fades, 4 l (1 - l)."""
    desaturate_blacks: float = 0.0
    """L*, 0 to MAX_BLACKS: below it colour fades, to none in black."""
    desaturate_highlights: float = 100.0
    """L*, MIN_HIGHLIGHTS to 100: above it colour fades, to none in white."""

    def apply(self, ab: F32, luma: Plane, tags: ColorTags) -> F32:
        """Return `ab` (h, w, 2) changed by the lightness of `luma` (h, w), Y' codes as `tags` says; same layout."""
        if self == Grade():
            return ab
        shift, gain = grade_tables(self, tags.color_range, tags.bit_depth)
        shift_by_pixel, gain_by_pixel = cv2.LUT(luma, shift), cv2.LUT(luma, gain)
        graded = np.empty_like(ab)  # keeps all of a before all of b in memory
        for channel, direction in enumerate(WARM):
            plane = graded[..., channel]
            np.multiply(shift_by_pixel, np.float32(direction), out=plane)
            plane += ab[..., channel]
            plane *= gain_by_pixel
        return graded


@lru_cache(maxsize=16)  # a server meets any number of grades
def grade_tables(grade: Grade, color_range: ColorRange, bit_depth: int) -> tuple[F32, F32]:
    """Return the shift along WARM and the factor on ab, by every value that a sample's type can hold."""
    tags = ColorTags(color_range=color_range, bit_depth=bit_depth)
    codes: Any = np.arange(np.iinfo(tags.dtype).max + 1)[None].astype(tags.dtype)
    lightness = luma_to_lightness(codes, tags)[0]
    # In float32, the precision of the wire: the same bits here as through a server.
    warmth, blacks, highlights = (
        np.float32(number) for number in (grade.warmth, grade.desaturate_blacks, grade.desaturate_highlights)
    )
    level = lightness / 100
    gain = np.ones_like(level)
    if blacks > 0:
        gain *= _smoothstep(lightness / max(blacks, _NARROWEST))
    if highlights < 100:
        gain *= _smoothstep((100 - lightness) / max(100 - highlights, _NARROWEST))
    return warmth * 4 * level * (1 - level), gain


def _smoothstep(position: F32) -> F32:
    """Rise from 0 at 0 to 1 at 1, level at both ends."""
    inside = np.clip(position, 0, 1)
    return np.asarray(inside * inside * (3 - 2 * inside), np.float32)
