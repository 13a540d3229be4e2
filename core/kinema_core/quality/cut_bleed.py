"""Cut bleed: colour of the old shot that is carried into the new one. A measure of our own."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError

NUM_FRAMES: Final = 3
"""How many frames count behind a cut."""


def cut_bleed(smoothed: NDArray[Any], unsmoothed: NDArray[Any], truth: NDArray[Any], cuts: Sequence[int]) -> float:
    """Return the error of ab in the first frames behind each cut, divided by the error without smoothing.

    Errors are the mean distance from the true ab; 1 is no bleed, less means that smoothing helps even there.

    Args:
        smoothed: (T, h, w, 2), Lab units.
        unsmoothed: the same, each frame for itself.
        truth: the same, true colours.
        cuts: index of the first frame of each new shot.

    Raises:
        InvalidInputError: the shapes differ, or there is no cut within the clip.
    """
    if not smoothed.shape == unsmoothed.shape == truth.shape or truth.ndim != 4 or truth.shape[3] != 2:
        raise InvalidInputError(
            "smoothed", f"must be (T, h, w, 2) as the others, got {smoothed.shape}, {unsmoothed.shape}, {truth.shape}"
        )
    if not cuts or not all(0 < cut < len(truth) for cut in cuts):
        raise InvalidInputError("cuts", f"must lie within the {len(truth)} frames, got {list(cuts)}")
    behind = sorted({index for cut in cuts for index in range(cut, min(cut + NUM_FRAMES, len(truth)))})
    error, unsmoothed_error = (
        np.linalg.norm(ab[behind].astype(np.float64) - truth[behind].astype(np.float64), axis=3).mean()
        for ab in (smoothed, unsmoothed)
    )
    return float(error / unsmoothed_error)
