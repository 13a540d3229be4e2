"""Colour that follows motion and does not flicker: a causal, motion-compensated recursive average of ab.

The flow comes from the grey input, never from the colours, so that it cannot be led astray by what it is to mend.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError
from kinema_core.temporal.motion import Seen, find_motion, picture_for_flow, see
from kinema_core.temporal.state import StateReader, Value

F32 = NDArray[np.float32]

LONGEST_MEMORY: Final = 81.0
"""Frames that a pixel's colour is averaged over at strength 1; at strength s this number to the power of s."""
GAIN_MEMORY: Final = 20.0
"""Frames over which the strength of colours is compared."""
MAX_GAIN: Final = 1.05
"""The most by which colours are strengthened: a mean of different colours is paler than each of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Left:
    """What one frame leaves to the next."""

    seen: Seen
    ab: F32
    """(h, w, 2), averaged, laid out as the model's."""
    num_averaged: F32
    """(h, w), frames that make up each pixel's colour: the confidence in it."""


class Stabilizer:
    """Smooth the ab of one shot after another."""

    def __init__(self, strength: float) -> None:
        """Choose a strength of 0 (every frame for itself) to 1."""
        self._memory = LONGEST_MEMORY**strength
        self._state: Left | None = None
        self._given = self._averaged = 0.0
        """Energies of ab, from the model and averaged, summed over the shot, older frames fading."""

    def smooth(self, lightness: F32, ab: F32, *, is_cut: bool) -> F32:
        """Return the smoothed ab of the next frame.

        Args:
            lightness: (H, W), L* 0-100 of the frame as the model saw it, at least as large as `ab`.
            ab: (h, w, 2), Lab units, as the model gave it.
            is_cut: forget everything before this frame.
        """
        if self._memory <= 1:
            return ab
        averaged = self.average(lightness, ab, is_cut=is_cut)
        faded = 0.0 if is_cut else 1 - 1 / GAIN_MEMORY
        self._given = faded * self._given + _energy(ab)
        self._averaged = faded * self._averaged + _energy(averaged)
        return averaged * restoring_gain(self._given, self._averaged)

    def average(self, lightness: F32, ab: F32, *, is_cut: bool) -> F32:
        """Return what `smooth` does, but as pale as averaging makes it."""
        height, width = ab.shape[:2]
        seen = see(lightness, (height, width))
        if is_cut or self._state is None:
            self._state = Left(seen, ab, np.ones((height, width), np.float32))
            return ab
        motion = find_motion(self._state.seen, seen)
        num_averaged = motion.carry(self._state.num_averaged)
        num_averaged *= motion.trust
        num_averaged += 1
        np.minimum(num_averaged, np.float32(self._memory), out=num_averaged)
        averaged = np.empty_like(ab)
        for channel in range(2):  # by planes: the three arrays of each are as one in memory, if the model's are
            carried, given = motion.carry(self._state.ab[..., channel]), ab[..., channel]
            np.add(carried, (given - carried) / num_averaged, out=averaged[..., channel])
        self._state = Left(seen, averaged, num_averaged)
        return averaged

    @property
    def num_averaged(self) -> F32:
        """(h, w), frames that make up the last frame's colours, 1 where there is only its own."""
        assert self._state is not None, "there is no frame yet"
        return self._state.num_averaged

    @property
    def confidence(self) -> float | None:
        """`num_averaged` of the last frame in the mean, as a share of the memory, 0 to 1; None without smoothing."""
        return None if self._state is None else float(self._state.num_averaged.mean()) / self._memory

    def snapshot(self) -> dict[str, Value]:
        """Give what the frames so far leave to the next."""
        state: dict[str, Value] = {"memory": self._memory, "given": self._given, "averaged": self._averaged}
        if self._state is not None:
            seen = self._state.seen
            state |= {"picture": seen.picture, "lightness": seen.lightness}
            state |= {"ab": self._state.ab, "num_averaged": self._state.num_averaged}
        return state

    def restore(self, state: StateReader, shape: tuple[int, int], ab_shape: tuple[int, int], prefix: str = "") -> None:
        """Go on behind the frames that `snapshot` was taken after.

        Args:
            state: what was exported.
            shape: (H, W) of the lightness of every frame.
            ab_shape: (h, w) of the ab of every frame.
            prefix: of the names in it.

        Raises:
            InvalidInputError: it is not such a state, or of another strength or size.
        """
        self._given, self._averaged, self._state = read_left(state, self._memory, shape, ab_shape, prefix)


def _energy(ab: F32) -> float:
    flat = ab.ravel(order="K")
    return float(np.vdot(flat, flat))


def restoring_gain(given: float, averaged: float) -> np.float32:
    """Return the factor, 1 to MAX_GAIN, that gives averaged ab the energy (sum of squares) of those of the model."""
    return np.float32(min(max(np.sqrt((given + 1e-6) / (averaged + 1e-6)), 1.0), MAX_GAIN))


def read_left(
    state: StateReader, memory: float, shape: tuple[int, int], ab_shape: tuple[int, int], prefix: str
) -> tuple[float, float, Left | None]:
    """Read what `Stabilizer.snapshot` gave: the two energies of ab, and what the last frame left, if there was one.

    Raises:
        InvalidInputError: it is not such a state, or of another `memory` or size.
    """
    if state.number(f"{prefix}memory") != memory:
        raise InvalidInputError("state", "is of another strength of smoothing")
    given, averaged = state.number(f"{prefix}given"), state.number(f"{prefix}averaged")
    left = None
    if state.has(f"{prefix}ab"):
        picture_shape = picture_for_flow(np.zeros(shape, np.float32)).shape
        left = Left(
            Seen(
                state.array(f"{prefix}picture", np.uint8, picture_shape),
                state.array(f"{prefix}lightness", np.float32, ab_shape),
            ),
            state.array(f"{prefix}ab", np.float32, (*ab_shape, 2)),
            state.array(f"{prefix}num_averaged", np.float32, ab_shape),
        )
    return given, averaged, left
