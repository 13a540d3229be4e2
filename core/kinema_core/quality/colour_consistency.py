"""Colour distribution consistency, CDC.

Liu et al., "Temporally Consistent Video Colorization with Deep Feature Propagation and Self-regularization Learning",
2021: the Jensen-Shannon divergence between the histograms of frames t apart, for t of 1, 2
and 4. Natural logarithm, 256 bins a channel of 8-bit RGB, the mean over channels, over frames and over the three t.

A grey or frozen film scores 0, so the number to look at is the distance from the true colours' CDC.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError

F64 = NDArray[np.float64]

DISTANCES: Final = (1, 2, 4)
"""Frames apart."""


def colour_histogram(rgb: NDArray[np.uint8]) -> F64:
    """Return the share of each code in each channel, (3, 256), of a picture (H, W, 3).

    Raises:
        InvalidInputError: not 8-bit RGB, or empty.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        raise InvalidInputError("rgb", f"must be uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}")
    counts = np.stack([np.bincount(channel.ravel(), minlength=256) for channel in np.moveaxis(rgb, 2, 0)])
    shares: F64 = counts / (rgb.shape[0] * rgb.shape[1])
    return shares


def colour_consistency(histograms: Sequence[F64]) -> float:
    """Return the CDC of a clip of at least 5 frames from its `colour_histogram`s.

    Raises:
        InvalidInputError: too few frames.
    """
    if len(histograms) <= max(DISTANCES):
        raise InvalidInputError("histograms", f"must be of {max(DISTANCES) + 1} frames or more, got {len(histograms)}")
    clip = np.stack(histograms)  # (T, 3, 256)
    return float(np.mean([_divergence(clip[:-t], clip[t:]).mean() for t in DISTANCES]))


def _divergence(p: F64, q: F64) -> F64:
    """Return the Jensen-Shannon divergence of distributions along the last axis, 0 to ln 2."""
    middle = (p + q) / 2
    return (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2


def _relative_entropy(p: F64, q: F64) -> F64:
    """Return the sum of p ln(p / q) along the last axis; q is 0 only where p is."""
    is_there = p > 0
    logs = np.log(np.divide(p, q, out=np.ones_like(p), where=is_there))
    entropy: F64 = (p * logs).sum(axis=-1)
    return entropy
