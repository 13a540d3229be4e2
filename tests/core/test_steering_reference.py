"""The palette of a reference picture."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError
from kinema_core.steering.colour_statistics import ColourStatistics
from kinema_core.steering.reference import MAX_GAIN, MAX_SHIFT, ReferenceTransfer, measure_colour

F32 = NDArray[np.float32]

PALETTE = ColourStatistics(mean_a=6, mean_b=12, variance_a=100, variance_b=250, covariance=60)


def colours(seed: int, mean: tuple[float, float], spread: tuple[float, float], mixed: float = 0.0) -> F32:
    """(60, 80, 2) with about those moments."""
    covariance = np.array([[spread[0] ** 2, mixed], [mixed, spread[1] ** 2]])
    ab = np.random.default_rng(seed).multivariate_normal(mean, covariance, (60, 80))
    return ab.astype(np.float32)


def moments(ab: F32) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    flat = ab.reshape(-1, 2).astype(np.float64)
    return flat.mean(axis=0), np.cov(flat.T, bias=True)


def test_a_frame_gets_the_mean_and_nearly_the_covariance_of_the_reference() -> None:
    moved = ReferenceTransfer(PALETTE).apply(colours(1, (2, 3), (9, 12), -20), is_cut=True)

    mean, covariance = moments(moved)
    np.testing.assert_allclose(mean, (6, 12), atol=1e-3)
    # 10 %: the variance that is added on both sides pulls the map towards leaving things alone.
    np.testing.assert_allclose(covariance, [[100, 60], [60, 250]], rtol=0.1, atol=3)


def test_a_picture_that_has_the_palette_is_left_alone() -> None:
    ab = colours(2, (6, 12), (8, 14), 50)
    (a, b), covariance = moments(ab)
    own = ColourStatistics(a, b, covariance[0, 0], covariance[1, 1], covariance[0, 1])

    np.testing.assert_allclose(ReferenceTransfer(own).apply(ab, is_cut=True), ab, atol=1e-2)


@given(st.integers(0, 999), st.floats(-60, 60), st.floats(-60, 60), st.floats(0, 40), st.floats(0, 40))
def test_the_map_is_bounded(seed: int, a: float, b: float, spread_a: float, spread_b: float) -> None:
    ab = colours(seed, (a, b), (spread_a, spread_b))

    moved = ReferenceTransfer(PALETTE).apply(ab, is_cut=True)

    shift = np.linalg.norm(moments(moved)[0] - moments(ab)[0])
    assert shift <= MAX_SHIFT + 1e-2
    centred, spread = ((x - x.mean(axis=(0, 1))).reshape(-1, 2) for x in (ab, moved))
    rounding = 0.02  # of float32, in numbers near 100
    assert (np.linalg.norm(spread, axis=1) <= MAX_GAIN * np.linalg.norm(centred, axis=1) + rounding).all()


def test_a_grey_shot_gets_a_tint_and_no_noise() -> None:
    moved = ReferenceTransfer(PALETTE).apply(np.zeros((10, 10, 2), np.float32), is_cut=True)

    np.testing.assert_allclose(moved, np.broadcast_to((6, 12), moved.shape), atol=1e-4)


def test_it_is_calm_within_a_shot_and_forgets_at_a_cut() -> None:
    transfer, probe = ReferenceTransfer(PALETTE), np.full((60, 80, 2), 5, np.float32)
    shot = [colours(seed, (2 + seed % 2, 3), (9, 12)) for seed in range(12)]  # the mean jumps by 1 from frame to frame

    for ab in shot:
        ab[0, 0] = (5, 5)

    colour = [transfer.apply(ab, is_cut=n == 0)[0, 0] for n, ab in enumerate(shot)]

    jumps = np.abs(np.diff(colour, axis=0)).max(axis=1)
    assert jumps[-3:].max() < 0.15
    np.testing.assert_array_equal(
        transfer.apply(probe, is_cut=True), ReferenceTransfer(PALETTE).apply(probe, is_cut=False)
    )


def test_statistics_are_those_of_the_picture_in_lab() -> None:
    rgb = np.zeros((40, 80, 3), np.uint8)
    rgb[:, :40], rgb[:, 40:] = (200, 120, 60), (60, 90, 160)
    lab = cv2.cvtColor(np.float32(rgb) / 255, cv2.COLOR_RGB2Lab)  # OpenCV's own Lab

    found = measure_colour(rgb)

    mean, covariance = moments(lab[..., 1:])
    np.testing.assert_allclose((found.mean_a, found.mean_b), mean, atol=0.3)
    np.testing.assert_allclose(
        (found.variance_a, found.variance_b, found.covariance),
        (covariance[0, 0], covariance[1, 1], covariance[0, 1]),
        rtol=0.02,
    )


def test_a_large_picture_has_the_statistics_of_the_same_one_made_small() -> None:
    small = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    large = np.repeat(np.repeat(small, 64, axis=0), 64, axis=1)

    found, expected = measure_colour(large), measure_colour(np.repeat(np.repeat(small, 32, axis=0), 32, axis=1))

    assert found == expected


@pytest.mark.parametrize(
    ("numbers", "field"),
    [((200, 0, 1, 1, 0), "mean_a"), ((0, float("nan"), 1, 1, 0), "mean_b"), ((0, 0, -1, 1, 0), "variance_a"),
     ((0, 0, 1, float("inf"), 0), "variance_b"), ((0, 0, 4, 9, 7), "covariance"), ((0, 0, 4, 9, -7), "covariance")],
)  # fmt: skip
def test_statistics_of_no_picture_are_refused_by_name(
    numbers: tuple[float, float, float, float, float], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        ColourStatistics(*numbers)

    assert refused.value.field == f"reference.{field}"
