"""The colour difference CIEDE2000.

Sharma, Wu and Dalal, "The CIEDE2000 Color-Difference Formula: Implementation Notes, Supplementary Test Data, and
Mathematical Observations", Color Research and Application 30(1), 2005, with kL = kC = kH = 1. Equation numbers are
the paper's.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError

F64 = NDArray[np.float64]

_OPPOSITE: Final = np.pi + 1e-11
"""Hues up to pi apart are averaged as they stand. Exactly opposite hues must count so, whichever way arctan2 rounds
(some 1e-16); the paper's nearest other case is 4e-5 away."""


def ciede2000(lab: NDArray[Any], truth: NDArray[Any]) -> F64:
    """Return the difference of each pair of colours: (..., 3) Lab, D65 -> (...), float64.

    Raises:
        InvalidInputError: the shapes differ or do not end in 3.
    """
    if lab.shape != truth.shape or lab.shape[-1:] != (3,):
        raise InvalidInputError("lab", f"must be (..., 3) and have the truth's shape {truth.shape}, got {lab.shape}")
    lightness_1, a_1, b_1 = np.moveaxis(lab.astype(np.float64), -1, 0)
    lightness_2, a_2, b_2 = np.moveaxis(truth.astype(np.float64), -1, 0)
    stretch = 1.5 - 0.5 * _high_chroma((np.hypot(a_1, b_1) + np.hypot(a_2, b_2)) / 2)  # 1 + G, (2) to (4)
    a_1, a_2 = a_1 * stretch, a_2 * stretch  # (5)
    chroma_1, chroma_2 = np.hypot(a_1, b_1), np.hypot(a_2, b_2)  # (6)
    hue_difference, hue_mean = _hues(a_1, b_1, a_2, b_2)

    delta_lightness = lightness_2 - lightness_1  # (8)
    delta_chroma = chroma_2 - chroma_1  # (9)
    delta_hue = 2 * np.sqrt(chroma_1 * chroma_2) * np.sin(hue_difference / 2)  # (11)

    chroma_mean = (chroma_1 + chroma_2) / 2  # (13)
    off_middle = np.square((lightness_1 + lightness_2) / 2 - 50)  # (12)
    scale_lightness = 1 + 0.015 * off_middle / np.sqrt(20 + off_middle)  # (18)
    scale_chroma = 1 + 0.045 * chroma_mean  # (19)
    scale_hue = 1 + 0.015 * chroma_mean * _hue_weight(hue_mean)  # (20)
    turn = np.radians(30) * np.exp(-np.square((np.degrees(hue_mean) - 275) / 25))  # (16)
    rotation = -2 * _high_chroma(chroma_mean) * np.sin(2 * turn)  # (17), (21)

    in_lightness = delta_lightness / scale_lightness
    in_chroma = delta_chroma / scale_chroma
    in_hue = delta_hue / scale_hue
    squared = np.square(in_lightness) + np.square(in_chroma) + np.square(in_hue) + rotation * in_chroma * in_hue
    difference: F64 = np.sqrt(np.maximum(squared, 0))  # (22); rounding may leave -1e-33 of nothing
    return difference


def _hues(a_1: F64, b_1: F64, a_2: F64, b_2: F64) -> tuple[F64, F64]:
    """Return difference and mean of two hues, in radians; a grey has no hue and takes the other's."""
    hue_1, hue_2 = (np.mod(np.arctan2(b, a), 2 * np.pi) for a, b in ((a_1, b_1), (a_2, b_2)))  # (7)
    is_grey = ((a_1 == 0) & (b_1 == 0)) | ((a_2 == 0) & (b_2 == 0))
    hue_sum, difference = hue_1 + hue_2, hue_2 - hue_1
    is_wrapped = (np.abs(difference) > _OPPOSITE) & ~is_grey
    full_turn = 2 * np.pi
    mean = np.where(is_grey, hue_sum, hue_sum / 2)  # (14); arctan2(0, 0) is 0, so that the sum is the other's hue
    mean += np.where(is_wrapped, np.where(hue_sum < full_turn, np.pi, -np.pi), 0)
    difference -= np.where(is_wrapped, np.copysign(full_turn, difference), 0)  # (10)
    return np.where(is_grey, 0, difference), mean


def _hue_weight(hue: F64) -> F64:
    """Return T of (15)."""
    weight: F64 = (
        1
        - 0.17 * np.cos(hue - np.radians(30))
        + 0.24 * np.cos(2 * hue)
        + 0.32 * np.cos(3 * hue + np.radians(6))
        - 0.20 * np.cos(4 * hue - np.radians(63))
    )
    return weight


def _high_chroma(chroma: F64) -> F64:
    """Return sqrt(C^7 / (C^7 + 25^7)), which the paper uses twice: 0 for greys, 1 for vivid colours."""
    seventh = np.square(chroma * np.square(chroma)) * chroma  # np.power takes many times as long
    high: F64 = np.sqrt(seventh / (seventh + 25.0**7))
    return high
