"""Cut bleed against its definition."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError
from kinema_core.quality.cut_bleed import cut_bleed

F32 = NDArray[np.float32]


def clip(*values: float) -> F32:
    """(T, 2, 3, 2), each frame of one colour (value, 0)."""
    frames = np.zeros((len(values), 2, 3, 2), np.float32)
    frames[..., 0] = np.array(values)[:, None, None]
    return frames


TRUTH = clip(0, 0, 0, 50, 50, 50, 50, 50)
UNSMOOTHED = clip(0, 0, 0, 40, 40, 40, 40, 40)


def test_no_smoothing_bleeds_nothing() -> None:
    assert cut_bleed(UNSMOOTHED, UNSMOOTHED, TRUTH, [3]) == 1


def test_colour_of_the_shot_before_counts_for_three_frames() -> None:
    bleeding = clip(0, 0, 0, 20, 30, 40, 0, 0)

    assert cut_bleed(bleeding, UNSMOOTHED, TRUTH, [3]) == pytest.approx((30 + 20 + 10) / 30)


def test_a_result_closer_to_the_truth_is_below_one() -> None:
    assert cut_bleed(clip(0, 0, 0, 45, 45, 45, 0, 0), UNSMOOTHED, TRUTH, [3]) == pytest.approx(0.5)


def test_frames_behind_two_close_cuts_count_once() -> None:
    bleeding = clip(0, 0, 0, 20, 40, 40, 40, 40)

    assert cut_bleed(bleeding, UNSMOOTHED, TRUTH, [3, 4]) == pytest.approx((30 + 10 + 10 + 10) / 40)


@pytest.mark.parametrize("cuts", [[], [0], [8]])
def test_a_clip_without_a_cut_has_no_bleed_to_measure(cuts: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="cuts"):
        cut_bleed(UNSMOOTHED, UNSMOOTHED, TRUTH, cuts)
