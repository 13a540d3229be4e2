"""Colour that follows motion and does not flicker: a causal, motion-compensated recursive average of ab.

The flow comes from the grey input, never from the colours, so that it cannot be led astray by what it is to mend.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

# DIS cuts the picture into as many stripes as OpenCV has threads, and its result depends on them: with one thread a
# film comes out the same on every machine. Kinema overlaps whole stages instead.
cv2.setNumThreads(1)

MAX_CARRIED: Final = 0.95
"""The most of a pixel's colour that ever comes from frames before, at strength 1."""
RESIDUAL_SCALE: Final = 4.0
"""Motion-compensated difference in L* at which trust in the frame before falls to 1/e; film grain stays below."""


class Stabilizer:
    """Smooth the ab of one shot after another.

    State is one ab map, its lightness and the weight of its history, all at the model's output size.
    """

    def __init__(self, strength: float) -> None:
        """Choose a strength of 0 (every frame for itself) to 1."""
        # Squared, so that the usual middle strength already carries three quarters.
        self._max_carried = MAX_CARRIED * (1 - (1 - strength) ** 2)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._lightness: NDArray[np.uint8] | None = None
        self._ab: F32 | None = None
        self._history: F32 | None = None

    def smooth(self, lightness: F32, ab: F32, *, is_cut: bool) -> F32:
        """Return the smoothed ab of the next frame.

        Args:
            lightness: (h, w), L* 0-100 of the frame, at the size of `ab`.
            ab: (h, w, 2), Lab units, as the model gave it.
            is_cut: forget everything before this frame.
        """
        if self._max_carried == 0:
            return ab
        current = np.rint(lightness * 2.55).astype(np.uint8)
        if is_cut or self._ab is None or self._lightness is None or self._history is None:
            smoothed, history = ab, np.ones(ab.shape[:2], np.float32)
        else:
            carried_ab, carried_history = self._carry(current, self._lightness, self._ab, self._history)
            carried = np.minimum(carried_history / (carried_history + 1), self._max_carried)
            smoothed = ab + carried[..., None] * (carried_ab - ab)
            history = carried_history + 1
        self._lightness, self._ab, self._history = current, smoothed, history
        return smoothed

    def _carry(self, current: NDArray[np.uint8], previous: NDArray[np.uint8], ab: F32, history: F32) -> tuple[F32, F32]:
        """Move the state along the motion and weigh down the history where the pictures disagree."""
        height, width = current.shape
        flow = self._flow.calc(current, previous, None)  # (h, w, 2): where each pixel was in the frame before
        x = np.arange(width, dtype=np.float32) + flow[..., 0]
        y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
        state = np.dstack((ab, history, previous.astype(np.float32)))
        moved = cv2.remap(state, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

        difference = moved[..., 3] - current
        difference -= np.median(difference)  # what all the picture has gained is exposure flicker, not change
        residual = cv2.GaussianBlur(np.abs(difference), (0, 0), 1.0) / 2.55
        trust = np.exp(-((residual / RESIDUAL_SCALE) ** 2))
        is_inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        return moved[..., :2], moved[..., 2] * trust * is_inside
