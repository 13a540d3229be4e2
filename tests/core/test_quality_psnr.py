"""PSNR against its definition, against scikit-image, and its laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio

from kinema_core.errors import InvalidInputError
from kinema_core.quality.psnr import psnr

U8 = NDArray[np.uint8]

pictures = hnp.arrays(np.uint8, (4, 5, 3))


def test_an_error_of_one_code_everywhere_is_48_decibels() -> None:
    truth = np.full((8, 8, 3), 100, np.uint8)

    assert psnr(truth + np.uint8(1), truth) == pytest.approx(20 * math.log10(255))


def test_darker_and_lighter_by_the_same_are_equally_wrong() -> None:
    truth = np.full((8, 8, 3), 100, np.uint8)  # as uint8, 98 - 100 would be 254

    assert psnr(truth - np.uint8(2), truth) == psnr(truth + np.uint8(2), truth)


def test_black_for_white_is_zero_decibels() -> None:
    white = np.full((2, 2, 3), 255, np.uint8)

    assert psnr(np.zeros_like(white), white) == 0
    assert psnr(white, np.zeros_like(white)) == 0


@given(picture=pictures)
def test_a_picture_that_equals_the_truth_has_infinite_psnr(picture: U8) -> None:
    assert psnr(picture, picture) == math.inf


@given(picture=pictures, truth=pictures)
def test_it_is_the_same_both_ways_and_as_scikit_image_has_it(picture: U8, truth: U8) -> None:
    if np.array_equal(picture, truth):  # where scikit-image warns of a division by zero
        return

    as_floats = (truth.astype(np.float64), picture.astype(np.float64))
    expected = peak_signal_noise_ratio(*as_floats, data_range=255)  # type: ignore[no-untyped-call]  # it has no types

    assert psnr(picture, truth) == psnr(truth, picture) == pytest.approx(expected, rel=1e-12)


@given(picture=pictures, truth=pictures)
def test_halving_all_errors_gains_six_decibels(picture: U8, truth: U8) -> None:
    far, near = picture.astype(np.float64), (picture.astype(np.float64) + truth) / 2
    if np.array_equal(picture, truth):
        return

    assert psnr(near, truth) - psnr(far, truth) == pytest.approx(20 * math.log10(2))


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1), (4, 5, 3)])
def test_another_shape_is_refused_rather_than_broadcast(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match="image"):
        psnr(np.zeros(shape, np.uint8), np.zeros((4, 4, 3), np.uint8))


def test_a_picture_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="image"):
        psnr(np.zeros((0, 4, 3)), np.zeros((0, 4, 3)))
