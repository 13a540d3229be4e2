"""Colourfulness against its definition, and its laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError
from kinema_core.quality.colourfulness import colourfulness

U8 = NDArray[np.uint8]


@given(grey=hnp.arrays(np.uint8, (4, 5, 1)))
def test_a_grey_picture_has_none(grey: U8) -> None:
    assert colourfulness(np.repeat(grey, 3, axis=2)) == 0


@pytest.mark.parametrize(
    ("colour", "rg", "yb"),
    [((255, 0, 0), 255, 127.5), ((0, 255, 0), -255, 127.5), ((0, 0, 255), 0, -255), ((10, 200, 40), -190, 65)],
)
def test_one_colour_everywhere_has_three_tenths_of_its_opponent_length(
    colour: tuple[int, int, int], rg: float, yb: float
) -> None:
    picture = np.full((6, 7, 3), colour, np.uint8)  # as uint8, 10 - 200 would be 66

    assert colourfulness(picture) == pytest.approx(0.3 * math.hypot(rg, yb))


def test_half_red_and_half_green_differ_in_sign_along_one_axis() -> None:
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[0, :, 0] = picture[1, :, 1] = 200

    # rg is +200 and -200: deviation 200, mean 0. yb is 100 everywhere. Unsigned channels would give deviation 0.
    assert colourfulness(picture) == pytest.approx(200 + 0.3 * 100)


@given(picture=hnp.arrays(np.uint8, (4, 5, 3)))
def test_it_is_never_negative_and_no_matter_of_place(picture: U8) -> None:
    shuffled = np.random.default_rng(0).permutation(picture.reshape(-1, 3)).reshape(picture.shape)

    assert colourfulness(picture) >= 0
    assert colourfulness(shuffled) == pytest.approx(colourfulness(picture))


@given(picture=hnp.arrays(np.uint8, (4, 5, 3)))
def test_halving_all_colour_halves_it(picture: U8) -> None:
    grey = picture.astype(np.float64).mean(axis=2, keepdims=True)

    paler = (picture + grey) / 2

    assert colourfulness(paler) == pytest.approx(colourfulness(picture) / 2, abs=1e-9)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_what_is_no_rgb_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match="rgb"):
        colourfulness(np.zeros(shape, np.uint8))
