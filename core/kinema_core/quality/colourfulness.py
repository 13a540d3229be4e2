"""Colourfulness.

Hasler and Süsstrunk, "Measuring Colourfulness in Natural Images", Human Vision and Electronic Imaging VIII, SPIE 5007,
2003: their M3, on the signed opponent channels. Copies that take the channels' absolute values measure something else.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError


def colourfulness(rgb: NDArray[Any]) -> float:
    """Return the colourfulness of (H, W, 3) sRGB, 0-255: 0 for grey, 109 for what the paper's viewers called extreme.

    Raises:
        InvalidInputError: not (H, W, 3), or empty.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        raise InvalidInputError("rgb", f"must be (H, W, 3), got {rgb.shape}")
    red, green, blue = np.moveaxis(rgb.astype(np.float64), 2, 0)  # as uint8, R - G would wrap
    rg, yb = red - green, (red + green) / 2 - blue
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))
