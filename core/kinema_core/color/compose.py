"""Put predicted chroma (a, b) together with a picture's own luma: to Y'CbCr with Y' held, to RGB with L* held.

Both hold the hue, and reduce chroma where the colour would not fit the sRGB gamut. Both work through the picture in
strips: what a strip needs stays in the processor's cache, and is small enough for its memory not to be asked of the
kernel anew.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color.chroma_table import ChromaTable, chroma_table
from kinema_core.color.gamut import HUE_STEP
from kinema_core.color.rgb_table import AB_LIMIT, AB_STEP, TILE_SIDE, rgb_table
from kinema_core.color.ycbcr import luma_levels, table_by_code
from kinema_core.errors import InvalidInputError
from kinema_core.frames import ColorRange, ColorTags, Plane

F32: TypeAlias = NDArray[np.float32]

_STRIP_PIXELS: Final = 1 << 16
_MANY_FAR: Final = 0.25
"""Share of the pixels with much chroma from which it is no longer faster to pick them out."""


def compose_chroma(luma_half: Plane, ab: F32, tags: ColorTags) -> tuple[Plane, Plane]:
    """Return (Cb, Cr) of the colours that have this Y' and Lab chroma (a, b).

    `luma_half` is (h, w) of Y' codes as `tags` says, `ab` is (h, w, 2); both results are (h, w) of the type of
    `luma_half`. Where Lab chroma does not fit the gamut at that Y', it is reduced and the hue kept; in foot- and
    headroom, as in black and white, nothing fits and the result is neutral. For 99.9 % of all colours the codes are
    within 0.7 of exact arithmetic in 8 bit and within 2 in 10 bit, where half a code is rounding; more than 1 (2.5) is
    met only within 0.2 degrees of a hue at which the gamut's edge jumps.

    Raises:
        InvalidInputError: the shapes do not match.
    """
    _check_shapes(luma_half, ab)
    table = chroma_table(tags)
    cb, cr = np.empty_like(luma_half), np.empty_like(luma_half)
    for strip in _strips(luma_half):
        columns, rows = _find_nodes(table, luma_half[strip], *_planes(ab[strip]))
        stored = _read(table.codes, columns, rows)
        cb[strip], cr[strip] = (_to_codes(cv2.extractChannel(stored, channel), table) for channel in range(2))
    return cb, cr


def _find_nodes(table: ChromaTable, luma: Plane, a: F32, b: F32) -> tuple[F32, F32]:
    """Return where the table's tiles hold (Y', a, b), brought into the gamut: columns and rows, both (h, w)."""
    chroma, scale = cv2.magnitude(a, b), cv2.LUT(luma, table.nodes_per_unit)
    is_far = chroma > cv2.LUT(luma, table.least_chroma)
    num_far = np.count_nonzero(is_far)
    if num_far > _MANY_FAR * luma.size:
        scale *= _share_in_gamut(table, luma, a, b, chroma)
    elif num_far:  # of all others that share is 1
        far = np.flatnonzero(is_far)
        picked: Any = (plane.ravel()[far][None] for plane in (luma, a, b, chroma))
        scale.ravel()[far] *= _share_in_gamut(table, *picked)[0]
    a *= scale
    b *= scale
    a += cv2.LUT(luma, table.row)
    b += cv2.LUT(luma, table.column)
    return b, a


def _share_in_gamut(table: ChromaTable, luma: Plane, a: F32, b: F32, chroma: F32) -> F32:
    """Return by what (a, b), of that chroma, have to be multiplied to fit the gamut, at most 1; all are (h, w)."""
    hue = np.arctan2(b, a)
    hue += np.float32(np.pi)
    hue *= np.float32(1 / HUE_STEP)
    share: F32 = _read(table.max_chroma, hue, luma.astype(np.float32))
    share /= np.maximum(chroma, share)
    return share


def _to_codes(stored: Any, table: ChromaTable) -> NDArray[np.uint16]:
    """Turn what was read of one channel, which is free to be written to, into codes."""
    codes: NDArray[np.uint16] = np.clip(stored, table.lowest, table.highest, out=stored)
    codes -= table.lowest - (1 << table.fraction_bits - 1)
    codes >>= table.fraction_bits
    return codes


def compose_rgb(luma: Plane, ab: F32, tags: ColorTags) -> NDArray[np.uint8]:
    """Return sRGB (H, W, 3) of the colours that have the L* of this Y' and Lab chroma (a, b).

    `luma` is (H, W) of Y' codes as `tags` says, `ab` is (H, W, 2). Where the chroma does not fit the gamut at that
    L*, it is reduced and the hue kept.

    Raises:
        InvalidInputError: the shapes do not match.
    """
    _check_shapes(luma, ab)
    table, zero_row = rgb_table(), _zero_row_by_code(tags.color_range, tags.bit_depth)
    rgb = np.empty((*luma.shape, 3), np.uint8)
    for strip in _strips(luma):
        columns, rows = _limit(*_planes(ab[strip]))
        columns *= np.float32(1 / AB_STEP)
        columns += AB_LIMIT / AB_STEP
        rows *= np.float32(1 / AB_STEP)
        rows += cv2.LUT(luma[strip], zero_row)
        cv2.cvtColor(_read(table, columns, rows), cv2.COLOR_BGRA2BGR, dst=rgb[strip])
    return rgb


def _limit(a: F32, b: F32) -> tuple[F32, F32]:
    """Scale what lies outside the table, and so far outside the gamut, to the table's border; hue is kept."""
    limit = np.float32(AB_LIMIT)
    if max(cv2.norm(a, cv2.NORM_INF), cv2.norm(b, cv2.NORM_INF)) > limit:
        scale = limit / np.maximum(np.maximum(np.abs(a), np.abs(b)), limit)
        a *= scale
        b *= scale
    return a, b


@cache
def _zero_row_by_code(color_range: ColorRange, bit_depth: int) -> F32:
    """Return the row of a = b = 0 in the table of RGB, by Y' code."""
    grey = np.rint(np.clip(luma_levels(color_range, bit_depth), 0, 1) * 255)
    return table_by_code(grey * TILE_SIDE + AB_LIMIT / AB_STEP)


def _strips(luma: Plane) -> Iterator[slice]:
    height, width = luma.shape
    num_rows = max(1, _STRIP_PIXELS // width)
    return (slice(top, top + num_rows) for top in range(0, height, num_rows))


def _planes(ab: F32) -> tuple[F32, F32]:
    """Return a and b, each (h, w), contiguous and free to be written to."""
    return ab[..., 0].copy(), ab[..., 1].copy()


def _read(table: NDArray[Any], columns: F32, rows: F32) -> NDArray[Any]:
    return np.asarray(cv2.remap(table, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _check_shapes(luma: Plane, ab: F32) -> None:
    if ab.shape != (*luma.shape, 2):
        raise InvalidInputError("ab", f"must be {(*luma.shape, 2)} for luma {luma.shape}, got {ab.shape}")
