"""Structural similarity.

Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE
Transactions on Image Processing 13(4), 2004: an 11x11 Gaussian window with sigma 1.5, K1 = 0.01, K2 = 0.03, population
variances, and the mean over the windows that lie wholly inside the picture. The paper knows grey pictures only; here,
as in scikit-image, the three RGB channels are measured each for itself and averaged.
"""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError

F64 = NDArray[np.float64]

WINDOW: Final = 11
SIGMA: Final = 1.5
K1: Final = 0.01
K2: Final = 0.03


def ssim(image: NDArray[Any], truth: NDArray[Any], *, peak: float = 255.0) -> float:
    """Return the mean structural similarity, 1 for equal pictures, of (H, W, 3) or (H, W) on a scale of 0 to `peak`.

    Raises:
        InvalidInputError: the shapes differ, or a side is shorter than the window.
    """
    if image.shape != truth.shape or image.ndim not in {2, 3}:
        raise InvalidInputError("image", f"must have the shape of the truth {truth.shape}, got {image.shape}")
    if min(image.shape[:2]) < WINDOW:
        raise InvalidInputError("image", f"must be at least {WINDOW} pixels high and wide, got {image.shape}")
    x, y = image.astype(np.float64), truth.astype(np.float64)
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    square_x, square_y, product = mean_x * mean_x, mean_y * mean_y, mean_x * mean_y
    # Of var(x) + var(y) and cov(x, y) no more is needed than the means of x^2 + y^2 and xy: four filters, not five.
    variances = _window_mean(x * x + y * y) - (square_x + square_y)
    covariance = _window_mean(x * y) - product
    similarity = ((2 * product + c1) * (2 * covariance + c2)) / ((square_x + square_y + c1) * (variances + c2))
    return float(np.mean(similarity))


def _window_mean(x: F64) -> F64:
    """Return the Gaussian mean of each window inside `x`: (H, W, C) -> (H - 10, W - 10, C)."""
    kernel = cv2.getGaussianKernel(WINDOW, SIGMA, cv2.CV_64F)
    margin = WINDOW // 2
    mean: F64 = cv2.sepFilter2D(x, cv2.CV_64F, kernel, kernel)
    return mean[margin:-margin, margin:-margin]
