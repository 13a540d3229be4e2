"""Y' codes: lightness, half size, grey pictures, and RGB to Y'CbCr."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from kinema_core.color import GREY_TAGS, halve_luma, luma_to_lightness, rgb_to_grey, rgb_to_lab, rgb_to_ycbcr
from kinema_core.frames import ColorRange, ColorTags, Matrix, chroma_shape

with warnings.catch_warnings():  # colour-science says at import which of its optional parts are missing
    warnings.simplefilter("ignore")
    import colour

ALL_TAGS = [ColorTags(*choice) for choice in itertools.product(Matrix, ColorRange, (8, 10))]
PICTURES = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


def name(tags):
    return f"{tags.matrix.value}-{tags.color_range.value}-{tags.bit_depth}"


@pytest.mark.parametrize("tags", ALL_TAGS, ids=name)
def test_lightness_runs_from_0_at_black_to_100_at_white_and_stays_there_beyond(tags):
    codes = np.arange(1 << tags.bit_depth, dtype=tags.dtype)[None]
    black, white = (0, codes.size - 1)
    if tags.color_range is ColorRange.LIMITED:
        black, white = 16 << tags.bit_depth - 8, 235 << tags.bit_depth - 8

    (lightness,) = luma_to_lightness(codes, tags)

    assert lightness.dtype == np.float32
    assert np.all(lightness[: black + 1] == 0)
    np.testing.assert_allclose(lightness[white:], 100, rtol=1e-6)
    assert np.all(np.diff(lightness[black : white + 1]) > 0)


def test_lightness_agrees_with_that_of_a_grey_picture():
    grey = np.arange(256, dtype=np.uint8)[None]

    lightness = luma_to_lightness(grey, GREY_TAGS)

    np.testing.assert_allclose(lightness, rgb_to_lab(np.dstack([grey] * 3))[..., 0], atol=1e-3)


@given(luma=arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 1023)))
def test_half_size_luma_is_the_rounded_mean_of_each_square(luma):
    height, width = chroma_shape(*luma.shape)
    even = np.pad(luma, ((0, luma.shape[0] % 2), (0, luma.shape[1] % 2)), mode="edge")
    means = even.reshape(height, 2, width, 2).mean(axis=(1, 3))

    half = halve_luma(luma)

    assert half.dtype == luma.dtype
    assert half.shape == (height, width)
    assert np.abs(half - means).max() <= 0.5


@given(rgb=PICTURES)
def test_a_grey_version_keeps_lightness(rgb):
    lightness = luma_to_lightness(rgb_to_grey(rgb), GREY_TAGS)

    # 0.25: half a code of rounding, and no code is worth more than 0.46 of L*.
    np.testing.assert_allclose(lightness, rgb_to_lab(rgb / 255)[..., 0], atol=0.25)


@given(grey=arrays(np.uint8, (3, 5)))
def test_a_grey_picture_is_its_own_grey_version(grey):
    np.testing.assert_array_equal(rgb_to_grey(np.dstack([grey] * 3)), grey)


@pytest.mark.parametrize("tags", ALL_TAGS, ids=name)
def test_ycbcr_codes_agree_with_colour_science(tags):
    squares = np.random.default_rng(3).integers(0, 256, (1, 500, 3), np.uint8)
    rgb = squares.repeat(2, axis=0).repeat(2, axis=1)
    weights = colour.WEIGHTS_YCBCR["ITU-R BT.601" if tags.matrix is Matrix.BT601 else "ITU-R BT.709"]
    limited = tags.color_range is ColorRange.LIMITED

    luma, cb, cr = rgb_to_ycbcr(rgb, tags)

    codes = colour.RGB_to_YCbCr(squares / 255, weights, out_bits=tags.bit_depth, out_legal=limited, out_int=True)
    highest = (1 << tags.bit_depth) - 1  # full-range colour-science lets pure blue and red be one code too high
    expected = np.clip(codes, 0, highest)
    for plane, reference in ((luma[::2, ::2], expected[..., 0]), (cb, expected[..., 1]), (cr, expected[..., 2])):
        assert plane.dtype == tags.dtype
        # At most one code, and seldom: ties fall either way in float32.
        difference = np.abs(plane.astype(int) - reference)
        assert difference.max() <= 1
        assert difference.mean() < 0.01


@pytest.mark.parametrize("tags", ALL_TAGS, ids=name)
@given(rgb=PICTURES)
def test_ycbcr_planes_have_the_shapes_of_420(tags, rgb):
    luma, cb, cr = rgb_to_ycbcr(rgb, tags)

    assert luma.shape == rgb.shape[:2]
    assert cb.shape == cr.shape == chroma_shape(*luma.shape)


@pytest.mark.parametrize("tags", ALL_TAGS, ids=name)
def test_grey_has_neutral_chroma(tags):
    grey = np.dstack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3)

    _, cb, cr = rgb_to_ycbcr(grey, tags)

    neutral = 1 << tags.bit_depth - 1
    assert np.all(cb == neutral)
    assert np.all(cr == neutral)
