"""The shots of a film that is at hand as a whole."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from kinema_core.frames import TransitionKind
from kinema_core.temporal.cuts import CutDetector, Transition


def find_transitions(lightness: Iterable[NDArray[np.float32]]) -> list[Transition]:
    """Find where shots change in frames (H, W), L* 0-100.

    What a live stream must take for a cut, and a few frames later proves a flash or a damaged frame, is left out.
    """
    detector = CutDetector()
    transitions: list[Transition] = []
    for found in filter(None, map(detector.observe, lightness)):
        if found.kind is TransitionKind.RETURN:
            if transitions and transitions[-1].kind is TransitionKind.CUT and transitions[-1].end == found.start:
                transitions.pop()
            continue
        if transitions and transitions[-1].end >= found.start:  # what began as a cut was part of something longer
            transitions.pop()
        transitions.append(found)
    return transitions
