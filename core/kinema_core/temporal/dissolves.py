"""Dissolves, seen from their end: the picture of a while ago is gone, and between lie mixtures of it and this one."""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinema_core.temporal.state import StateReader, Value
from kinema_core.temporal.thumbnails import (
    COARSE_SIZE,
    SHAPE,
    Motion,
    Thumbnail,
    correlation,
    find_motion,
    likeness,
    share,
    thumbnail_of,
)

F32 = NDArray[np.float32]

SHORTEST: Final = 9
LONGEST: Final = 40
"""Frames over which a dissolve is looked for."""
EVERY: Final = 5
"""Frames after which another picture is carried along."""
MAX_CARRIED: Final = LONGEST // EVERY + 2
"""Pictures that are carried at a time, at most."""
PROBATION: Final = 4
"""Frames after which a carried picture must still resemble the film."""
MIN_SHARED: Final = 0.25
"""Share of a carried picture that must still be in sight."""
MAX_CARRIED_LIKENESS: Final = 0.3
"""A picture that is carried along the motion, from frame to frame, resembles its own shot more than this."""
MAX_ENDS_LIKENESS: Final = 0.4
"""So it does in one stride; the two tests fail for different motion."""
MIN_EXPLAINED: Final = 0.65
"""Share of a frame's variance that a mixture of both ends explains, in the median of the frames between."""
MIN_GAIN: Final = 0.02
"""By how much the mixture explains the mixed frames better than either end alone does."""
MIN_MIXED: Final = 3
"""Frames that are clearly of both ends."""
FEW_MIXED: Final = 4
MIN_FEW_EXPLAINED: Final = 0.62
"""So few of them must be explained this well: a sudden movement gives three or four frames of blur."""
MIN_TREND: Final = 0.75
"""Correlation of the new picture's share with time."""


class _Carried:
    """A picture that is moved along with what it shows."""

    def __init__(self, thumbnail: Thumbnail) -> None:
        self.origin = thumbnail
        self.age = 0
        self.plane = np.dstack((thumbnail.detail, np.ones_like(thumbnail.detail)))
        """(54, 96, 2): what it shows; where it does."""

    def follow(self, motion: Motion) -> None:
        self.plane = motion.carry(self.plane)
        self.age += 1

    def resembles(self, current: Thumbnail) -> bool:
        is_there = self.plane[..., 1] > 0.9
        if share(is_there) < MIN_SHARED:
            return True  # nothing speaks against it
        return correlation(self.plane[..., 0][is_there], current.detail[is_there]) >= MAX_CARRIED_LIKENESS


class DissolveWatch:
    """Tell when a dissolve is mostly over, from what came so far."""

    def __init__(self) -> None:
        self._coarse: deque[F32] = deque(maxlen=LONGEST + 1)
        self._carried: list[_Carried] = []
        self._until_next = 0

    def forget(self) -> None:
        """Begin anew, behind a cut or a blank."""
        self._coarse.clear()
        self._carried.clear()
        self._until_next = 0

    def push(self, current: Thumbnail, motion: Motion) -> int | None:
        """Take the next frame, and how it moved; return how many frames ago a dissolve began if it is mostly over."""
        self._coarse.append(current.coarse)
        for carried in self._carried:
            carried.follow(motion)
        self._carried = [carried for carried in self._carried if self._is_of_use(carried, current)]
        if self._until_next == 0:
            self._carried.append(_Carried(current))
            self._until_next = EVERY
        self._until_next -= 1
        for carried in self._carried:
            if carried.age < SHORTEST or carried.resembles(current):
                continue
            first_mixed = find_mixture(np.stack(list(self._coarse)[-carried.age - 1 :]))
            if first_mixed is None:
                continue
            stride = find_motion(carried.origin, current)
            if likeness(carried.origin, current, stride) < MAX_ENDS_LIKENESS:
                return carried.age - first_mixed
        return None

    def snapshot(self) -> dict[str, Value]:
        """Give what the frames so far leave to the next."""
        state: dict[str, Value] = {"until_next": self._until_next}
        state |= {f"coarse.{index}": coarse for index, coarse in enumerate(self._coarse)}
        for index, carried in enumerate(self._carried):
            state[f"origin.{index}"] = carried.origin.lightness
            state[f"plane.{index}"] = carried.plane
            state[f"age.{index}"] = carried.age
        return state

    def restore(self, state: StateReader, prefix: str) -> None:
        """Go on behind the frames that `snapshot` was taken after.

        Raises:
            InvalidInputError: it is not such a state.
        """
        until_next = state.integer(f"{prefix}until_next")
        coarse_shape = (COARSE_SIZE[0] * COARSE_SIZE[1],)
        coarse = state.arrays(f"{prefix}coarse", np.float32, coarse_shape, most=LONGEST + 1)
        carried = []
        for index, origin in enumerate(state.arrays(f"{prefix}origin", np.float32, SHAPE, most=MAX_CARRIED)):
            one = _Carried(thumbnail_of(origin))
            one.plane = state.array(f"{prefix}plane.{index}", np.float32, (*SHAPE, 2))
            one.age = state.integer(f"{prefix}age.{index}")
            carried.append(one)
        self._until_next = until_next
        self._coarse = deque(coarse, maxlen=LONGEST + 1)
        self._carried = carried

    def _is_of_use(self, carried: _Carried, current: Thumbnail) -> bool:
        """Whether to carry a picture on: a flash or a torn frame resembles even its neighbours too little."""
        return carried.age <= LONGEST and (carried.age != PROBATION or carried.resembles(current))


def find_mixture(frames: F32) -> int | None:
    """Return the first mixed frame if `frames` (T, N), each of mean 0, go from the first over into the last."""
    ends, between = frames[[0, -1]].astype(np.float64), frames[1:-1].astype(np.float64)
    gram = ends @ ends.T
    if np.linalg.det(gram) < 1e-3 * gram[0, 0] * gram[1, 1] or min(gram[0, 0], gram[1, 1]) < 1e-6:
        return None  # the ends are the same, or blank
    products = ends @ between.T  # (2, T - 2)
    weights = np.linalg.solve(gram, products)
    energy = np.maximum(np.square(between).sum(axis=1), 1e-6)
    explained = (weights * products).sum(axis=0) / energy
    explained_by_one = (np.square(products) / np.diag(gram)[:, None]).max(axis=0) / energy
    is_mixed = (weights > 0.2 * weights.sum(axis=0)).all(axis=0) & (weights > 0).all(axis=0)
    if is_mixed.sum() < MIN_MIXED or np.median(explained) < MIN_EXPLAINED:
        return None
    if np.median((explained - explained_by_one)[is_mixed]) < MIN_GAIN:
        return None
    if is_mixed.sum() <= FEW_MIXED and np.median(explained[is_mixed]) < MIN_FEW_EXPLAINED:
        return None
    total = weights.sum(axis=0)
    share = weights[1] / np.where(np.abs(total) > 1e-3, total, 1)
    trend = correlation(share.astype(np.float32), np.arange(len(share), dtype=np.float32))
    return 1 + int(np.argmax(is_mixed)) if trend >= MIN_TREND else None
