"""How often each ab occurs: in the photographs, and in what a method made of them."""

from collections.abc import Mapping
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kinema_core.color import rgb_to_lab
from kinema_trainer.evaluation.photo_set import Rgb

Counts: TypeAlias = NDArray[np.int64]

LIMIT: Final = 112
BIN: Final = 4
"""Lab units a side; the sRGB gamut lies within ±108."""
NUM_BINS: Final = 2 * LIMIT // BIN


def count_ab(rgb: Rgb) -> Counts:
    """Return (NUM_BINS of b, NUM_BINS of a), both rising from -LIMIT: how many pixels of (H, W, 3) sRGB lie there."""
    ab = rgb_to_lab(rgb)[..., 1:].reshape(-1, 2)
    a, b = np.clip((ab + LIMIT) // BIN, 0, NUM_BINS - 1).astype(np.int64).T
    return np.bincount(b * NUM_BINS + a, minlength=NUM_BINS**2).reshape(NUM_BINS, NUM_BINS)


class AbHistograms:
    """Histograms of ab over a set. It scores nothing; as a scorer it sees every picture."""

    description = ""

    def __init__(self) -> None:
        self.truth: Counts = np.zeros((NUM_BINS, NUM_BINS), np.int64)
        self.by_method: dict[str, Counts] = {}
        self._last: Rgb | None = None

    def add(self, method: str, picture: Rgb, truth: Rgb) -> Mapping[str, float]:
        """Count a picture and, once, its original."""
        if truth is not self._last:
            self._last = truth
            self.truth += count_ab(truth)
        self.by_method[method] = self.by_method.get(method, 0) + count_ab(picture)
        return {}

    def finish(self) -> Mapping[str, Mapping[str, float]]:
        """Return nothing."""
        return {}
