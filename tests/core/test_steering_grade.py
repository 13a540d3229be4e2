"""Warmth and desaturation by lightness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema_core.color import GREY_TAGS, luma_to_lightness
from kinema_core.frames import ColorRange, ColorTags, Matrix
from kinema_core.steering.grade import WARM, Grade

RAMP = np.arange(256, dtype=np.uint8)[None]
LIGHTNESS = luma_to_lightness(RAMP, GREY_TAGS)[0]

grades = st.builds(Grade, st.floats(-1, 1), st.floats(0, 50), st.floats(50, 100))


def ramp_of(a: float, b: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.broadcast_to(np.array((a, b), np.float32), (1, 256, 2))


def test_the_defaults_return_the_very_array() -> None:
    ab = ramp_of(20, -30).copy()

    assert Grade().apply(ab, RAMP, GREY_TAGS) is ab


@pytest.mark.parametrize("warmth", [-1.0, 0.4, 1.0])
def test_warmth_shifts_mid_grey_along_the_daylight_axis_and_leaves_black_and_white(warmth: float) -> None:
    graded = Grade(warmth).apply(ramp_of(3, 5), RAMP, GREY_TAGS)[0] - (3, 5)

    middle = int(np.argmin(np.abs(LIGHTNESS - 50)))
    np.testing.assert_allclose(graded[middle], np.multiply(WARM, warmth), rtol=1e-3)  # L* of a code is not quite 50
    np.testing.assert_allclose(graded[[0, 255]], 0, atol=1e-5)


def test_warm_is_what_daylight_does_to_white() -> None:
    d65, d50 = np.array((0.95047, 1, 1.08883)), np.array((0.96422, 1, 0.82521))  # ASTM E308
    x, y, z = np.cbrt(d50 / d65)

    np.testing.assert_allclose(WARM, (500 * (x - y), 200 * (y - z)), atol=0.05)


def test_blacks_and_highlights_lose_their_colour_and_the_middle_keeps_it() -> None:
    graded = Grade(0, 20, 80).apply(ramp_of(30, 40), RAMP, GREY_TAGS)[0]

    chroma = np.hypot(graded[:, 0], graded[:, 1])
    assert chroma[[0, 255]].max() == 0
    np.testing.assert_allclose(chroma[(LIGHTNESS >= 20) & (LIGHTNESS <= 80)], 50, rtol=1e-6)
    assert (np.diff(chroma[LIGHTNESS <= 20]) >= 0).all()
    assert (np.diff(chroma[LIGHTNESS >= 80]) <= 0).all()
    assert chroma[np.argmin(np.abs(LIGHTNESS - 10))] == pytest.approx(25, rel=0.05)  # halfway, but for rounded codes


@given(grades)
def test_desaturation_without_warmth_keeps_hue_and_never_adds_chroma(grade: Grade) -> None:
    grade = Grade(0, grade.desaturate_blacks, grade.desaturate_highlights)

    graded = grade.apply(ramp_of(-12, 35), RAMP, GREY_TAGS)[0].astype(np.float64)

    assert (np.abs(graded) <= np.abs((-12.0, 35.0))).all()
    np.testing.assert_allclose(graded[:, 0] * 35 + graded[:, 1] * 12, 0, atol=1e-4)


@given(grades)
def test_the_precision_of_the_wire_changes_no_bit(grade: Grade) -> None:
    numbers = (grade.warmth, grade.desaturate_blacks, grade.desaturate_highlights)
    rounded = Grade(*(float(np.float32(number)) for number in numbers))

    here, there = (g.apply(ramp_of(7, 9), RAMP, GREY_TAGS) for g in (grade, rounded))

    np.testing.assert_array_equal(here, there)


def test_range_and_depth_do_not_matter() -> None:
    ten_bits = ColorTags(Matrix.BT709, ColorRange.LIMITED, 10)
    luma = np.rint(64 + RAMP * (876 / 255)).astype(np.uint16)

    graded = Grade(1, 30, 70).apply(ramp_of(10, 10), luma, ten_bits)

    # 0.1: luma is rounded to other codes.
    np.testing.assert_allclose(graded, Grade(1, 30, 70).apply(ramp_of(10, 10), RAMP, GREY_TAGS), atol=0.1)
