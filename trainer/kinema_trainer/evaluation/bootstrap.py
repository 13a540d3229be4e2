"""How sure a mean over photographs is: percentile bootstrap intervals.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. The photographs are drawn again, with
replacement, many times; the interval holds the middle 95 % of the means. All methods see the same draws, so that the
difference of two methods is paired: photographs that are hard for both do not widen it. The draws come from a fixed
seed. What an interval covers is another choice of photographs, not another training run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

F64: TypeAlias = NDArray[np.float64]

CONFIDENCE: Final = 0.95
NUM_RESAMPLES: Final = 2000
SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a mean lies, with a confidence of 95 %."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean score minus another's, and where that lies with a confidence of 95 %."""

    mean: float
    low: float
    high: float


def set_level(means: Mapping[str, float]) -> dict[str, float]:
    """Return what is known of a set only: |mean CF - mean CF of the truth| and their ratio, where CF is scored."""
    return {name: float(value) for name, value in _set_level({k: np.asarray(v) for k, v in means.items()}).items()}


def _set_level(means: Mapping[str, F64]) -> dict[str, F64]:
    if "colourfulness" not in means:
        return {}
    found, truth = means["colourfulness"], means["truth_colourfulness"]
    return {"delta_colourfulness": np.abs(found - truth), "colourfulness_ratio": found / truth}


class Bootstrap:
    """The draws, for a set of photographs; every score is a column of one number a photograph."""

    def __init__(self, num_photos: int, *, num_resamples: int = NUM_RESAMPLES, seed: int = SEED) -> None:
        even = np.full(num_photos, 1 / num_photos)
        draws = np.random.default_rng(seed).multinomial(num_photos, even, size=num_resamples)
        self._weights: F64 = draws / num_photos  # (num_resamples, num_photos)

    def intervals(self, columns: Mapping[str, F64]) -> dict[str, Interval]:
        """Return the interval of each column's mean, and of what is known of the set only."""
        return {name: Interval(*_middle(means)) for name, means in self._resampled(columns).items()}

    def differences(self, columns: Mapping[str, F64], others: Mapping[str, F64]) -> dict[str, Difference]:
        """Return how far the means of `columns` are above those of `others`, score by score."""
        point, other_point = (_with_set_level({k: v.mean() for k, v in c.items()}) for c in (columns, others))
        drawn, other_drawn = self._resampled(columns), self._resampled(others)
        with np.errstate(invalid="ignore"):  # infinity - infinity: not a number, and reported as such
            return {
                name: Difference(float(point[name] - other_point[name]), *_middle(drawn[name] - other_drawn[name]))
                for name in drawn
                if name in other_drawn
            }

    def _resampled(self, columns: Mapping[str, F64]) -> dict[str, F64]:
        return _with_set_level({name: self._means(column) for name, column in columns.items()})

    def _means(self, column: F64) -> F64:
        """Average a column in every draw: infinite where one infinite score was drawn (a PSNR may be)."""
        is_finite = np.isfinite(column)
        means: F64 = self._weights @ np.where(is_finite, column, 0)
        if not is_finite.all():
            means[self._weights @ ~is_finite > 0] = np.inf
        return means


def _with_set_level(means: Mapping[str, F64]) -> dict[str, F64]:
    return {**means, **_set_level(means)}


def _middle(means: F64) -> tuple[float, float]:
    # The nearest mean itself, not a value between two: halfway to infinity there is none.
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, (tail, 1 - tail), method="inverted_cdf")
    return float(low), float(high)
