"""One picture of many photographs: each as grey, coloured and original."""

from typing import Final

import cv2
import numpy as np

from kinema_core.color import rgb_to_grey
from kinema_trainer.evaluation.methods import Method, paint
from kinema_trainer.evaluation.photo_set import PhotoSet, Rgb

GRID_PHOTOS: Final = 48
GRID_COLUMNS: Final = 4
GRID_SIDE: Final = 192
"""Of each picture, in pixels."""


def picture_grid(photos: PhotoSet, method: Method) -> Rgb:
    """Return up to 48 photographs, evenly spread, as grey | coloured | original, four a row."""
    names = list(photos.truths)[:: max(1, len(photos.truths) // GRID_PHOTOS)][:GRID_PHOTOS]
    cells = []
    for truth in (photos.truths[name] for name in names):
        grey = rgb_to_grey(truth)
        row = np.hstack((grey[..., None].repeat(3, axis=2), paint(grey, method.predict_ab(grey)), truth))
        cells.append(cv2.resize(row, (3 * GRID_SIDE, GRID_SIDE), interpolation=cv2.INTER_AREA))
    return lay_out(cells)


def lay_out(cells: list[Rgb]) -> Rgb:
    """Return pictures of one size (H, W, 3), sRGB, four a row: (rows H, 4 W, 3), white where there are none left."""
    cells = cells + [np.full_like(cells[0], 255)] * (-len(cells) % GRID_COLUMNS)
    rows = [np.hstack(cells[i : i + GRID_COLUMNS]) for i in range(0, len(cells), GRID_COLUMNS)]
    sheet: Rgb = np.vstack(rows)
    return sheet
