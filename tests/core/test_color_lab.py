"""Lab and sRGB: round trips, and colour-science's opinion."""

from typing import Any

import colour
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from kinema_core.color import lab_to_rgb, rgb_to_lab

F64 = NDArray[np.float64]

rgbs = arrays(np.float64, (7, 3), elements=st.floats(-0.5, 1.5))
labs = arrays(np.float64, (7, 3), elements=st.floats(-120, 120))


def srgb_of_exact_matrix() -> Any:
    """colour-science's sRGB, with the matrix that follows from the primaries and not IEC's four digits of it."""
    srgb = colour.RGB_COLOURSPACES["sRGB"].copy()
    srgb.use_derived_matrix_RGB_to_XYZ = srgb.use_derived_matrix_XYZ_to_RGB = True
    return srgb


@given(rgb=rgbs)
def test_rgb_survives_the_way_to_lab_and_back_even_outside_the_gamut(rgb: F64) -> None:
    # 1e-7: at the sRGB curve's knee, IEC's rounded constants leave a step of 2e-8.
    np.testing.assert_allclose(lab_to_rgb(rgb_to_lab(rgb)), rgb, atol=1e-7)


@given(lab=labs)
def test_lab_survives_the_way_to_rgb_and_back_even_outside_the_gamut(lab: F64) -> None:
    # 1e-4: the same step of 2e-8, seen through Lab's slope in the dark.
    np.testing.assert_allclose(rgb_to_lab(lab_to_rgb(lab)), lab, atol=1e-4)


@given(grey=st.floats(0, 1))
def test_a_grey_has_neither_a_nor_b(grey: float) -> None:
    lab = rgb_to_lab(np.array([grey, grey, grey]))

    np.testing.assert_allclose(lab[1:], 0, atol=1e-12)


def test_black_and_white_have_lightness_0_and_100() -> None:
    lab = rgb_to_lab(np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))

    np.testing.assert_allclose(lab, [[0, 0, 0], [100, 0, 0]], atol=1e-12)


def test_both_ways_agree_with_colour_science() -> None:
    srgb = srgb_of_exact_matrix()
    rgb = np.random.default_rng(0).random((1000, 3))

    lab = rgb_to_lab(rgb)

    reference = colour.XYZ_to_Lab(colour.RGB_to_XYZ(rgb, srgb, apply_cctf_decoding=True), srgb.whitepoint)
    # 1e-4, and 1e-6 below: the white is written with four digits there, and follows from the matrix here.
    np.testing.assert_allclose(lab, reference, atol=1e-4)
    reference = colour.XYZ_to_RGB(colour.Lab_to_XYZ(lab, srgb.whitepoint), srgb, apply_cctf_encoding=True)
    np.testing.assert_allclose(lab_to_rgb(lab), reference, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_result_has_the_precision_of_what_was_given(dtype: type[np.float32] | type[np.float64]) -> None:
    colours: NDArray[Any] = np.full((2, 5, 3), 0.5, dtype)

    assert rgb_to_lab(colours).dtype == dtype
    assert lab_to_rgb(colours).dtype == dtype


def test_bytes_mean_the_same_as_fractions_of_255() -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (100, 3), np.uint8)

    lab = rgb_to_lab(rgb)

    assert lab.dtype == np.float32
    # 1e-3: float32 holds six digits.
    np.testing.assert_allclose(lab, rgb_to_lab(rgb / 255), atol=1e-3)
