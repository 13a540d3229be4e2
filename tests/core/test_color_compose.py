"""Chroma put together with luma: against exact arithmetic in float64, and by its laws.

The reference shares no code with what it judges but Lab's own formulas (see test_color_lab): it bisects for L*, and for
the chroma that fits.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinema_core.color import chroma_table, compose_chroma, compose_rgb, lab_to_rgb, luma_to_lightness, rgb_to_lab
from kinema_core.errors import InvalidInputError
from kinema_core.frames import ColorRange, ColorTags, Matrix, Plane

F64 = NDArray[np.float64]

ALL_TAGS = [ColorTags(*choice) for choice in itertools.product(Matrix, ColorRange, (8, 10))]

# Half a code is rounding; interpolation between nodes adds up to 0.3 in 8 bit and 1.8 in 10 bit (of 500 000 colours).
TOLERANCE = {8: 1.0, 10: 2.5}

some_tags = st.sampled_from(ALL_TAGS)
seeds = st.integers(0, 2**32 - 1)


def name(tags: ColorTags) -> str:
    return f"{tags.matrix.value}-{tags.color_range.value}-{tags.bit_depth}"


def as_luma(codes: NDArray[np.int64], tags: ColorTags) -> Plane:
    return codes.astype(np.uint8) if tags.bit_depth == 8 else codes.astype(np.uint16)


def scales(tags: ColorTags) -> tuple[float, float, float, float]:
    """Black, the span of Y', neutral, the span of Cb and Cr, in codes (H.273, 8.3)."""
    if tags.color_range is ColorRange.FULL:
        return 0, 2**tags.bit_depth - 1, 2 ** (tags.bit_depth - 1), 2**tags.bit_depth - 1
    unit = 2 ** (tags.bit_depth - 8)
    return 16 * unit, 219 * unit, 128 * unit, 224 * unit


def to_level(luma: Plane, tags: ColorTags) -> F64:
    black, span, _, _ = scales(tags)
    return (luma.astype(np.float64) - black) / span


def to_codes(rgb: F64, level: F64, tags: ColorTags) -> F64:
    """(2, n) of Cb and Cr, not rounded, of sRGB (n, 3) whose Y' is `level`."""
    kr, _, kb = tags.matrix.luma_weights
    _, _, neutral, span = scales(tags)
    return neutral + span * np.stack([(rgb[:, 2] - level) / (2 * (1 - kb)), (rgb[:, 0] - level) / (2 * (1 - kr))])


def decode(luma: Plane, cb: Plane, cr: Plane, tags: ColorTags) -> F64:
    """sRGB (..., 3), not clipped."""
    kr, kg, kb = tags.matrix.luma_weights
    _, _, neutral, span = scales(tags)
    level = to_level(luma, tags)
    red = level + 2 * (1 - kr) * (cr.astype(np.float64) - neutral) / span
    blue = level + 2 * (1 - kb) * (cb.astype(np.float64) - neutral) / span
    return np.stack([red, (level - kr * red - kb * blue) / kg, blue], axis=-1)


def solve_rgb(level: F64, ab: F64, tags: ColorTags) -> F64:
    """sRGB (n, 3) of the colours (a, b) with Y' = level, which may lie outside 0-1."""
    low, high = np.full(len(level), -100.0), np.full(len(level), 250.0)
    for _ in range(36):
        middle = (low + high) / 2
        is_low = lab_to_rgb(np.column_stack([middle, ab])) @ tags.matrix.luma_weights < level
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    return lab_to_rgb(np.column_stack([low, ab]))


def fits(level: F64, ab: F64, tags: ColorTags) -> NDArray[np.bool_]:
    rgb = solve_rgb(level, ab, tags)
    inside: NDArray[np.bool_] = np.all((rgb > -1e-7) & (rgb < 1 + 1e-7), axis=-1)
    return inside


def reference(level: F64, ab: F64, tags: ColorTags) -> F64:
    """(2, n) of Cb and Cr, not rounded: chroma as large as asked, or as the largest of that hue that fits."""
    asked = np.hypot(*ab.T)
    direction = ab / asked[:, None]
    low = np.zeros(len(level))
    for chroma in np.arange(2.0, 160, 2):
        low[fits(level, chroma * direction, tags)] = chroma
    high = low + 2
    for _ in range(14):
        middle = (low + high) / 2
        is_inside = fits(level, middle[:, None] * direction, tags)
        low, high = np.where(is_inside, middle, low), np.where(is_inside, high, middle)
    held = np.minimum(asked, low)[:, None] * direction
    return to_codes(solve_rgb(level, held, tags), level, tags)


def turn(ab: F64, degrees: float) -> F64:
    angle = np.radians(degrees)
    turned: F64 = ab @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return turned


def draw(seed: int, tags: ColorTags, num_colours: int) -> tuple[Plane, F64]:
    """Luma codes between black and white, and ab (n, 2) that reaches beyond the gamut for half of them."""
    rng = np.random.default_rng(seed)
    black, span, _, _ = (int(value) for value in scales(tags))
    luma = as_luma(rng.integers(black + 1, black + span, num_colours), tags)
    ab = rng.uniform((-95, -115), (105, 100), (num_colours, 2)) * rng.choice([0.2, 0.5, 1], (num_colours, 1))
    rounded: F64 = ab.astype(np.float32).astype(np.float64)
    return luma, rounded


def compose(luma: Plane, ab: F64, tags: ColorTags) -> tuple[Plane, Plane]:
    """Cb and Cr, each (n,)."""
    cb, cr = compose_chroma(luma[None], ab[None].astype(np.float32), tags)
    return cb[0], cr[0]


@pytest.mark.parametrize("tags", ALL_TAGS, ids=name)
def test_chroma_agrees_with_exact_arithmetic(tags: ColorTags) -> None:
    luma, ab = draw(17, tags, 100)
    level = to_level(luma, tags)

    codes = np.stack(compose(luma, ab, tags)).astype(np.float64)

    exact, *beside = (reference(level, turn(ab, degrees), tags) for degrees in (0, -0.2, 0.2))
    tolerance = TOLERANCE[tags.bit_depth]
    least, most = np.minimum(exact, np.minimum(*beside)), np.maximum(exact, np.maximum(*beside))
    # At some dark hues the gamut's edge jumps; there a table that is a fifth of a degree off may take either side.
    at_a_jump = (most - least > 2 * tolerance).any(axis=0)
    assert at_a_jump.mean() < 0.05
    assert np.abs(codes - exact)[:, ~at_a_jump].max() <= tolerance
    assert np.all(codes >= least - tolerance)
    assert np.all(codes <= most + tolerance)


@pytest.mark.parametrize("tags", ALL_TAGS, ids=name)
def test_a_colour_inside_the_gamut_is_reproduced(tags: ColorTags) -> None:
    luma, _ = draw(7, tags, 30_000)
    level = to_level(luma, tags)
    kr, kg, kb = tags.matrix.luma_weights
    red, blue = np.random.default_rng(8).random((2, len(luma)))
    green = (level - kr * red - kb * blue) / kg
    is_colour = (green >= 0) & (green <= 1)
    luma, level, rgb = luma[is_colour], level[is_colour], np.column_stack([red, green, blue])[is_colour]

    codes = np.stack(compose(luma, rgb_to_lab(rgb)[:, 1:], tags)).astype(np.float64)

    error = np.abs(codes - to_codes(rgb, level, tags)).max(axis=0)
    assert np.percentile(error, 99.9) < {8: 0.7, 10: 2.0}[tags.bit_depth]
    # Next to a jump of the gamut's edge a colour may be scaled down.
    assert (error > TOLERANCE[tags.bit_depth]).mean() < 0.0005


def test_a_dark_red_beyond_a_notch_of_the_gamut_is_reproduced() -> None:
    tags = ColorTags(Matrix.BT709, ColorRange.FULL, 8)
    kr, kg, kb = tags.matrix.luma_weights
    luma = np.array([16], np.uint8)
    level, red = to_level(luma, tags), 0.285
    rest = (level[0] - kr * red) / (kg + kb)
    rgb = np.array([[red, rest, rest]])
    ab = rgb_to_lab(rgb)[:, 1:]
    assert not fits(level, 0.7 * ab, tags)

    codes = np.stack(compose(luma, ab, tags)).astype(np.float64)

    assert np.abs(codes - to_codes(rgb, level, tags)).max() <= 1


@settings(max_examples=40)
@given(tags=some_tags, seed=seeds)
def test_what_is_decoded_is_inside_the_gamut_but_for_rounding(tags: ColorTags, seed: int) -> None:
    luma, ab = draw(seed, tags, 400)

    rgb = decode(luma, *compose(luma, 3 * ab, tags), tags)

    # Blue moves most with a code: by 2 (1 - Kb) of its span. In a notch of the gamut colours are left as they are.
    rounding, notch = TOLERANCE[tags.bit_depth] * 1.86 / scales(tags)[3], 3 / 255
    outside = np.maximum(-rgb, rgb - 1).max(axis=-1)
    assert outside.max() < rounding + notch
    assert (outside > rounding).mean() < 0.02


@settings(max_examples=40)
@given(tags=some_tags, seed=seeds)
def test_hue_is_kept_and_chroma_never_grows(tags: ColorTags, seed: int) -> None:
    luma, ab = draw(seed, tags, 400)

    cb, cr = compose(luma, ab, tags)

    decoded = rgb_to_lab(decode(luma, cb, cr, tags))[:, 1:]
    asked = np.hypot(*ab.T)
    along = (decoded * ab).sum(axis=-1) / asked
    across = np.abs(decoded[:, 0] * ab[:, 1] - decoded[:, 1] * ab[:, 0]) / asked

    # A code of Cb or Cr is worth up to 2 units of a and b in the dark; 1.2 was the worst of 400 000 colours.
    unit = 1.5 / 2 ** (tags.bit_depth - 8)
    assert across.max() < unit
    assert (along - asked).max() < unit


@settings(max_examples=40)
@given(tags=some_tags, seed=seeds, factor=st.floats(1, 1e6))
def test_more_chroma_than_fits_changes_nothing(tags: ColorTags, seed: int, factor: float) -> None:
    luma, ab = draw(seed, tags, 400)
    outside = ab * (300 / np.hypot(*ab.T)[:, None])

    farther = compose(luma, outside * factor, tags)

    # float32 rounds the hue anew, and a few colours lie just between two codes.
    assert np.mean(np.stack(farther) != np.stack(compose(luma, outside, tags))) < 0.02


@pytest.mark.parametrize("tags", ALL_TAGS, ids=name)
def test_no_chroma_is_exactly_neutral_for_every_luma(tags: ColorTags) -> None:
    luma = as_luma(np.arange(2**tags.bit_depth), tags)

    cb, cr = compose(luma, np.zeros((len(luma), 2)), tags)

    assert np.all(cb == 2 ** (tags.bit_depth - 1))
    assert np.all(cr == 2 ** (tags.bit_depth - 1))


@pytest.mark.parametrize("tags", ALL_TAGS, ids=name)
def test_black_white_and_what_lies_beyond_them_stay_neutral(tags: ColorTags) -> None:
    codes = as_luma(np.arange(2**tags.bit_depth), tags)
    level = to_level(codes, tags)
    beyond = codes[(level <= 0) | (level >= 1)]

    cb, cr = compose(beyond, np.full((len(beyond), 2), 60.0), tags)

    assert np.all(cb == 2 ** (tags.bit_depth - 1))
    assert np.all(cr == 2 ** (tags.bit_depth - 1))


def test_samples_above_ten_bits_are_taken_for_white() -> None:
    luma = np.array([[1024, 4095, 65535]], np.uint16)

    cb, cr = compose_chroma(luma, np.full((1, 3, 2), 60, np.float32), ColorTags(bit_depth=10))

    assert np.all(cb == 512)
    assert np.all(cr == 512)


@settings(max_examples=40)
@given(tags=some_tags, seed=seeds)
def test_the_layout_in_memory_changes_nothing_and_nothing_is_written_to(tags: ColorTags, seed: int) -> None:
    luma, ab = draw(seed, tags, 40)
    planes = np.ascontiguousarray(ab.reshape(5, 8, 2).transpose(2, 0, 1), np.float32)
    before = planes.copy()
    picture = luma.reshape(5, 8)

    view, pixels = planes.transpose(1, 2, 0), np.ascontiguousarray(planes.transpose(1, 2, 0))

    for function in (compose_chroma, compose_rgb):
        np.testing.assert_array_equal(function(picture, view, tags), function(picture, pixels, tags))
    np.testing.assert_array_equal(planes, before)


@settings(max_examples=40)
@given(tags=some_tags, seed=seeds, share=st.floats(0, 1), factor=st.sampled_from([1, 10, 40, 120]))
def test_what_stands_beside_a_pixel_changes_nothing(tags: ColorTags, seed: int, share: float, factor: float) -> None:
    """Pixels with much chroma are picked out where they are few."""
    rng = np.random.default_rng(seed)
    luma = as_luma(rng.integers(0, 1 << tags.bit_depth, (23, 50)), tags)
    ab = rng.normal(0, 1, (23, 50, 2)).astype(np.float32)
    ab[rng.random((23, 50)) < share] *= factor

    together = compose_chroma(luma, ab, tags)
    pixels = [compose_chroma(luma[:, :1], ab[:, :1], tags), compose_chroma(luma[:1], ab[:1], tags)]

    for plane, column, row in zip(together, *pixels, strict=True):
        np.testing.assert_array_equal(plane[:, :1], column)
        np.testing.assert_array_equal(plane[:1], row)


def test_a_table_is_built_once_for_all_threads_and_for_all_tags_that_mean_the_same_codes() -> None:
    chroma_table._build.cache_clear()
    tags = [ColorTags(color_primaries=primaries) for primaries in (1, 5, 6, 9)]

    with ThreadPoolExecutor(4) as threads:
        tables = list(threads.map(chroma_table.chroma_table, tags))

    assert all(table is tables[0] for table in tables)
    assert chroma_table._build.cache_info().misses == 1


@pytest.mark.parametrize("function", [compose_chroma, compose_rgb])
def test_ab_of_another_size_is_refused_by_name(function: object) -> None:
    assert callable(function)
    with pytest.raises(InvalidInputError, match=r"ab: must be \(4, 6, 2\) .* got \(4, 5, 2\)"):
        function(np.zeros((4, 6), np.uint8), np.zeros((4, 5, 2), np.float32), ColorTags())


@pytest.mark.parametrize("tags", ALL_TAGS, ids=name)
def test_rgb_keeps_lightness(tags: ColorTags) -> None:
    luma, ab = draw(5, tags, 200 * 200)
    picture = luma.reshape(200, 200)

    rgb = compose_rgb(picture, 2 * ab.reshape(200, 200, 2).astype(np.float32), tags)

    drift = np.abs(rgb_to_lab(rgb / 255)[..., 0] - luma_to_lightness(picture, tags))
    # Two roundings to 8 bit, of grey and of colour, and a code is worth up to 0.46 of L*.
    assert np.percentile(drift, 99.9) < 0.5
    assert drift.max() < 1


@given(seed=seeds)
def test_rgb_keeps_hue_and_chroma_where_they_fit(seed: int) -> None:
    tags = ColorTags(Matrix.BT601, ColorRange.FULL, 8)
    luma, ab = draw(seed, tags, 400)
    exact = lab_to_rgb(np.column_stack([luma_to_lightness(luma[None], tags)[0], ab]).astype(np.float64))
    is_inside = ((exact >= 0) & (exact <= 1)).all(axis=-1)

    rgb = compose_rgb(luma[None], ab[None].astype(np.float32), tags)[0]

    error = np.hypot(*(rgb_to_lab(rgb / 255)[:, 1:] - ab)[is_inside].T)
    # 0.28 on average over 170 000 colours, and 0.76 for 99 %, most of it rounding to 8 bit; more next to a jump.
    assert error.mean() < 1
    assert (error > 1).mean() < 0.06


@given(seed=seeds)
def test_rgb_keeps_hue_where_chroma_does_not_fit(seed: int) -> None:
    tags = ColorTags(Matrix.BT601, ColorRange.FULL, 8)
    luma, ab = draw(seed, tags, 400)
    ab *= 300 / np.hypot(*ab.T)[:, None]

    decoded = rgb_to_lab(compose_rgb(luma[None], ab[None].astype(np.float32), tags)[0] / 255)[:, 1:]

    across = np.abs(decoded[:, 0] * ab[:, 1] - decoded[:, 1] * ab[:, 0]) / 300
    assert across.max() < 2  # 1.5 was the worst of 400 000 colours


def test_rgb_of_no_chroma_is_grey() -> None:
    luma = np.arange(256, dtype=np.uint8)[None]

    rgb = compose_rgb(luma, np.zeros((1, 256, 2), np.float32), ColorTags(Matrix.BT601, ColorRange.FULL, 8))

    np.testing.assert_array_equal(rgb, np.dstack([luma] * 3))
