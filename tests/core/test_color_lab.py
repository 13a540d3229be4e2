"""Lab and sRGB: round trips, and colour-science's opinion."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from kinema_core.color import lab_to_rgb, rgb_to_lab

with warnings.catch_warnings():  # colour-science says at import which of its optional parts are missing
    warnings.simplefilter("ignore")
    import colour

RGB_COLOURS = arrays(np.float64, (7, 3), elements=st.floats(-0.5, 1.5))
LAB_COLOURS = st.lists(st.tuples(st.floats(0, 100), st.floats(-120, 120), st.floats(-120, 120)), min_size=1).map(np.array)


@given(rgb=RGB_COLOURS)
def test_rgb_survives_the_way_to_lab_and_back_even_outside_the_gamut(rgb):
    # 1e-7: at the sRGB curve's knee, IEC's rounded constants leave a step of 2e-8.
    np.testing.assert_allclose(lab_to_rgb(rgb_to_lab(rgb)), rgb, atol=1e-7)


@given(lab=LAB_COLOURS)
def test_lab_survives_the_way_to_rgb_and_back_even_outside_the_gamut(lab):
    # 1e-4: the same step of 2e-8, seen through Lab's slope in the dark.
    np.testing.assert_allclose(rgb_to_lab(lab_to_rgb(lab)), lab, atol=1e-4)


@given(grey=st.floats(0, 1))
def test_a_grey_has_neither_a_nor_b(grey):
    lab = rgb_to_lab(np.array([grey, grey, grey]))

    np.testing.assert_allclose(lab[1:], 0, atol=1e-12)


def test_black_and_white_are_lightness_0_and_100():
    lab = rgb_to_lab(np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))

    np.testing.assert_allclose(lab, [[0, 0, 0], [100, 0, 0]], atol=1e-12)


def test_lab_agrees_with_colour_science():
    rgb = np.random.default_rng(0).random((1000, 3))
    xyz = colour.RGB_to_XYZ(rgb, "sRGB", apply_cctf_decoding=True)

    lab = rgb_to_lab(rgb)

    # 0.05: sRGB's published matrix, which colour-science takes, is rounded to four digits; ours is not.
    white = colour.CCS_ILLUMINANTS["CIE 1931 2 Degree Standard Observer"]["D65"]
    np.testing.assert_allclose(lab, colour.XYZ_to_Lab(xyz, white), atol=0.05)


def test_rgb_agrees_with_colour_science():
    lab = rgb_to_lab(np.random.default_rng(1).random((1000, 3)))
    white = colour.CCS_ILLUMINANTS["CIE 1931 2 Degree Standard Observer"]["D65"]

    rgb = lab_to_rgb(lab)

    # 1e-3, a quarter of an 8-bit code: the same rounded matrix.
    reference = colour.XYZ_to_RGB(colour.Lab_to_XYZ(lab, white), "sRGB", apply_cctf_encoding=True)
    np.testing.assert_allclose(rgb, reference, atol=1e-3)


@pytest.mark.parametrize(("given_type", "expected"), [(np.float64, np.float64), (np.float32, np.float32)])
def test_the_result_has_the_precision_of_what_was_given(given_type, expected):
    colours = np.full((2, 5, 3), 0.5, given_type)

    assert rgb_to_lab(colours).dtype == expected
    assert lab_to_rgb(colours).dtype == expected


def test_bytes_mean_the_same_as_fractions_of_255():
    rgb = np.random.default_rng(2).integers(0, 256, (100, 3), np.uint8)

    lab = rgb_to_lab(rgb)

    assert lab.dtype == np.float32
    # 1e-3: float32 holds six digits.
    np.testing.assert_allclose(lab, rgb_to_lab(rgb / 255), atol=1e-3)
