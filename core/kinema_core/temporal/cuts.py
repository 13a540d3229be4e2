"""Scene cuts on grey film."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

THUMBNAIL: Final = (48, 27)
"""Width and height at which frames are compared: coarse enough for grain, scratches and small motion not to count."""
MAX_CORRELATION: Final = 0.6
"""Frames of one shot correlate more than this; measured on real clips they seldom fall below 0.8."""
MIN_CONTRAST: Final = 0.5
"""Standard deviation in L* below which a picture is flat (black, white, a fade's end) and has no content to compare."""


class CutDetector:
    """Tell where a new shot begins, from lightness alone and without looking ahead.

    Two frames are compared by the correlation of their thumbnails, which a change of exposure (a gain and an offset)
    leaves as it is. Dissolves and flashes are not told apart yet.
    """

    def __init__(self) -> None:
        self._previous: NDArray[np.float32] | None = None

    def is_cut(self, lightness: NDArray[np.float32]) -> bool:
        """Say whether `lightness` (H, W), L* 0-100, begins a new shot; the first frame does."""
        current = cv2.resize(lightness, THUMBNAIL, interpolation=cv2.INTER_AREA)
        current -= current.mean()
        previous, self._previous = self._previous, current
        if previous is None:
            return True
        contrast, previous_contrast = float(current.std()), float(previous.std())
        if min(contrast, previous_contrast) < MIN_CONTRAST:
            return max(contrast, previous_contrast) > 4 * MIN_CONTRAST
        return float((current * previous).mean()) < MAX_CORRELATION * contrast * previous_contrast
