"""Where the sRGB gamut ends.

Hold a picture's Y' (or its luminance) and let the colour vary: what is left of the RGB cube is a flat slice, a
polygon of three to six sides round the grey of that Y'. Walking round its edge, and converting every point met to
Lab, gives the greatest chroma of each hue without solving for anything.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

NUM_HUES: Final = 2048
HUE_STEP: Final = 2 * np.pi / NUM_HUES
"""Radians."""
HUES: Final = np.linspace(-np.pi, np.pi, NUM_HUES + 1)
"""Radians; both ends are the same hue."""

_NUM_STEPS: Final = 4096
_OVERLAP: Final = _NUM_STEPS // 16
"""How many steps are walked again beyond either end of the circle, so that no hue lies outside the walk."""


def walk_slice(level: float, weights: tuple[float, float, float]) -> NDArray[np.float64]:
    """Walk once round the slice of the unit cube in which `weights` . x = `level`.

    `level` is above 0 and below 1; `weights` sum to 1. Returns the (n, 3) points met.
    """
    angles = np.arange(_NUM_STEPS) * (2 * np.pi / _NUM_STEPS)
    first, third = np.cos(angles), np.sin(angles)
    directions = np.stack([first, -(weights[0] * first + weights[2] * third) / weights[1], third], axis=-1)
    with np.errstate(divide="ignore"):
        lengths = np.where(directions > 0, 1 - level, level) / np.abs(directions)
    points: NDArray[np.float64] = level + lengths.min(axis=-1, keepdims=True) * directions
    return points.clip(0, 1)


def max_chroma_by_hue(edge: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chroma beyond which no colour of a hue is inside, from a walk round the `edge` in Lab, (n, 3).

    The result is (NUM_HUES + 1,), for hues from -pi to pi in steps of HUE_STEP. At a few hues (deep blue and red in the
    dark, yellow near white) the gamut has a notch: a ray leaves it, enters it again and leaves it for good. The last
    time counts. What lies in a notch is then left as it is, outside by at most 3 of 255 codes; were it the first time,
    yellows that do fit would lose up to half of their chroma.
    """
    edge = np.roll(edge, -int(np.argmin(np.arctan2(edge[:, 2], edge[:, 1]))), axis=0)
    hue = np.unwrap(np.arctan2(edge[:, 2], edge[:, 1]))
    if hue[-1] < hue[0]:
        hue, edge = hue[::-1] + 2 * np.pi, edge[::-1]
    hue = np.concatenate([hue[-_OVERLAP:] - 2 * np.pi, hue, hue[:_OVERLAP] + 2 * np.pi])
    chroma = np.hypot(edge[:, 1], edge[:, 2])
    chroma = np.concatenate([chroma[-_OVERLAP:], chroma, chroma[:_OVERLAP]])
    # The walk's hue turns back at a notch. Of the three times, the first and the last lie where the hue is the highest
    # so far, or the lowest yet to come.
    so_far = hue >= np.maximum.accumulate(hue)
    yet_to_come = hue <= np.minimum.accumulate(hue[::-1])[::-1]
    return np.maximum(
        np.interp(HUES, hue[so_far], chroma[so_far]),
        np.interp(HUES, hue[yet_to_come], chroma[yet_to_come]),
    )
