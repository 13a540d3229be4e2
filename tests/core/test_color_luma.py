"""Y' codes: lightness, half size, grey pictures, and RGB to Y'CbCr."""

import itertools
from typing import Any

import colour
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from kinema_core.color import GREY_TAGS, halve_luma, luma_to_lightness, rgb_to_grey, rgb_to_lab, rgb_to_ycbcr
from kinema_core.frames import ColorRange, ColorTags, Matrix, chroma_shape

U8 = NDArray[np.uint8]

ALL_TAGS = [ColorTags(*choice) for choice in itertools.product(Matrix, ColorRange, (8, 10))]

pictures = st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)).flatmap(lambda shape: arrays(np.uint8, shape))


def name(tags: ColorTags) -> str:
    return f"{tags.matrix.value}-{tags.color_range.value}-{tags.bit_depth}"


@pytest.mark.parametrize("tags", ALL_TAGS, ids=name)
def test_lightness_rises_from_0_at_black_to_100_at_white_and_stays_there_beyond(tags: ColorTags) -> None:
    codes: Any = np.arange(1 << tags.bit_depth)[None].astype(tags.dtype)
    black, white = 0, codes.size - 1
    if tags.color_range is ColorRange.LIMITED:
        black, white = 16 << tags.bit_depth - 8, 235 << tags.bit_depth - 8

    (lightness,) = luma_to_lightness(codes, tags)

    assert lightness.dtype == np.float32
    assert np.all(lightness[: black + 1] == 0)
    np.testing.assert_allclose(lightness[white:], 100, rtol=1e-6)
    assert np.all(np.diff(lightness[black : white + 1]) > 0)


def test_the_lightness_of_a_luma_is_that_of_a_grey_picture() -> None:
    grey = np.arange(256, dtype=np.uint8)[None]

    lightness = luma_to_lightness(grey, GREY_TAGS)

    np.testing.assert_allclose(lightness, rgb_to_lab(np.dstack([grey] * 3) / 255)[..., 0], atol=1e-4)


@given(luma=arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 1023)))
def test_half_size_luma_is_the_rounded_mean_of_each_square(luma: NDArray[np.uint16]) -> None:
    height, width = chroma_shape(*luma.shape)
    even = np.pad(luma, ((0, luma.shape[0] % 2), (0, luma.shape[1] % 2)), mode="edge")
    means = even.reshape(height, 2, width, 2).mean(axis=(1, 3))

    half = halve_luma(luma)

    assert half.dtype == luma.dtype
    assert half.shape == (height, width)
    assert np.abs(half - means).max() <= 0.5


@given(rgb=pictures)
def test_a_grey_version_keeps_lightness(rgb: U8) -> None:
    lightness = luma_to_lightness(rgb_to_grey(rgb), GREY_TAGS)

    # 0.26: half a code of rounding, where a code is worth at most 0.51 of L*.
    np.testing.assert_allclose(lightness, rgb_to_lab(rgb / 255)[..., 0], atol=0.26)


@given(grey=arrays(np.uint8, (3, 5)))
def test_a_grey_picture_is_its_own_grey_version(grey: U8) -> None:
    np.testing.assert_array_equal(rgb_to_grey(np.dstack([grey] * 3)), grey)


@pytest.mark.parametrize("tags", ALL_TAGS, ids=name)
def test_ycbcr_codes_agree_with_colour_science(tags: ColorTags) -> None:
    colours = np.random.default_rng(3).integers(0, 256, (1, 2000, 3), np.uint8)
    squares = colours.repeat(2, axis=0).repeat(2, axis=1)
    weights = colour.WEIGHTS_YCBCR["ITU-R BT.601" if tags.matrix is Matrix.BT601 else "ITU-R BT.709"]
    is_limited = tags.color_range is ColorRange.LIMITED

    luma, cb, cr = rgb_to_ycbcr(squares, tags)

    exact = colour.RGB_to_YCbCr(colours / 255, weights, out_bits=tags.bit_depth, out_legal=is_limited)
    codes = exact * ((1 << tags.bit_depth) - 1)
    if not is_limited:
        codes[..., 1:] += 1 << tags.bit_depth - 1  # colour-science gives full-range chroma from -0.5 to 0.5
    codes = codes.clip(0, (1 << tags.bit_depth) - 1)
    for plane, reference in zip((luma[::2, ::2], cb, cr), np.moveaxis(codes, -1, 0), strict=True):
        assert plane.dtype == tags.dtype
        # Half a code of rounding; float32 may take a tie the other way.
        assert np.abs(plane - reference).max() <= 0.5 + 1e-3


@given(rgb=pictures, tags=st.sampled_from(ALL_TAGS))
def test_ycbcr_planes_have_the_shapes_of_420(rgb: U8, tags: ColorTags) -> None:
    luma, cb, cr = rgb_to_ycbcr(rgb, tags)

    assert luma.shape == rgb.shape[:2]
    assert cb.shape == cr.shape == chroma_shape(*luma.shape)


@pytest.mark.parametrize("tags", ALL_TAGS, ids=name)
def test_chroma_is_that_of_the_mean_colour_of_a_square(tags: ColorTags) -> None:
    mixed = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [5, 1, 1]]], np.uint8)
    mean = np.full((2, 2, 3), [65, 64, 64], np.uint8)

    assert rgb_to_ycbcr(mixed, tags)[1:] == rgb_to_ycbcr(mean, tags)[1:]


@pytest.mark.parametrize("tags", ALL_TAGS, ids=name)
def test_grey_has_neutral_chroma(tags: ColorTags) -> None:
    grey = np.dstack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3)

    _, cb, cr = rgb_to_ycbcr(grey, tags)

    assert np.all(cb == 1 << tags.bit_depth - 1)
    assert np.all(cr == 1 << tags.bit_depth - 1)
