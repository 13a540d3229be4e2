"""Bring predicted chroma up to chroma size, along the edges of the luma.

After the fast guided filter (He and Sun, "Fast Guided Filter", 2015): at the size of the prediction, chroma is fitted
in every window as a straight line over luma, and the lines' slopes, brought up, are applied to what luma lost on its
way down. Three things differ from the paper:

1. The lines' heights are means over windows, which blur. Interpolated chroma gives the height instead.
2. A pixel of the prediction is the mean of the area it covers, and bilinear interpolation of means is blurred. Both
   chroma and luma are sharpened first, so that the means of the result are the prediction again.
3. A slope counts by how much of chroma luma explains in the window (the r squared of the fit): where colour does not
   follow luma, its texture and its grain leave no print.

`benchmarks/upsampling.py` measures it; docs/colour.md has the table.
"""

from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color.ycbcr import luma_scale
from kinema_core.errors import InvalidInputError
from kinema_core.frames import ColorTags, Plane

F32: TypeAlias = NDArray[np.float32]

_WINDOW: Final = (3, 3)
"""Pixels of the prediction; 5x5 was measured to be worse."""
LUMA_EPSILON: Final = 0.002
"""Variance of luma (0 to 1) below which a window counts as flat; half or twice as much changes errors by 2 %."""
CHROMA_EPSILON: Final = 10.0
"""Variance of ab (Lab units) below which a window counts as of one colour."""
SHARPENINGS: Final = 2
"""Steps towards the means; a third gains less than 1 %."""


def upsample_ab(ab: F32, luma_half: Plane, tags: ColorTags) -> F32:
    """Bring `ab` (h, w, 2) to the size of `luma_half` (H2, W2), which is of Y' codes as `tags` says.

    Returns (H2, W2, 2) float32, with all of a before all of b in memory.

    Raises:
        InvalidInputError: `ab` is not (h, w, 2).
    """
    if ab.ndim != 3 or ab.shape[2] != 2:
        raise InvalidInputError("ab", f"must be (h, w, 2), got {ab.shape}")
    size, small_size = luma_half.shape[::-1], ab.shape[1::-1]
    kernels = [blur_of_interpolation(large / small) for large, small in zip(size, small_size, strict=True)]
    _, span = luma_scale(tags.color_range, tags.bit_depth)
    detail = np.multiply(luma_half, np.float32(1 / span), dtype=np.float32)
    small_luma = np.asarray(cv2.resize(detail, small_size, interpolation=cv2.INTER_AREA), np.float32)
    scratch = np.empty_like(detail)
    detail -= cv2.resize(_sharpen(small_luma, kernels), size, dst=scratch, interpolation=cv2.INTER_LINEAR)

    upsampled = np.empty((2, *luma_half.shape), np.float32)
    small_ab = np.ascontiguousarray(ab.transpose(2, 0, 1), np.float32)
    for plane, small_plane, slope in zip(upsampled, small_ab, _fit_slopes(small_luma, small_ab), strict=True):
        cv2.resize(_sharpen(small_plane, kernels), size, dst=plane, interpolation=cv2.INTER_LINEAR)
        cv2.resize(slope, size, dst=scratch, interpolation=cv2.INTER_LINEAR)
        scratch *= detail
        np.add(plane, scratch, out=plane)
    return upsampled.transpose(1, 2, 0)


def blur_of_interpolation(factor: float) -> F32:
    """Return the kernel (3,) by which a line is blurred that is magnified bilinearly and averaged down again."""
    share = min(max(factor - 1, 0), 1) / 8  # exact from twice the size on but for a ninth at three times, and at one
    return np.array([share, 1 - 2 * share, share], np.float32)


def _sharpen(plane: F32, kernels: list[F32]) -> F32:
    """Undo the blur of the columns' and the rows' kernels, by Landweber's iteration."""
    sharpened = plane
    for _ in range(SHARPENINGS):
        blurred = cv2.sepFilter2D(sharpened, -1, kernels[0], kernels[1], borderType=cv2.BORDER_REPLICATE)
        sharpened = sharpened + (plane - blurred)
    return sharpened


def _fit_slopes(luma: F32, ab: F32) -> tuple[F32, F32]:
    """Return the slopes of a and of b over luma, each (h, w).

    They are fitted by least squares in each window, multiplied with the r squared of the fit, and averaged over
    windows. `luma` is (h, w), `ab` is (2, h, w).
    """
    mean, a_mean, b_mean = (_window_mean(plane) for plane in (luma, *ab))
    a_covariance = _window_mean(luma * ab[0]) - mean * a_mean
    b_covariance = _window_mean(luma * ab[1]) - mean * b_mean
    variance = _window_mean(np.square(luma)) - np.square(mean) + np.float32(LUMA_EPSILON)
    ab_variance = _window_mean(np.square(ab[0]) + np.square(ab[1])) - np.square(a_mean) - np.square(b_mean)
    explained = np.square(a_covariance) + np.square(b_covariance)
    weight: F32 = explained / (np.square(variance) * (ab_variance + np.float32(CHROMA_EPSILON)))
    return _window_mean(a_covariance * weight), _window_mean(b_covariance * weight)


def _window_mean(plane: F32) -> F32:
    return np.asarray(cv2.boxFilter(plane, -1, _WINDOW, borderType=cv2.BORDER_REFLECT_101), np.float32)
