"""Guided upsampling of chroma: what it must keep, and that it follows edges."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinema_core.color import GREY_TAGS
from kinema_core.errors import InvalidInputError
from kinema_core.frames import ColorRange, ColorTags, Matrix
from kinema_core.upsample import upsample_ab

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

sides = st.integers(1, 40)
seeds = st.integers(0, 2**32 - 1)


def smooth_noise(seed: int, height: int, width: int, channels: int) -> F32:
    """(height, width, channels), about -1 to 1, with detail at every scale."""
    rng = np.random.default_rng(seed)
    noise = sum(
        cv2.resize(rng.normal(size=(size, size, channels)).astype(np.float32), (width, height)) for size in (2, 5, 11)
    )
    return np.asarray(noise / 3, np.float32).reshape(height, width, channels)


def luma_noise(seed: int, height: int, width: int) -> U8:
    return (128 + 90 * smooth_noise(seed, height, width, 1)[..., 0]).clip(0, 255).astype(np.uint8)


def bilinear(ab: F32, luma: U8) -> F32:
    height, width = luma.shape
    return np.asarray(cv2.resize(ab, (width, height)), np.float32).reshape(height, width, 2)


@given(small=st.tuples(sides, sides), large=st.tuples(sides, sides), seed=seeds)
def test_the_result_has_the_size_of_the_luma_and_is_finite(
    small: tuple[int, int], large: tuple[int, int], seed: int
) -> None:
    upsampled = upsample_ab(60 * smooth_noise(seed, *small, 2), luma_noise(seed, *large), GREY_TAGS)

    assert upsampled.shape == (*large, 2)
    assert upsampled.dtype == np.float32
    assert np.isfinite(upsampled).all()


@given(a=st.floats(-110, 110), b=st.floats(-110, 110), seed=seeds)
def test_one_colour_stays_that_colour_whatever_the_luma(a: float, b: float, seed: int) -> None:
    ab = np.full((24, 40, 2), (a, b), np.float32)

    upsampled = upsample_ab(ab, luma_noise(seed, 90, 160), GREY_TAGS)

    # 0.02: the covariance of a constant is nought but for float32's rounding, here of numbers near 100.
    np.testing.assert_allclose(upsampled, np.broadcast_to(ab[:1, :1], upsampled.shape), atol=0.02)


@given(grey=st.integers(0, 255), seed=seeds)
def test_over_flat_luma_the_means_are_closer_to_the_prediction_than_those_of_bilinear_interpolation(
    grey: int, seed: int
) -> None:
    ab, luma = 60 * smooth_noise(seed, 24, 40, 2), np.full((96, 160), grey, np.uint8)

    def error_of_means(upsampled: F32) -> float:
        return float(np.abs(cv2.resize(upsampled, (40, 24), interpolation=cv2.INTER_AREA) - ab).mean())

    assert error_of_means(upsample_ab(ab, luma, GREY_TAGS)) < error_of_means(bilinear(ab, luma)) / 3


@given(grey=st.integers(40, 215), seed=seeds)
def test_grain_on_a_flat_patch_adds_no_noise_to_its_colour(grey: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ab = np.array((20, 30), np.float32) + rng.normal(0, 2, (24, 40, 2)).astype(np.float32)
    clean = np.full((90, 160), grey, np.uint8)
    grainy = (clean + rng.normal(0, 6, clean.shape)).round().clip(0, 255).astype(np.uint8)

    noise, own = (np.std(upsample_ab(ab, luma, GREY_TAGS), axis=(0, 1)) for luma in (grainy, clean))

    assert (noise < 1.01 * own).all()  # what is printed adds in squares: 1 % is a seventh of the prediction's own noise


@given(seed=seeds)
def test_the_same_size_changes_nothing(seed: int) -> None:
    ab = 60 * smooth_noise(seed, 36, 64, 2)

    upsampled = upsample_ab(ab, luma_noise(seed + 1, 36, 64), GREY_TAGS)

    np.testing.assert_allclose(upsampled, ab, atol=1e-4)


@given(seed=seeds)
def test_the_mean_is_kept_and_nothing_goes_far_beyond_what_was_given(seed: int) -> None:
    ab, luma = 60 * smooth_noise(seed, 24, 40, 2), luma_noise(seed + 1, 90, 160)

    upsampled = upsample_ab(ab, luma, GREY_TAGS)

    assert np.abs(upsampled.mean(axis=(0, 1)) - ab.mean(axis=(0, 1))).max() < 2
    # A slope is at most sigma / (2 sqrt(epsilon)) for chroma of that sigma in a window, and luma's detail at most 1.
    reach = ab.max() - ab.min()
    assert upsampled.max() < ab.max() + reach
    assert upsampled.min() > ab.min() - reach


def test_colour_ends_at_the_edge_of_the_luma() -> None:
    # A disc, blue on orange and dark on light, that is 4 times finer than the prediction.
    rows, columns = np.mgrid[:160, :240]
    disc = np.hypot(rows - 77.3, columns - 121.8) < 50
    luma = np.where(disc, np.uint8(70), np.uint8(170))
    truth = np.where(disc[..., None], (10, -40), (30, 45)).astype(np.float32)
    ab = np.asarray(cv2.resize(truth, (60, 40), interpolation=cv2.INTER_AREA), np.float32)
    edge = cv2.dilate(disc.astype(np.uint8), np.ones((9, 9))) != cv2.erode(disc.astype(np.uint8), np.ones((9, 9)))

    guided = np.abs(upsample_ab(ab, luma, GREY_TAGS) - truth)[edge].mean()

    assert guided < np.abs(bilinear(ab, luma) - truth)[edge].mean() / 3


def test_range_and_depth_do_not_matter() -> None:
    ab, luma = 60 * smooth_noise(1, 24, 40, 2), luma_noise(2, 90, 160)
    ten_bits = ColorTags(Matrix.BT709, ColorRange.LIMITED, 10)
    ten_bit_luma = np.rint(64 + luma * (876 / 255)).astype(np.uint16)

    upsampled = upsample_ab(ab, ten_bit_luma, ten_bits)

    # 0.5: luma is rounded to other codes.
    np.testing.assert_allclose(upsampled, upsample_ab(ab, luma, GREY_TAGS), atol=0.5)


def test_a_and_b_are_each_contiguous_and_the_input_is_left_alone() -> None:
    ab, luma = 60 * smooth_noise(1, 24, 40, 2), luma_noise(2, 90, 160)
    before = ab.copy()

    upsampled = upsample_ab(ab, luma, GREY_TAGS)

    assert upsampled[..., 0].flags.c_contiguous
    assert upsampled[..., 1].flags.c_contiguous
    np.testing.assert_array_equal(ab, before)


def test_ab_of_another_form_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match=r"ab: must be \(h, w, 2\), got \(2, 24, 40\)"):
        upsample_ab(np.zeros((2, 24, 40), np.float32), np.zeros((90, 160), np.uint8), GREY_TAGS)
