"""Dense optical flow: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016, as OpenCV has it.

Between two pairs of pictures an estimator keeps its buffers and nothing else, 0.7 MiB for pictures of 176x96. So each
thread has one for all its films, and a stream that waits for its next frame holds none.
"""

import threading
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

# DIS cuts the picture into as many stripes as OpenCV has threads, and its result depends on them: with one thread a
# film comes out the same on every machine. Kinema overlaps whole stages instead: docs/adr/0006.
cv2.setNumThreads(1)


def find_flow(
    picture: NDArray[np.uint8], other: NDArray[np.uint8], *, finest_scale: int, descent_steps: int
) -> NDArray[np.float32]:
    """Tell for each pixel of `picture` (H, W) where it is in `other`.

    Args:
        picture: (H, W), grey of 0 to 255.
        other: the same, of another moment.
        finest_scale: 0 goes down to the pixels themselves, each step more stops at half of that size; a side must have
            eight pixels there, or OpenCV reads outside of its memory.
        descent_steps: of each patch.

    Returns:
        (H, W, 2), pixels to the right and down.
    """
    flow: Any = _estimators.get(finest_scale, descent_steps).calc(picture, other, None)
    return np.asarray(flow, np.float32)


class _Estimators(threading.local):
    """Those of one thread, made when they are first needed."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], cv2.DISOpticalFlow] = {}

    def get(self, finest_scale: int, descent_steps: int) -> cv2.DISOpticalFlow:
        key = finest_scale, descent_steps
        if key not in self._made:
            self._made[key] = made = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
            made.setFinestScale(finest_scale)
            made.setGradientDescentIterations(descent_steps)
        return self._made[key]


_estimators: Final = _Estimators()
