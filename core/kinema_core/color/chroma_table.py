"""The lookup from (Y', a, b) to (Cb, Cr) with Y' held.

At one Y', a colour of given (a, b) has one L*, hence one RGB, hence one (Cb, Cr). Two tables hold it:

1. `max_chroma` by (Y', hue): how far the gamut reaches. (a, b) is first scaled down to it, which keeps the hue.
2. `codes` by (Y', a, b): for each Y' a square tile of Cb and Cr, spread over the part of the gamut that has this Y'.

Both are read with linear interpolation. One table that maps into the gamut as well would be read faster, but it has a
crease along the gamut's edge, and misses by up to 12 codes (8 bit) there even at a step of 1 in a and b.
"""

import threading
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color.gamut import HUES, NUM_HUES, max_chroma_by_hue, walk_slice
from kinema_core.color.lab import lab_to_rgb, rgb_to_lab
from kinema_core.color.ycbcr import chroma_scale, luma_levels, table_by_code
from kinema_core.frames import ColorRange, ColorTags, Matrix

F32: TypeAlias = NDArray[np.float32]
Nodes: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows and columns in a tile."""

_TILE_SIDE: Final = {8: 104, 10: 88}
"""Nodes along a tile, by bit depth: 25 MB and 72 MB a table."""
_TILES_IN_COLUMN: Final = 256
"""Tiles lie in columns of so many, because cv2.remap numbers rows in 16 bits."""
_NO_CHROMA: Final = 1e-3
"""What stands for 0 where nothing fits, so that scaling never divides zero by zero."""
_MAX_NEWTON_STEPS: Final = 12
_LIGHTNESS_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class ChromaTable:
    """Both tables for one matrix, range and bit depth, and the place of each tile."""

    max_chroma: F32
    """(num_codes, NUM_HUES + 1), hues from -pi to pi."""
    least_chroma: F32
    """By Y' code: the least of `max_chroma`, so what fits the gamut whatever its hue."""
    codes: NDArray[np.uint16]
    """(rows, columns, 4) of tiles: Cb, Cr, and twice 0, since cv2.remap reads four channels faster than one twice;
    stored is code * 2 ** fraction_bits + lowest."""
    nodes_per_unit: F32
    """By Y' code: nodes per unit of a and of b."""
    row: F32
    """By Y' code: the row of a = 0, a whole number."""
    column: F32
    """By Y' code: the column of b = 0, a whole number."""
    fraction_bits: int
    lowest: int
    """What is stored for code 0; nodes outside the gamut may lie below."""
    highest: int
    """What is stored for the highest code."""


@dataclass(frozen=True, slots=True)
class _Tile:
    """Where the nodes of one tile lie in (a, b)."""

    side: int
    step: float
    """Units of a and of b from node to node."""
    zero_row: int
    zero_column: int


def chroma_table(tags: ColorTags) -> ChromaTable:
    """Return the tables for `tags`. Thread-safe.

    The first call builds them: 0.7 seconds of one core for 8 bit, 2.3 for 10 bit.
    """
    with _building:
        return _build(tags.matrix, tags.color_range, tags.bit_depth)


_building: Final = threading.Lock()


@cache
def _build(matrix: Matrix, color_range: ColorRange, bit_depth: int) -> ChromaTable:
    levels, side = luma_levels(color_range, bit_depth), _TILE_SIDE[bit_depth]
    neutral, span = chroma_scale(color_range, bit_depth)
    fraction_bits = 15 - bit_depth
    one, lowest = 1 << fraction_bits, 1 << 13
    shape = min(len(levels), _TILES_IN_COLUMN) * side, -(-len(levels) // _TILES_IN_COLUMN) * side
    codes = np.zeros((*shape, 4), np.uint16)
    cb, cr = codes[..., 0], codes[..., 1]
    cb[:] = cr[:] = neutral * one + lowest
    max_chroma = np.full((len(levels), NUM_HUES + 1), _NO_CHROMA, np.float32)
    nodes_per_unit, rows, columns = np.ones((3, len(levels)))

    tile, above_grey = _Tile(side, 1.0, side // 2, side // 2), np.zeros((side, side), np.float32)
    for code, level in enumerate(levels.tolist()):
        column, row = (side * n for n in divmod(code, _TILES_IN_COLUMN))
        if 0 < level < 1:
            edge = rgb_to_lab(walk_slice(level, matrix.luma_weights))
            max_chroma[code] = allowed = max_chroma_by_hue(edge)
            tile, previous_tile = _fit_tile(edge, side), tile
            above_grey = _move(above_grey, previous_tile, tile)
            nodes = _nodes_in_use(allowed, tile)
            for plane, chroma in zip((cb, cr), _solve_tile(level, matrix, tile, nodes, above_grey), strict=True):
                stored = np.rint((chroma * span + neutral) * one) + lowest
                plane[row : row + side, column : column + side] = stored.clip(0, 65535)
        nodes_per_unit[code] = 1 / tile.step
        rows[code], columns[code] = row + tile.zero_row, column + tile.zero_column
    return ChromaTable(
        max_chroma=max_chroma,
        least_chroma=table_by_code(max_chroma.min(axis=1)),
        codes=codes,
        nodes_per_unit=table_by_code(nodes_per_unit),
        row=table_by_code(rows),
        column=table_by_code(columns),
        fraction_bits=fraction_bits,
        lowest=lowest,
        highest=lowest + (len(levels) - 1) * one,
    )


def _fit_tile(edge: NDArray[np.float64], side: int) -> _Tile:
    """Spread a tile over the gamut's slice, with a node on a = b = 0, where the codes must be exact."""
    smallest, largest = edge[:, 1:].min(axis=0), edge[:, 1:].max(axis=0)
    step = float((largest - smallest).max()) / (side - 3)
    zero_row, zero_column = np.ceil(-smallest / step).astype(int).tolist()
    return _Tile(side, step, zero_row, zero_column)


def _move(values: F32, old: _Tile, new: _Tile) -> F32:
    """Read a tile's values at another tile's nodes."""
    nodes, ratio = np.arange(new.side), new.step / old.step
    columns, rows = np.meshgrid(
        (nodes - new.zero_column) * ratio + old.zero_column,
        (nodes - new.zero_row) * ratio + old.zero_row,
    )
    moved = cv2.remap(
        values,
        columns.astype(np.float32),
        rows.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, np.float32)


def _nodes_in_use(max_chroma: NDArray[np.float64], tile: _Tile) -> Nodes:
    """Return the nodes up to `max_chroma`, and those beyond that are read at its edge, with their neighbours."""
    columns = tile.zero_column + max_chroma * np.sin(HUES) / tile.step
    rows = tile.zero_row + max_chroma * np.cos(HUES) / tile.step
    corners = np.rint(np.column_stack([columns, rows])).astype(np.int32)
    inside = cv2.fillPoly(np.zeros((tile.side, tile.side), np.uint8), [corners], 1)
    used_rows, used_columns = np.nonzero(np.asarray(cv2.dilate(inside, np.ones((7, 7), np.uint8))))
    return used_rows, used_columns


def _solve_tile(
    level: float, matrix: Matrix, tile: _Tile, nodes: Nodes, above_grey: F32
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return Cb and Cr at the nodes, each (side, side) and 0 for neutral, of colours with Y' = `level`.

    `above_grey` is by how much L* exceeds that of a grey, (side, side): a guess on entry, the solution on return.
    """
    lab = np.empty((len(nodes[0]), 3), np.float32)
    lab[:, 1] = (nodes[0] - tile.zero_row) * tile.step
    lab[:, 2] = (nodes[1] - tile.zero_column) * tile.step
    grey_lightness = rgb_to_lab(np.full(3, level))[0]
    lab[:, 0] = above_grey[nodes] + grey_lightness
    _solve_lightness(level, np.array(matrix.luma_weights, np.float32), lab)
    above_grey[nodes] = lab[:, 0] - grey_lightness

    rgb, planes = lab_to_rgb(lab), np.zeros((2, tile.side, tile.side), np.float32)
    kr, _, kb = matrix.luma_weights
    planes[0][nodes] = (rgb[:, 2] - level) / (2 * (1 - kb))
    planes[1][nodes] = (rgb[:, 0] - level) / (2 * (1 - kr))
    return _balance(planes[0]), _balance(planes[1])


def _solve_lightness(level: float, luma_weights: F32, lab: F32) -> None:
    """Set L* in `lab` (n, 3) so that Y' becomes `level`, by Newton's method from the L* found there."""
    pending, rise = np.arange(len(lab)), np.array([0.05, 0, 0], np.float32)
    for _ in range(_MAX_NEWTON_STEPS):
        luma = lab_to_rgb(lab[pending]) @ luma_weights
        slope = (lab_to_rgb(lab[pending] + rise) @ luma_weights - luma) / rise[0]
        # Inside the gamut the slope is at least 0.007; outside it may vanish, and there the result matters little.
        steps = np.clip((luma - level) / np.maximum(slope, 0.002), -8, 8)
        lab[pending, 0] -= steps
        pending = pending[np.abs(steps) > _LIGHTNESS_TOLERANCE]
        if not len(pending):
            return


def _balance(plane: F32) -> NDArray[Any]:
    """Lower hills and fill valleys by half of what a line between nodes misses, so that it errs to both sides."""
    ringed = np.pad(plane, 1, mode="reflect", reflect_type="odd")
    bends = ringed[2:, 1:-1] + ringed[:-2, 1:-1] + ringed[1:-1, 2:] + ringed[1:-1, :-2] - 4 * plane
    return plane - bends / 16
