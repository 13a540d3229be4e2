"""The lookup from (L*, a, b) to sRGB with L* held: a row of tiles of 8-bit RGB, one for each of 256 greys."""

import threading
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color.gamut import HUE_STEP, max_chroma_by_hue, walk_slice
from kinema_core.color.lab import LUMINANCE_WEIGHTS, decode_srgb, lab_to_rgb, linear_rgb_to_lab, rgb_to_lab

AB_LIMIT: Final = 108
"""The gamut lies within a and b of -AB_LIMIT to AB_LIMIT; so do the tiles."""
AB_STEP: Final = 2
TILE_SIDE: Final = 2 * AB_LIMIT // AB_STEP + 1


def rgb_table() -> NDArray[np.uint8]:
    """Return sRGB by (grey, b, a), as (256 * TILE_SIDE, TILE_SIDE, 4) with the fourth channel 0; 12 MB. Thread-safe.

    Grey is the sRGB code whose L* is held. Outside the gamut, chroma is reduced and hue kept.
    """
    with _building:
        return _build()


_building: Final = threading.Lock()


@cache
def _build() -> NDArray[np.uint8]:
    nodes = np.arange(-AB_LIMIT, AB_LIMIT + 1, AB_STEP, dtype=np.float64)
    a, b = np.meshgrid(nodes, nodes)
    chroma, columns = np.hypot(a, b), ((np.arctan2(b, a) + np.pi) / HUE_STEP).astype(np.float32)
    lab = np.empty((TILE_SIDE, TILE_SIDE, 3), np.float32)
    table = np.zeros((256, TILE_SIDE, TILE_SIDE, 4), np.uint8)
    for code in range(1, 255):
        luminance = float(decode_srgb(np.array(code / 255)))
        edge = linear_rgb_to_lab(walk_slice(luminance, tuple(LUMINANCE_WEIGHTS)))
        by_hue = max_chroma_by_hue(edge).astype(np.float32)[None]
        allowed = cv2.remap(by_hue, columns, np.zeros_like(columns), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        scale = np.minimum(1, allowed / np.maximum(chroma, AB_STEP / 2))
        lab[..., 0] = rgb_to_lab(np.full(3, code / 255))[0]
        lab[..., 1], lab[..., 2] = a * scale, b * scale
        table[code, ..., :3] = np.rint(lab_to_rgb(lab).clip(0, 1) * 255)
    table[255, ..., :3] = 255
    return table.reshape(-1, TILE_SIDE, 4)
