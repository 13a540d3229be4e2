"""CIEDE2000 against the pairs of its paper, against colour-science, and its laws."""

import time

import colour
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError
from kinema_core.quality.ciede2000 import ciede2000

F64 = NDArray[np.float64]

# Sharma, Wu and Dalal 2005, Table 1: L1 a1 b1, L2 a2 b2, difference to four places.
SHARMA = """
50.0000   2.6772 -79.7751  50.0000   0.0000 -82.7485   2.0425
50.0000   3.1571 -77.2803  50.0000   0.0000 -82.7485   2.8615
50.0000   2.8361 -74.0200  50.0000   0.0000 -82.7485   3.4412
50.0000  -1.3802 -84.2814  50.0000   0.0000 -82.7485   1.0000
50.0000  -1.1848 -84.8006  50.0000   0.0000 -82.7485   1.0000
50.0000  -0.9009 -85.5211  50.0000   0.0000 -82.7485   1.0000
50.0000   0.0000   0.0000  50.0000  -1.0000   2.0000   2.3669
50.0000  -1.0000   2.0000  50.0000   0.0000   0.0000   2.3669
50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0009   7.1792
50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0010   7.1792
50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0011   7.2195
50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0012   7.2195
50.0000  -0.0010   2.4900  50.0000   0.0009  -2.4900   4.8045
50.0000  -0.0010   2.4900  50.0000   0.0010  -2.4900   4.8045
50.0000  -0.0010   2.4900  50.0000   0.0011  -2.4900   4.7461
50.0000   2.5000   0.0000  50.0000   0.0000  -2.5000   4.3065
50.0000   2.5000   0.0000  73.0000  25.0000 -18.0000  27.1492
50.0000   2.5000   0.0000  61.0000  -5.0000  29.0000  22.8977
50.0000   2.5000   0.0000  56.0000 -27.0000  -3.0000  31.9030
50.0000   2.5000   0.0000  58.0000  24.0000  15.0000  19.4535
50.0000   2.5000   0.0000  50.0000   3.1736   0.5854   1.0000
50.0000   2.5000   0.0000  50.0000   3.2972   0.0000   1.0000
50.0000   2.5000   0.0000  50.0000   1.8634   0.5757   1.0000
50.0000   2.5000   0.0000  50.0000   3.2592   0.3350   1.0000
60.2574 -34.0099  36.2677  60.4626 -34.1751  39.4387   1.2644
63.0109 -31.0961  -5.8663  62.8187 -29.7946  -4.0864   1.2630
61.2901   3.7196  -5.3901  61.4292   2.2480  -4.9620   1.8731
35.0831 -44.1164   3.7933  35.0232 -40.0716   1.5901   1.8645
22.7233  20.0904 -46.6940  23.0331  14.9730 -42.5619   2.0373
36.4612  47.8580  18.3852  36.2715  50.5065  21.2231   1.4146
90.8027  -2.0831   1.4410  91.1528  -1.6435   0.0447   1.4441
90.9257  -0.5406  -0.9208  88.6381  -0.8985  -0.7239   1.5381
 6.7747  -0.2908  -2.4247   5.8714  -0.0985  -2.2286   0.6377
 2.0776   0.0795  -1.1350   0.9033  -0.0636  -0.5514   0.9082
"""
PAIRS = [tuple(map(float, line.split())) for line in SHARMA.strip().splitlines()]

labs = st.tuples(st.floats(0, 100), st.floats(-128, 128), st.floats(-128, 128)).map(np.array)


def random_labs(seed: int, shape: tuple[int, ...]) -> F64:
    return np.random.default_rng(seed).uniform((0, -100, -100), (100, 100, 100), (*shape, 3))


def test_the_paper_published_34_pairs() -> None:
    assert len(PAIRS) == 34


@pytest.mark.parametrize("pair", PAIRS)
def test_a_pair_of_the_paper_has_its_published_difference_both_ways(pair: tuple[float, ...]) -> None:
    lab, truth, expected = np.array(pair[:3]), np.array(pair[3:6]), pair[6]

    forth, back = ciede2000(lab, truth), ciede2000(truth, lab)

    assert forth == pytest.approx(expected, abs=5.1e-5)  # half a unit of the last published place
    assert back == pytest.approx(expected, abs=5.1e-5)


def test_colour_science_agrees_on_random_colours() -> None:
    lab, truth = random_labs(0, (5000,)), random_labs(1, (5000,))

    difference = ciede2000(lab, truth)

    # Both are float64; formulas with hues up to 2 pi lose a few digits more than 1e-16.
    np.testing.assert_allclose(difference, colour.delta_E(lab, truth, method="CIE 2000"), rtol=1e-10)


@given(lab=labs, truth=labs)
def test_the_difference_is_never_negative_and_the_same_both_ways(lab: F64, truth: F64) -> None:
    difference = ciede2000(lab, truth)

    assert difference >= 0
    assert difference == pytest.approx(ciede2000(truth, lab), rel=1e-9, abs=1e-9)


@given(lab=labs)
def test_a_colour_does_not_differ_from_itself(lab: F64) -> None:
    assert ciede2000(lab, lab) == 0


@given(lightness=st.floats(0, 100), truth=st.floats(0, 100))
def test_between_greys_only_lightness_counts(lightness: float, truth: float) -> None:
    middle = ((lightness + truth) / 2 - 50) ** 2
    expected = abs(lightness - truth) / (1 + 0.015 * middle / np.sqrt(20 + middle))

    assert ciede2000(np.array([lightness, 0, 0]), np.array([truth, 0, 0])) == pytest.approx(expected)


def test_exactly_opposite_hues_are_averaged_as_they_stand_however_arctan2_rounds() -> None:
    hue = np.random.default_rng(0).uniform(0, 2 * np.pi, 1000)
    a, b = 40 * np.cos(hue), 40 * np.sin(hue)
    # A hair less than opposite, where no rounding can matter: turned back where the opposite hue is the greater one.
    nearly = hue + np.pi + np.where(hue < np.pi, -1e-7, 1e-7)

    opposite = ciede2000(np.stack((0 * a + 50, a, b), axis=-1), np.stack((0 * a + 50, -a, -b), axis=-1))
    within = ciede2000(
        np.stack((0 * a + 50, a, b), axis=-1), np.stack((0 * a + 50, 40 * np.cos(nearly), 40 * np.sin(nearly)), axis=-1)
    )

    np.testing.assert_allclose(opposite, within, rtol=1e-5)


def test_a_picture_is_measured_pixel_by_pixel() -> None:
    lab, truth = random_labs(2, (3, 4)), random_labs(3, (3, 4))

    differences = ciede2000(lab, truth)

    assert differences.shape == (3, 4)
    assert differences[1, 2] == pytest.approx(ciede2000(lab[1, 2], truth[1, 2]), rel=1e-12)  # vector code may round


def test_float32_is_measured_in_float64() -> None:
    lab, truth = random_labs(4, (100,)).astype(np.float32), random_labs(5, (100,)).astype(np.float32)

    difference = ciede2000(lab, truth)

    assert difference.dtype == np.float64
    np.testing.assert_array_equal(difference, ciede2000(lab.astype(np.float64), truth.astype(np.float64)))


@pytest.mark.parametrize(("lab", "truth"), [((2, 3), (3, 3)), ((4, 2), (4, 2)), ((), ())])
def test_shapes_that_hold_no_pairs_of_colours_are_refused(lab: tuple[int, ...], truth: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match="lab"):
        ciede2000(np.zeros(lab), np.zeros(truth))


def test_a_photo_takes_a_fraction_of_a_second() -> None:
    lab, truth = random_labs(6, (256, 256)), random_labs(7, (256, 256))

    started = time.process_time()
    ciede2000(lab, truth)

    assert time.process_time() - started < 0.5  # 0.02 s on the machine it was written on; a loop would take seconds
