"""Differences without exposure flicker."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.temporal.exposure import difference_without_flicker

F32 = NDArray[np.float32]


def picture() -> F32:
    y, x = np.mgrid[0:64, 0:96].astype(np.float32)
    return np.asarray(50 + 20 * np.sin(x / 5) + 15 * np.cos(y / 6), np.float32)


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (1.15, -4.0), (0.85, 6.0)])
def test_a_gain_and_an_offset_of_all_the_picture_leave_nothing(gain: float, offset: float) -> None:
    after = picture() * np.float32(gain) + np.float32(offset)

    assert np.abs(difference_without_flicker(picture(), after)).max() < 0.2


def test_uneven_flicker_leaves_little() -> None:
    after = picture() + np.linspace(-2.5, 2.5, 96, dtype=np.float32)

    assert np.abs(difference_without_flicker(picture(), after)).mean() < 0.3 * 1.25  # 1.25: the mean of what was added


@pytest.mark.parametrize("share", [0.1, 0.3, 0.45])
def test_what_really_changed_stays_and_spoils_nothing_else(share: float) -> None:
    after = picture() * np.float32(1.1)
    width = int(96 * share)
    after[:, :width] = 95

    difference = difference_without_flicker(picture(), after)

    assert np.abs(difference[:, :width]).mean() > 0.7 * np.abs(1.1 * picture()[:, :width] - 95).mean()
    assert np.abs(difference[:, width + 12 :]).mean() < 1.0


def test_flat_pictures_have_no_difference() -> None:
    grey, black = np.full((64, 96), 50, np.float32), np.zeros((64, 96), np.float32)

    assert np.abs(difference_without_flicker(grey, black)).max() < 0.01
