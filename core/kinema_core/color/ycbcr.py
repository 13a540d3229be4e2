"""Y'CbCr codes: what they mean (ITU-T H.273, 8.3), and RGB to 4:2:0 planes and back."""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.frames import ColorRange, ColorTags, Plane

_LIMITED_BLACK: Final = 16
_LIMITED_LUMA_SPAN: Final = 219
_LIMITED_CHROMA_SPAN: Final = 224


def luma_scale(color_range: ColorRange, bit_depth: int) -> tuple[int, int]:
    """Return (black, span): the code of black, and how many codes white lies above it."""
    if color_range is ColorRange.FULL:
        return 0, (1 << bit_depth) - 1
    return _LIMITED_BLACK << bit_depth - 8, _LIMITED_LUMA_SPAN << bit_depth - 8


def chroma_scale(color_range: ColorRange, bit_depth: int) -> tuple[int, int]:
    """Return (neutral, span): the code of no colour, and how many codes Cb or Cr = 1 lies above Cb or Cr = 0."""
    span = (1 << bit_depth) - 1 if color_range is ColorRange.FULL else _LIMITED_CHROMA_SPAN << bit_depth - 8
    return 1 << bit_depth - 1, span


def luma_levels(color_range: ColorRange, bit_depth: int) -> NDArray[np.float64]:
    """Return Y' of every code, 0 for black and 1 for white; below 0 and above 1 in foot- and headroom."""
    black, span = luma_scale(color_range, bit_depth)
    return (np.arange(1 << bit_depth) - black) / span


def table_by_code(values: NDArray[Any]) -> NDArray[np.float32]:
    """Lengthen a table with an entry for each code to every value its sample's type can hold, for cv2.LUT.

    `values` has 256 or 1024 entries; the result has 256 or 65536, so that no sample, however wrong, is outside.
    """
    table = np.full(256 if len(values) == 256 else 65536, values[-1], np.float32)
    table[: len(values)] = values
    return table


def rgb_to_ycbcr(rgb: NDArray[np.uint8], tags: ColorTags) -> tuple[Plane, Plane, Plane]:
    """Convert sRGB (H, W, 3) to planes Y' (H, W), Cb and Cr (ceil(H/2), ceil(W/2)), every code rounded to the nearest.

    Chroma is the mean of each 2x2 square, the edge repeated where a side is odd.
    """
    kr, kg, kb = tags.matrix.luma_weights
    black, luma_span = luma_scale(tags.color_range, tags.bit_depth)
    neutral, chroma_span = chroma_scale(tags.color_range, tags.bit_depth)
    luma_row = np.array([[kr, kg, kb]]) * luma_span / 255
    cb_row = np.array([[-kr, -kg, 1 - kb]]) / (2 * (1 - kb)) * chroma_span / 255
    cr_row = np.array([[1 - kr, -kg, -kb]]) / (2 * (1 - kr)) * chroma_span / 255

    pixels = rgb.astype(np.float32)
    squares = halve(pixels)
    luma = _to_codes(cv2.transform(pixels, luma_row) + black, tags)
    cb, cr = (_to_codes(cv2.transform(squares, row) + neutral, tags) for row in (cb_row, cr_row))
    return luma, cb, cr


def ycbcr_to_rgb(luma: Plane, cb: Plane, cr: Plane, tags: ColorTags) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Convert planes Y' (H, W), Cb and Cr (ceil(H/2), ceil(W/2)) to RGB (H, W, 3), chroma interpolated.

    Of 8-bit codes it is 0-255 in uint8, of 10-bit codes 0-65535 in uint16, rounded to the nearest; what lies outside is
    cut off, channel by channel.
    """
    kr, kg, kb = tags.matrix.luma_weights
    black, luma_span = luma_scale(tags.color_range, tags.bit_depth)
    neutral, chroma_span = chroma_scale(tags.color_range, tags.bit_depth)
    height, width = luma.shape
    white, dtype = (255, np.uint8) if tags.bit_depth == 8 else (65535, np.uint16)

    def doubled(plane: Plane) -> Any:
        scaled = (plane.astype(np.float32) - neutral) * np.float32(2 * white / chroma_span)
        size = (2 * plane.shape[1], 2 * plane.shape[0])
        return cv2.resize(scaled, size, interpolation=cv2.INTER_LINEAR)[:height, :width]

    grey = (luma.astype(np.float32) - black) * np.float32(white / luma_span)
    red = (1 - kr) * doubled(cr)
    blue = (1 - kb) * doubled(cb)
    rgb = np.stack([grey + red, grey - (kr * red + kb * blue) / kg, grey + blue], axis=2)
    codes: NDArray[np.uint8] | NDArray[np.uint16] = np.clip(np.rint(rgb), 0, white).astype(dtype)
    return codes


def halve(plane: NDArray[Any]) -> Any:
    """Return the mean of each 2x2 square of an (H, W) or (H, W, C) array, in its own type; odd edges are repeated."""
    height, width = plane.shape[:2]
    if height % 2 or width % 2:
        plane = cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return cv2.resize(plane, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)


def _to_codes(values: NDArray[np.float32], tags: ColorTags) -> Plane:
    codes: Any = np.clip(np.rint(values), 0, (1 << tags.bit_depth) - 1).astype(tags.dtype)
    plane: Plane = codes
    return plane
