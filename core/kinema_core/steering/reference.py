"""The palette of a reference picture, given to every shot of a film.

The linear Monge-Kantorovitch map (Pitie and Kokaram, "The Linear Monge-Kantorovitch Linear Colour Mapping for
Example-Based Colour Transfer", 2007), on ab alone: of all linear maps that give the shot's ab the mean and covariance
of the reference's, the one that moves colours least. It is bounded, so that a grey shot is not blown up and no shot is
painted over.
"""

from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color import rgb_to_lab
from kinema_core.errors import InvalidInputError
from kinema_core.steering.colour_statistics import ColourStatistics
from kinema_core.temporal.state import StateReader, Value

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]

MAX_SHIFT: Final = 15.0
"""Lab units that the mean of a shot is moved by, at most."""
MAX_GAIN: Final = 2.0
"""Factor by which a direction of ab is stretched, at most; and squeezed."""
MEMORY: Final = 100
"""Frames over which a shot's colours are averaged, once it is so long."""
_NOISE: Final = 9.0
"""Variance added to each direction: a palette of one hue has no say in what it lacks."""
_STATISTICS_SIDE: Final = 256


def measure_colour(rgb: NDArray[np.uint8]) -> ColourStatistics:
    """Measure the colours of a picture (H, W, 3), sRGB."""
    scale = _STATISTICS_SIDE / max(rgb.shape[:2])
    if scale < 1:
        rgb = np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    moments = _moments(rgb_to_lab(rgb)[..., 1:])
    mean, covariance = _statistics(moments)
    # As float32, the precision of the wire: the same bits here as through a server.
    a, b, variance_a, variance_b, mixed = (
        float(np.float32(number))
        for number in (*mean, covariance[0, 0].clip(0), covariance[1, 1].clip(0), covariance[0, 1])
    )
    return ColourStatistics(a, b, variance_a, variance_b, mixed)


class ReferenceTransfer:
    """Give ab of a film's frames, in order, the palette of a reference.

    The map is made from the mean of the frames of the shot so far, so that it changes little from frame to frame and
    needs no frame to come; at a cut it starts anew.
    """

    def __init__(self, reference: ColourStatistics) -> None:
        self._mean = np.array([reference.mean_a, reference.mean_b])
        self._covariance = np.array(
            [[reference.variance_a, reference.covariance], [reference.covariance, reference.variance_b]]
        )
        self._moments = np.zeros(5)
        self._num_frames = 0

    def apply(self, ab: F32, *, is_cut: bool) -> F32:
        """Return the frame's ab (h, w, 2) in the reference's palette."""
        if is_cut:
            self._num_frames = 0
        self._num_frames = min(self._num_frames + 1, MEMORY)
        self._moments = self._moments + (_moments(ab) - self._moments) / self._num_frames
        mean, covariance = _statistics(self._moments)
        shift = self._mean - mean
        shift *= min(1.0, MAX_SHIFT / max(float(np.linalg.norm(shift)), MAX_SHIFT))
        matrix = _transport(covariance + _NOISE * np.eye(2), self._covariance + _NOISE * np.eye(2))
        offset = mean + shift - matrix @ mean
        moved: F32 = ab @ matrix.T.astype(np.float32) + offset.astype(np.float32)
        return moved

    def snapshot(self) -> dict[str, Value]:
        """Give what the frames so far leave to the next."""
        return {"moments": self._moments, "num_frames": self._num_frames}

    def restore(self, state: StateReader, prefix: str = "") -> None:
        """Go on behind the frames that `snapshot` was taken after.

        Raises:
            InvalidInputError: it is not such a state.
        """
        moments, num_frames = state.array(f"{prefix}moments", np.float64, (5,)), state.integer(f"{prefix}num_frames")
        if not 0 <= num_frames <= MEMORY:
            raise InvalidInputError("state", f"has {num_frames} frames of a palette, {MEMORY} at most are allowed")
        self._moments, self._num_frames = moments, num_frames


def _moments(ab: F32) -> F64:
    """Return the means of a, b, a a, b b and a b over a picture (h, w, 2)."""
    a, b = ab[..., 0].astype(np.float64), ab[..., 1].astype(np.float64)
    return np.array([np.mean(values) for values in (a, b, a * a, b * b, a * b)])


def _statistics(moments: F64) -> tuple[F64, F64]:
    a, b, aa, bb, ab = moments.tolist()
    return np.array([a, b]), np.array([[aa - a * a, ab - a * b], [ab - a * b, bb - b * b]])


def _transport(source: F64, target: F64) -> F64:
    """Return the symmetric map of least motion between two covariances (2, 2), its stretches bounded."""
    root = _power(source, 0.5)
    inverse = _power(source, -0.5)
    stretches, directions = np.linalg.eigh(inverse @ _power(root @ target @ root, 0.5) @ inverse)
    bounded: F64 = (directions * np.clip(stretches, 1 / MAX_GAIN, MAX_GAIN)) @ directions.T
    return bounded


def _power(matrix: F64, exponent: float) -> F64:
    values, vectors = np.linalg.eigh(matrix)
    power: F64 = (vectors * np.maximum(values, 1e-9) ** exponent) @ vectors.T
    return power
