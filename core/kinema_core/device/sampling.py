"""OpenCV's ways to resize and to look up, in torch.

cv2.remap rounds places to 32nds of a pixel, and this does not: results differ by so much of what lies between two
neighbours.
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

Size = tuple[int, int]


def resize_area(planes: torch.Tensor, size: Size) -> torch.Tensor:
    """Average (..., H, W) float32 down to (..., h, w) by the area of each pixel, as cv2.INTER_AREA does."""
    height, width = planes.shape[-2:]
    rows, columns = (_shares(*sides, planes.device) for sides in ((height, size[0]), (width, size[1])))
    return rows @ planes @ columns.T


@lru_cache(maxsize=64)
def _shares(side: int, small_side: int, device: torch.device) -> torch.Tensor:
    """Return (small_side, side): how much each pixel counts in each mean."""
    factor = side / small_side
    starts = np.arange(small_side)[:, None] * factor
    pixels = np.arange(side)
    overlap = np.minimum(starts + factor, pixels + 1) - np.maximum(starts, pixels)
    return torch.from_numpy((overlap.clip(0) / factor).astype(np.float32)).to(device)


def resize_linear(planes: torch.Tensor, size: Size) -> torch.Tensor:
    """Magnify (C, h, w) to (C, H, W) as cv2.INTER_LINEAR does."""
    return F.interpolate(planes[None], size, mode="bilinear", align_corners=False)[0]


def halve(codes: torch.Tensor) -> torch.Tensor:
    """Return the rounded mean of each 2x2 square of whole numbers (H, W), odd edges repeated, as cv2 rounds it."""
    height, width = codes.shape
    if height % 2:
        codes = torch.cat([codes, codes[-1:]], dim=0)
    if width % 2:
        codes = torch.cat([codes, codes[:, -1:]], dim=1)
    return (codes[::2, ::2] + codes[1::2, ::2] + codes[::2, 1::2] + codes[1::2, 1::2] + 2) >> 2


def sample(planes: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Read (C, h, w) at columns `x` and rows `y`, both (H, W), linearly; beyond the border as on it."""
    height, width = planes.shape[-2:]
    place = torch.stack([x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1], dim=-1)
    return F.grid_sample(planes[None], place[None], mode="bilinear", padding_mode="border", align_corners=True)[0]


def look_up(table: torch.Tensor, columns: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Read a table (rows, columns, C) between its entries: (H, W, C); beyond the border as on it.

    For tables so high that `sample`'s places from -1 to 1 would lose their fractions in float32.
    """
    num_rows, num_columns = table.shape[:2]
    flat = table.reshape(-1, table.shape[2])
    left, top = columns.floor(), rows.floor()
    right_share, bottom_share = (columns - left)[..., None], (rows - top)[..., None]
    left_at, right_at = ((left.long() + step).clamp(0, num_columns - 1) for step in (0, 1))
    top_at, bottom_at = ((top.long() + step).clamp(0, num_rows - 1) * num_columns for step in (0, 1))
    upper = torch.lerp(flat[top_at + left_at], flat[top_at + right_at], right_share)
    lower = torch.lerp(flat[bottom_at + left_at], flat[bottom_at + right_at], right_share)
    return torch.lerp(upper, lower, bottom_share)
