"""`kinema_core.color.compose` in torch: (Y', a, b) to (Cb, Cr) by the very tables that the CPU uses."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kinema_core.color.chroma_table import chroma_table
from kinema_core.color.gamut import HUE_STEP
from kinema_core.color.luma import lightness_by_code
from kinema_core.device.sampling import look_up
from kinema_core.frames import ColorTags
from kinema_core.steering.grade import WARM, Grade, grade_tables


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """A `ChromaTable` on a device."""

    max_chroma: torch.Tensor
    """(codes, hues, 1)."""
    chroma: torch.Tensor
    """(rows, columns, 2), Cb and Cr as stored."""
    place: torch.Tensor
    """(3, values of a sample): nodes per unit, row and column of each tile's middle."""
    lowest: int
    highest: int
    fraction_bits: int


def compose_chroma(luma_half: torch.Tensor, ab: torch.Tensor, tags: ColorTags) -> torch.Tensor:
    """Return the codes of Cb and Cr, (2, h, w), for codes of Y' (h, w) and ab (2, h, w)."""
    tables = _tables(tags, ab.device)
    a, b = ab
    hue = (torch.atan2(b, a) + torch.pi) * (1 / HUE_STEP)
    allowed = look_up(tables.max_chroma, hue, luma_half.float())[..., 0]
    per_unit, row, column = tables.place[:, luma_half.long()]
    scale = allowed / torch.maximum(torch.hypot(a, b), allowed) * per_unit
    stored = look_up(tables.chroma, b * scale + column, a * scale + row)
    one = 1 << tables.fraction_bits
    codes = (stored.clamp(tables.lowest, tables.highest) - tables.lowest) / one + 0.5
    return codes.to(torch.uint8 if tags.bit_depth == 8 else torch.int16).permute(2, 0, 1).contiguous()


def lightness_of(codes: torch.Tensor, tags: ColorTags) -> torch.Tensor:
    """Return L* of codes of Y', the same shape, float32."""
    return _lightness(tags, codes.device)[codes.long()]


def apply_grade(grade: Grade, ab: torch.Tensor, luma_half: torch.Tensor, tags: ColorTags) -> torch.Tensor:
    """Return `ab` (2, h, w) changed by the lightness of `luma_half` (h, w), as `Grade.apply` does."""
    if grade == Grade():
        return ab
    shift, gain = (
        _on(table, ab.device)[luma_half.long()] for table in grade_tables(grade, tags.color_range, tags.bit_depth)
    )
    directions = torch.tensor(WARM, dtype=torch.float32, device=ab.device)[:, None, None]
    return (ab + directions * shift) * gain


def _on(table: NDArray[Any], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.asarray(table, np.float32)).to(device)


@lru_cache(maxsize=8)
def _lightness(tags: ColorTags, device: torch.device) -> torch.Tensor:
    return _on(lightness_by_code(tags.color_range, tags.bit_depth), device)


@lru_cache(maxsize=8)
def _tables(tags: ColorTags, device: torch.device) -> _Tables:
    table = chroma_table(tags)
    return _Tables(
        max_chroma=_on(table.max_chroma[..., None], device),
        chroma=_on(table.codes[..., :2], device),
        place=_on(np.stack([table.nodes_per_unit, table.row, table.column]), device),
        lowest=table.lowest,
        highest=table.highest,
        fraction_bits=table.fraction_bits,
    )
