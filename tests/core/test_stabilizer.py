"""Colour that stays put."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.temporal.stabilizer import Stabilizer, restoring_gain

F32 = NDArray[np.float32]
HEIGHT, WIDTH = 64, 96


def texture(shift: int = 0) -> F32:
    """(HEIGHT, WIDTH) of something for optical flow to hold on to, L* 0-100, moved left by `shift` pixels."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    x = x + shift
    return np.asarray(50 + 20 * np.sin(x / 5) + 20 * np.cos(y / 6 + x / 17), np.float32)


def flickering_ab(rng: np.random.Generator) -> F32:
    """(HEIGHT, WIDTH, 2): one colour, shaken from frame to frame."""
    return (np.array([10, 30]) + rng.normal(0, 5, 2) + np.zeros((HEIGHT, WIDTH, 2))).astype(np.float32)


def spread_over_time(strength: float, *, pan: int = 0, num_frames: int = 40) -> float:
    rng = np.random.default_rng(3)
    stabilizer = Stabilizer(strength)
    means = [
        stabilizer.smooth(texture(pan * i), flickering_ab(rng), is_cut=i == 0).mean(axis=(0, 1))
        for i in range(num_frames)
    ]
    return float(np.abs(np.diff(means[5:], axis=0)).mean())


def test_strength_zero_leaves_every_frame_as_it_is() -> None:
    rng = np.random.default_rng(3)
    stabilizer = Stabilizer(0)

    for i in range(3):
        ab = flickering_ab(rng)
        assert stabilizer.smooth(texture(), ab, is_cut=i == 0) is ab


def test_steady_colour_stays_exactly_as_it_is() -> None:
    ab = np.full((HEIGHT, WIDTH, 2), (12.5, -7.25), np.float32)
    stabilizer = Stabilizer(1)

    for i in range(5):
        np.testing.assert_allclose(stabilizer.smooth(texture(i), ab, is_cut=i == 0), ab, atol=1e-4)


@pytest.mark.parametrize("pan", [0, 2])
def test_more_strength_means_less_flicker_on_still_and_moving_pictures(pan: int) -> None:
    spreads = [spread_over_time(strength, pan=pan) for strength in (0, 0.25, 0.5, 1)]

    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] < 0.25 * spreads[0]


def test_a_cut_forgets_the_shot_before() -> None:
    stabilizer = Stabilizer(1)
    red, blue = np.full((HEIGHT, WIDTH, 2), 60, np.float32), np.full((HEIGHT, WIDTH, 2), -60, np.float32)
    for i in range(5):
        stabilizer.smooth(texture(), red, is_cut=i == 0)

    after = stabilizer.smooth(texture(), blue, is_cut=True)

    np.testing.assert_array_equal(after, blue)


def test_colour_does_not_stay_behind_where_the_picture_changed() -> None:
    stabilizer = Stabilizer(1)
    before, after = texture(), texture()
    after[:, :48] = 95  # something else is there now
    red, grey = np.full((HEIGHT, WIDTH, 2), 60, np.float32), np.zeros((HEIGHT, WIDTH, 2), np.float32)
    for i in range(5):
        stabilizer.smooth(before, red, is_cut=i == 0)

    smoothed = stabilizer.smooth(after, grey, is_cut=False)

    # Where the old texture happened to be as bright as what came, nothing tells the two apart: a seventh may stay.
    assert np.abs(smoothed[:, :40]).mean() < 0.15 * np.abs(smoothed[:, 56:]).mean()


def test_exposure_flicker_does_not_break_the_smoothing() -> None:
    rng = np.random.default_rng(3)
    stabilizer = Stabilizer(1)

    means = [
        stabilizer.smooth(texture() + rng.uniform(-8, 8), flickering_ab(rng), is_cut=i == 0).mean(axis=(0, 1))
        for i in range(40)
    ]

    assert np.abs(np.diff(means[5:], axis=0)).mean() < 0.35 * spread_over_time(0)


def test_colour_follows_motion() -> None:
    """A coloured half moves with its texture; standing still it would end four pixels a frame behind."""
    stabilizer = Stabilizer(1)
    pan = 4
    for i in range(6):
        ab = np.zeros((HEIGHT, WIDTH, 2), np.float32)
        edge = 60 - pan * i
        ab[:, edge:] = 50
        smoothed = stabilizer.smooth(texture(pan * i), ab, is_cut=i == 0)

    assert np.abs(smoothed - ab)[8:-8, 8:-16].mean() < 0.25 * 50 * pan / WIDTH * 2


def test_averaging_different_colours_does_not_make_them_paler() -> None:
    """Two colours in turn: their mean is 2 % paler than both."""
    stabilizer = Stabilizer(1)
    colours = [np.zeros((HEIGHT, WIDTH, 2), np.float32) + np.array([30, b], np.float32) for b in (-6, 6)]
    for i in range(60):
        smoothed = stabilizer.smooth(texture(), colours[i % 2], is_cut=i == 0)

    assert np.linalg.norm(smoothed.mean(axis=(0, 1))) == pytest.approx(np.hypot(30, 6), rel=5e-3)


@pytest.mark.parametrize(
    ("given", "averaged", "gain"), [(1, 1, 1), (1, 2, 1), (1.04, 1, 1.04**0.5), (9, 1, 1.05), (0, 0, 1)]
)
def test_the_gain_is_never_below_one_and_bounded(given: float, averaged: float, gain: float) -> None:
    assert restoring_gain(given, averaged) == pytest.approx(gain, rel=1e-5)


@pytest.mark.parametrize("shape", [(8, 8), (8, 64), (64, 8), (8, 224), (16, 128), (32, 1024)])
def test_pictures_that_are_tiny_or_thin_are_smoothed_too(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    stabilizer = Stabilizer(1)

    for i in range(4):
        lightness = rng.uniform(0, 100, shape).astype(np.float32)
        ab = rng.normal(0, 9, (shape[0] // 2, shape[1] // 2, 2)).astype(np.float32)
        smoothed = stabilizer.smooth(lightness, ab, is_cut=i == 0)

        assert smoothed.shape == ab.shape
        assert smoothed.dtype == np.float32
        assert np.isfinite(smoothed).all()


def test_the_picture_may_be_larger_than_the_colours() -> None:
    """The model gives ab at half the size at which it saw the frame; the flow is found at half the size, too."""
    stabilizer = Stabilizer(1)
    for i in range(6):
        ab = np.zeros((HEIGHT // 2, WIDTH // 2, 2), np.float32)
        edge = (60 - 4 * i) // 2
        ab[:, edge:] = 50
        smoothed = stabilizer.smooth(texture(4 * i), ab, is_cut=i == 0)

    assert smoothed.shape == ab.shape
    assert np.abs(smoothed - ab)[4:-4, 4:-8].mean() < 0.25 * 50 * 4 / WIDTH * 2


def test_confidence_grows_to_the_memory_and_is_lost_where_the_picture_changes() -> None:
    rng = np.random.default_rng(3)
    stabilizer = Stabilizer(0.5)
    for i in range(20):
        stabilizer.smooth(texture(), flickering_ab(rng), is_cut=i == 0)
    grown, confidence = stabilizer.num_averaged.copy(), stabilizer.confidence
    changed = texture()
    changed[:, :30] = 95

    stabilizer.smooth(changed, flickering_ab(rng), is_cut=False)

    np.testing.assert_allclose(grown, 9, rtol=1e-5)
    assert confidence == pytest.approx(1, rel=1e-5)
    assert stabilizer.confidence == pytest.approx(stabilizer.num_averaged.mean() / 9, rel=1e-5)
    assert np.median(stabilizer.num_averaged[:, :24]) < 2
    assert np.median(stabilizer.num_averaged[:, 40:]) > 5


def test_grain_does_not_break_the_smoothing() -> None:
    rng = np.random.default_rng(3)
    stabilizer = Stabilizer(1)

    means = [
        stabilizer.smooth(
            (texture() + rng.normal(0, 4, (HEIGHT, WIDTH))).astype(np.float32), flickering_ab(rng), is_cut=i == 0
        ).mean(axis=(0, 1))
        for i in range(40)
    ]

    assert np.abs(np.diff(means[5:], axis=0)).mean() < 0.35 * spread_over_time(0)


def test_the_same_frames_give_the_same_bits() -> None:
    def run() -> F32:
        rng = np.random.default_rng(3)
        stabilizer = Stabilizer(0.7)
        return np.stack([stabilizer.smooth(texture(i), flickering_ab(rng), is_cut=i == 0) for i in range(6)])

    np.testing.assert_array_equal(run(), run())
