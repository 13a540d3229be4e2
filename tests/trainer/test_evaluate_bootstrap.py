"""Bootstrap intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema_trainer.evaluation.bootstrap import Bootstrap, set_level

columns = st.lists(st.floats(-100, 100), min_size=2, max_size=12).map(np.array)


@given(columns, st.floats(-50, 50), st.floats(0.1, 10))
def test_an_interval_moves_and_scales_with_the_scores(column: np.ndarray, shift: float, scale: float) -> None:
    bootstrap = Bootstrap(len(column), num_resamples=100)

    plain, moved = (bootstrap.intervals({"score": c})["score"] for c in (column, scale * column + shift))

    # Sums of a dozen numbers up to 1000 in float64.
    assert moved.low == pytest.approx(scale * plain.low + shift, abs=1e-9)
    assert moved.high == pytest.approx(scale * plain.high + shift, abs=1e-9)


@given(columns)
def test_an_interval_lies_between_the_lowest_and_the_highest_score(column: np.ndarray) -> None:
    interval = Bootstrap(len(column), num_resamples=100).intervals({"score": column})["score"]

    assert column.min() - 1e-9 <= interval.low <= interval.high <= column.max() + 1e-9


@given(columns, st.floats(-50, 50))
def test_a_constant_advantage_is_certain_however_much_photographs_differ(column: np.ndarray, gain: float) -> None:
    bootstrap = Bootstrap(len(column), num_resamples=100)

    difference = bootstrap.differences({"score": column + gain}, {"score": column})["score"]

    for value in (difference.mean, difference.low, difference.high):
        assert value == pytest.approx(gain, abs=1e-9)


def test_an_interval_of_many_photographs_is_that_of_the_normal_distribution() -> None:
    column = np.random.default_rng(1).normal(30, 4, 400)

    interval = Bootstrap(400).intervals({"score": column})["score"]

    standard_error = column.std() / math.sqrt(400)
    # 2000 resamples place a 2.5 % quantile to about 0.06 standard errors; three times that.
    assert interval.low == pytest.approx(column.mean() - 1.96 * standard_error, abs=0.18 * standard_error)
    assert interval.high == pytest.approx(column.mean() + 1.96 * standard_error, abs=0.18 * standard_error)


def test_about_95_of_100_intervals_hold_the_true_mean() -> None:
    rng = np.random.default_rng(2)
    bootstrap = Bootstrap(40, num_resamples=400)

    intervals = [bootstrap.intervals({"score": rng.normal(7, 2, 40)})["score"] for _ in range(300)]

    covered = np.mean([interval.low <= 7 <= interval.high for interval in intervals])
    # The percentile interval of 40 values covers some 94 %; 300 trials have a standard deviation of 1.4 %.
    assert 0.90 <= covered <= 0.98


def test_the_same_seed_draws_the_same() -> None:
    column = {"score": np.arange(10.0)}

    assert Bootstrap(10).intervals(column) == Bootstrap(10).intervals(column)
    assert Bootstrap(10, seed=1).intervals(column) != Bootstrap(10).intervals(column)


def test_an_infinite_score_makes_the_upper_end_infinite_and_no_more() -> None:
    column = np.array([20.0, 21.0, 22.0, np.inf])

    interval = Bootstrap(4).intervals({"psnr": column})["psnr"]

    assert 20 <= interval.low <= 22  # a third of the draws miss the infinite one
    assert interval.high == math.inf


def test_the_difference_of_colourfulness_from_the_truth_is_one_of_means() -> None:
    """Photographs too colourful and too pale cancel out, in every resample as in the set."""
    found, truth = np.array([10.0, 30.0]), np.array([30.0, 10.0])
    columns = {"colourfulness": found, "truth_colourfulness": truth}

    interval = Bootstrap(2).intervals(columns)["delta_colourfulness"]
    level = set_level({name: float(column.mean()) for name, column in columns.items()})

    assert level == {"delta_colourfulness": 0, "colourfulness_ratio": 1}
    assert (interval.low, interval.high) == (0, 20)  # 20 where one photograph was drawn twice
