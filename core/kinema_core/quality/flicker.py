"""Flicker: how much the colours change from a frame to the next, seen along the motion.

The idea is that of the warp error (Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018), reduced to what
can be done for every frame of a film: the root of the mean squared distance of ab in Lab units, on pictures of 96 x 54.
Pixels whose lightness along the motion changed are left out, for they show something else. Motion, exposure flicker and
that limit are those of the smoothing (`kinema_core.temporal`); `warp_error.py` is the measure to compare methods by.

A grey film does not flicker: the number says something only beside colourfulness.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError
from kinema_core.temporal.exposure import difference_without_flicker
from kinema_core.temporal.motion import RESIDUAL_SCALE
from kinema_core.temporal.thumbnails import SIZE, Thumbnail, find_motion, make_thumbnail

F32 = NDArray[np.float32]


class FlickerMeter:
    """Measure one shot after another."""

    def __init__(self) -> None:
        self._previous: tuple[Thumbnail, F32] | None = None

    def measure(self, lab: F32, *, is_cut: bool) -> float:
        """Take the next frame and return the change of its ab, in Lab units.

        NaN for the first frame of a shot, and where nothing is seen twice.

        Args:
            lab: (54, 96, 3), L* 0-100 and ab.
            is_cut: whether a new shot begins here.

        Raises:
            InvalidInputError: another shape.
        """
        if lab.shape != (SIZE[1], SIZE[0], 3):
            raise InvalidInputError("lab", f"must be ({SIZE[1]}, {SIZE[0]}, 3), got {lab.shape}")
        current = make_thumbnail(lab[..., 0])
        before, self._previous = self._previous, (current, lab)
        if before is None or is_cut:
            return float("nan")
        motion = find_motion(before[0], current)
        moved = cv2.remap(before[1], motion.x, motion.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        residual = np.abs(difference_without_flicker(moved[..., 0], lab[..., 0]))
        is_inside = (motion.x >= 0) & (motion.x <= SIZE[0] - 1) & (motion.y >= 0) & (motion.y <= SIZE[1] - 1)
        change = (moved[..., 1:] - lab[..., 1:])[is_inside & (residual < RESIDUAL_SCALE)]
        return float(np.sqrt(np.square(change).sum(axis=1).mean())) if len(change) else float("nan")
