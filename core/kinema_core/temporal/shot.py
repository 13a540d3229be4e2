"""One shot smoothed both ways, where all of it is at hand."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError
from kinema_core.temporal.stabilizer import Stabilizer, restoring_gain

F32 = NDArray[np.float32]


def smooth_shot(lightness: Sequence[F32], ab: Sequence[F32], strength: float) -> list[F32]:
    """Return the smoothed ab of a shot: each frame's colour from as many frames behind as before it.

    The causal average is taken once forwards and once backwards, and both are put together by how many frames each is
    made of, the frame itself counted once. Needs as much memory again as the ab of the shot, and half of that.

    Args:
        lightness: (H, W) each, L* 0-100, as the model saw the frames.
        ab: (h, w, 2) each, Lab units, as the model gave it; as many.
        strength: as for `Stabilizer`.

    Raises:
        InvalidInputError: not as many lightnesses as ab.
    """
    if len(lightness) != len(ab):
        raise InvalidInputError("lightness", f"must be of as many frames as ab, got {len(lightness)} and {len(ab)}")
    if strength == 0:
        return list(ab)
    forward = Stabilizer(strength)
    averages = []
    for number, (seen, own) in enumerate(zip(lightness, ab, strict=True)):
        past = forward.average(seen, own, is_cut=number == 0)
        averages.append((past, forward.num_averaged))

    backward = Stabilizer(strength)
    smoothed: list[F32] = []
    for seen, own in zip(reversed(lightness), reversed(ab), strict=True):
        future = backward.average(seen, own, is_cut=not smoothed)
        past, num_past = averages.pop()
        num_past, num_future = num_past[..., None], backward.num_averaged[..., None]
        smoothed.append((num_past * past + num_future * future - own) / (num_past + num_future - 1))
    gain = restoring_gain(*(sum(float(np.vdot(frame, frame)) for frame in clip) for clip in (ab, smoothed)))
    return [frame * gain for frame in reversed(smoothed)]
