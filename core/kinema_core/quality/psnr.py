"""Peak signal-to-noise ratio."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError


def psnr(image: NDArray[Any], truth: NDArray[Any], *, peak: float = 255.0) -> float:
    """Return 10 log10(peak^2 / MSE) in dB; the MSE is over all elements, channels included, in float64.

    For RGB, `image` and `truth` are (H, W, 3) on a scale of 0 to `peak`. For ab they are (H, W, 2) in Lab units, with
    the same peak of 255: the span of a and b in 8-bit Lab files. Equal pictures have infinity.

    Raises:
        InvalidInputError: the shapes differ, or there is no element.
    """
    if image.shape != truth.shape or not image.size:
        raise InvalidInputError("image", f"must have the shape of the truth {truth.shape}, got {image.shape}")
    error = image.astype(np.float64) - truth.astype(np.float64)  # as uint8, 3 - 5 would be 254
    mse = float(np.mean(np.square(error)))
    return 10 * math.log10(peak * peak / mse) if mse > 0 else math.inf
