"""Y' to L*, Y' at half size, and RGB to a grey picture of the same lightness."""

from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color.lab import DECODED_BYTES, LUMINANCE_WEIGHTS, encode_srgb, rgb_to_lab
from kinema_core.color.ycbcr import halve, luma_levels, table_by_code
from kinema_core.frames import ColorRange, ColorTags, Matrix, Plane

GREY_TAGS: Final = ColorTags(matrix=Matrix.BT601, color_range=ColorRange.FULL, bit_depth=8)
"""How to read what `rgb_to_grey` returns."""


def luma_to_lightness(luma: Plane, tags: ColorTags) -> NDArray[np.float32]:
    """Return L* 0-100 of a grey of that Y', (H, W); footroom counts as black, headroom as white."""
    return np.asarray(cv2.LUT(luma, lightness_by_code(tags.color_range, tags.bit_depth)), np.float32)


def halve_luma(luma: Plane) -> Plane:
    """Return Y' at chroma size, (ceil(H/2), ceil(W/2)): the mean of each 2x2 square, odd edges repeated."""
    half: Plane = halve(luma)
    return half


def is_halved_first(shape: tuple[int, ...], small_shape: tuple[int, int]) -> bool:
    """Tell whether a picture is halved on its way to a size: that is thirty times as fast, and leaves a quarter to do.

    From four times the size on, the means that are left are over two pixels and more each way.
    """
    return all(side >= 4 * small_side for side, small_side in zip(shape, small_shape, strict=True))


def rgb_to_grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the grey picture with the L* of `rgb` (H, W, 3): full-range Y' (H, W), to be read with `GREY_TAGS`.

    It is luminance, coded as sRGB. The Y' that a Y'CbCr matrix gives would be darker than the picture where colour is
    strong.
    """
    luminance = np.asarray(cv2.transform(cv2.LUT(rgb, DECODED_BYTES), LUMINANCE_WEIGHTS[None]), np.float32)
    return np.rint(encode_srgb(luminance) * 255).astype(np.uint8)


@cache
def lightness_by_code(color_range: ColorRange, bit_depth: int) -> NDArray[np.float32]:
    """Return L* by every value that a sample's type can hold, (256,) or (65536,)."""
    grey = np.clip(luma_levels(color_range, bit_depth), 0, 1)
    return table_by_code(rgb_to_lab(np.stack([grey] * 3, axis=-1))[:, 0])
