"""The way of a frame."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema_core.color import GREY_TAGS, luma_to_lightness, rgb_to_grey, rgb_to_lab, ycbcr_to_rgb
from kinema_core.errors import EngineError, InvalidInputError
from kinema_core.frame_way import prepare_lightness
from kinema_core.frames import ColorFrame, ColorRange, ColorTags, LumaFrame, Matrix, TransitionKind, chroma_shape
from kinema_core.media.photos import read_photo
from kinema_core.pipeline import Colorizer, Options, colorize_frames, colorize_photo, working_shape
from kinema_core.stage_clock import StageClock
from kinema_core.steering.colour_statistics import ColourStatistics
from tests.fakes import FAKE_MANIFEST, FakeEngine, random_film, random_luma

FOOTAGE = Path(__file__).resolve().parents[2] / "demo" / "footage"
TAGS = [ColorTags(matrix, color_range, depth) for matrix in Matrix for color_range in ColorRange for depth in (8, 10)]
SIZES = [(18, 32), (19, 33), (1, 1), (64, 2)]


def make_colorizer(height: int, width: int, tags: ColorTags, options: Options | None = None) -> Colorizer:
    return Colorizer(FAKE_MANIFEST, height=height, width=width, tags=tags, options=options)


def one_by_one(frames: list[LumaFrame], options: Options | None = None) -> list[ColorFrame]:
    height, width = frames[0].luma.shape
    colorizer, engine = make_colorizer(height, width, frames[0].tags, options), FakeEngine()
    colored = []
    for frame in frames:
        prepared = colorizer.prepare(frame)
        colored.append(colorizer.compose(prepared, colorizer.finish(prepared, engine.infer(prepared.lightness))))
    return colored


@pytest.mark.parametrize("tags", TAGS, ids=str)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_luma_leaves_as_the_very_plane_that_came_in(height: int, width: int, tags: ColorTags) -> None:
    frames = list(random_film(3, height, width, tags))
    before = [frame.luma.copy() for frame in frames]

    colored = one_by_one(frames)

    for frame, original, result in zip(frames, before, colored, strict=True):
        assert result.luma is frame.luma
        np.testing.assert_array_equal(result.luma, original)
        assert result.cb.shape == result.cr.shape == chroma_shape(height, width)
        assert (result.pts, result.time_base, result.tags) == (frame.pts, frame.time_base, frame.tags)


EVERY_STEERING = Options(
    saturation=2.0,
    warmth=1.0,
    desaturate_blacks=30.0,
    desaturate_highlights=70.0,
    reference=ColourStatistics(-10, 30, 400, 900, -200),
)
IN_COLOUR, IN_GREY = "in colour", "in grey"


def with_chroma(frame: LumaFrame, kind: str) -> LumaFrame:
    """Give a frame chroma of its own: of every code, or neutral."""
    shape, neutral = chroma_shape(*frame.luma.shape), 1 << frame.tags.bit_depth - 1
    cb, cr = (random_luma(*shape, frame.tags, seed) for seed in (7, 8))
    if kind == IN_GREY:
        cb, cr = (np.full_like(plane, neutral) for plane in (cb, cr))
    return replace(frame, chroma=(cb, cr))


@pytest.mark.parametrize("tags", TAGS, ids=str)
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("kind", [None, IN_COLOUR, IN_GREY])
def test_luma_is_held_whatever_is_steered(height: int, width: int, tags: ColorTags, kind: str | None) -> None:
    frames = list(random_film(3, height, width, tags))
    options = EVERY_STEERING
    if kind is not None:
        frames, options = [with_chroma(frame, kind) for frame in frames], replace(options, keep_colour=True)
    before = [frame.luma.copy() for frame in frames]

    colored = one_by_one(frames, options)

    for frame, original, result in zip(frames, before, colored, strict=True):
        assert result.luma is frame.luma
        np.testing.assert_array_equal(result.luma, original)
        assert result.cb.dtype == result.cr.dtype == tags.dtype
        assert max(result.cb.max(), result.cr.max()) < 1 << tags.bit_depth


def test_every_steering_changes_the_colour_by_itself() -> None:
    frames, defaults = list(random_film(2)), Options()
    plain = one_by_one(frames)

    for name in ("saturation", "warmth", "desaturate_blacks", "desaturate_highlights", "reference"):
        steered = one_by_one(frames, replace(defaults, **{name: getattr(EVERY_STEERING, name)}))
        assert not np.array_equal(steered[0].cb, plain[0].cb), name


@pytest.mark.parametrize("tags", TAGS, ids=str)
def test_a_shot_in_colour_keeps_its_planes_and_a_grey_one_is_colorized(tags: ColorTags) -> None:
    film = list(random_film(4, tags=tags))
    kinds = [IN_COLOUR, IN_COLOUR, IN_GREY, IN_GREY]
    frames = [
        replace(with_chroma(frame, kind), is_cut=index == 2)
        for index, (frame, kind) in enumerate(zip(film, kinds, strict=True))
    ]

    kept = one_by_one(frames, Options(keep_colour=True))

    colorized = one_by_one([replace(frame, chroma=None) for frame in frames])
    for frame, expected, result in zip(frames[:2], colorized[:2], kept[:2], strict=True):
        assert frame.chroma is not None
        assert result.cb is frame.chroma[0]
        assert result.cr is frame.chroma[1]
        assert not np.array_equal(result.cb, expected.cb)
    for expected, result in zip(colorized[2:], kept[2:], strict=True):
        np.testing.assert_array_equal(result.cb, expected.cb)
        np.testing.assert_array_equal(result.cr, expected.cr)


def test_a_frame_in_colour_keeps_it_in_rgb_too() -> None:
    for tags in (ColorTags(), ColorTags(bit_depth=10)):
        (frame,) = random_film(1, tags=tags)
        frame = with_chroma(frame, IN_COLOUR)
        colorizer, engine = make_colorizer(18, 32, tags, Options(keep_colour=True)), FakeEngine()

        prepared = colorizer.prepare(frame)
        found = colorizer.compose_rgb(prepared, colorizer.finish(prepared, engine.infer(prepared.lightness)))

        assert frame.chroma is not None
        own = ycbcr_to_rgb(frame.luma, *frame.chroma, tags) / (1 if tags.bit_depth == 8 else 257)
        assert np.abs(found.rgb - own).max() <= 0.5


@pytest.mark.parametrize("shape", [(18, 32), (9, 15)])
def test_chroma_of_another_size_than_the_frame_s_is_refused(shape: tuple[int, int]) -> None:
    (frame,) = random_film(1)
    good, bad = np.zeros((9, 16), np.uint8), np.zeros(shape, np.uint8)

    with pytest.raises(InvalidInputError, match=r"cr: must be \(9, 16\) for luma \(18, 32\)"):
        replace(frame, chroma=(good, bad))


def test_keeping_colour_without_chroma_is_refused() -> None:
    (frame,) = random_film(1)

    with pytest.raises(InvalidInputError, match=r"frame.chroma: is missing"):
        make_colorizer(18, 32, ColorTags(), Options(keep_colour=True)).prepare(frame)


def test_a_photograph_in_colour_is_kept_if_so_wished_and_a_tinted_one_colorized() -> None:
    rng = np.random.default_rng(1)
    colour = cv2.resize(rng.integers(0, 256, (4, 6, 3), np.uint8), (60, 40), interpolation=cv2.INTER_NEAREST)
    tinted = np.repeat(cv2.resize(colour[..., :1], (60, 40))[..., None], 3, axis=2) // np.array([1, 2, 2], np.uint8)

    kept, coloured = (
        colorize_photo(photo, FakeEngine(), FAKE_MANIFEST, Options(keep_colour=True)) for photo in (colour, tinted)
    )

    np.testing.assert_array_equal(kept, colour)
    np.testing.assert_array_equal(coloured, colorize_photo(tinted, FakeEngine(), FAKE_MANIFEST))


@pytest.mark.parametrize("options", [Options(), EVERY_STEERING], ids=["plain", "steered"])
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "china", "coffee", "flower", "raccoon"])
def test_a_natural_photograph_keeps_its_lightness(name: str, options: Options) -> None:
    photo = read_photo(FOOTAGE / f"{name}.jpg")

    colored = colorize_photo(photo, FakeEngine(), FAKE_MANIFEST, options)

    # In 8 bit one code of a dark grey is worth up to 0.55 of L*, and RGB is rounded to codes.
    drift = np.abs(rgb_to_lab(colored)[..., 0] - luma_to_lightness(rgb_to_grey(photo), GREY_TAGS))
    assert np.percentile(drift, 99.9) <= 1
    assert rgb_to_lab(colored)[..., 1:].std() > 5  # it did get colour


def test_a_photograph_is_steered() -> None:
    grey = np.repeat(np.random.default_rng(1).integers(0, 256, (21, 34, 1), dtype=np.uint8), 3, axis=2)
    plain, defaults = colorize_photo(grey, FakeEngine(), FAKE_MANIFEST), Options()

    for name in ("warmth", "desaturate_blacks", "desaturate_highlights", "reference"):
        options = replace(defaults, **{name: getattr(EVERY_STEERING, name)})
        assert not np.array_equal(colorize_photo(grey, FakeEngine(), FAKE_MANIFEST, options), plain), name


def test_a_frame_says_whether_a_shot_begins_how_and_how_sure_its_colours_are() -> None:
    shots = [random_luma(54, 96, ColorTags(), seed).clip(60, 180) for seed in (1, 2)]
    frames = [LumaFrame(shots[number >= 6], number, Fraction(1, 25)) for number in range(12)]

    colored = one_by_one(frames)

    assert [frame.pts for frame in colored if frame.is_cut] == [0, 6]
    assert [frame.transition for frame in colored if frame.is_cut] == [None, TransitionKind.CUT]
    confidence = [frame.confidence for frame in colored]
    assert confidence[0] == confidence[6] == pytest.approx(1 / 9)
    assert confidence[5] == pytest.approx(6 / 9, rel=0.01)


def test_without_smoothing_there_is_no_confidence_and_a_senders_cut_has_no_kind() -> None:
    frames = [dataclasses.replace(frame, is_cut=frame.pts == 1) for frame in random_film(3)]

    colored = one_by_one(frames, Options(smoothing=0))

    assert [frame.is_cut for frame in colored] == [frame.pts == 1 for frame in frames]
    assert {(frame.transition, frame.confidence) for frame in colored} == {(None, None)}


def test_every_stage_is_timed() -> None:
    clock = StageClock()

    list(colorize_frames(random_film(3), make_colorizer(18, 32, ColorTags()), FakeEngine(), clock))

    assert clock.take().keys() == {"decode", "prepare", "engine", "finish"}


def test_overlapped_stages_give_the_bits_of_one_after_the_other() -> None:
    frames = list(random_film(30))
    expected = one_by_one(frames)

    found = list(colorize_frames(frames, make_colorizer(18, 32, ColorTags()), FakeEngine()))

    assert [frame.pts for frame in found] == [frame.pts for frame in frames]
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a.cb, b.cb)
        np.testing.assert_array_equal(a.cr, b.cr)


def test_a_failing_engine_is_an_error_and_never_a_grey_frame() -> None:
    engine = FakeEngine()
    engine.error = EngineError("out of order")

    with pytest.raises(EngineError, match="out of order"):
        list(colorize_frames(random_film(3), make_colorizer(18, 32, ColorTags()), engine))


@pytest.mark.parametrize("where", ["engine", "consumer", "composing"])
def test_after_an_error_nobody_reads_the_film_any_more(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A film may be closed as soon as the frames are: another thread must not be inside it then."""
    num_read = 0

    def film() -> Iterator[LumaFrame]:
        nonlocal num_read
        for frame in random_film(1000):
            num_read += 1
            time.sleep(0.001)
            yield frame

    engine, colorizer = FakeEngine(), make_colorizer(18, 32, ColorTags())
    if where == "engine":
        engine.error = EngineError("out of order")
    if where == "composing":
        monkeypatch.setattr(Colorizer, "compose", lambda *_: 1 / 0)

    def consume() -> None:
        with closing(colorize_frames(film(), colorizer, engine)) as frames:
            next(frames)
            raise KeyError(where)

    with pytest.raises((EngineError, ZeroDivisionError, KeyError)) as raised:
        consume()

    assert raised.value.__traceback__ is not None  # alive, as in a program that is about to report it
    num_read_at_close = num_read
    time.sleep(0.05)
    assert num_read == num_read_at_close
    assert not any(thread.name == "kinema-ahead" for thread in threading.enumerate())


def test_without_saturation_a_film_is_grey_and_with_more_it_is_more_colourful() -> None:
    frames = list(random_film(2))

    def chroma(saturation: float) -> float:
        first = one_by_one(frames, Options(saturation=saturation))[0]
        return float(np.hypot(first.cb.astype(float) - 128, first.cr.astype(float) - 128).mean())

    assert chroma(0) == 0
    assert chroma(0) < chroma(0.5) < chroma(1) < chroma(2)


@pytest.mark.parametrize("is_cut", [True, False])
def test_what_the_sender_says_of_cuts_is_believed(is_cut: bool) -> None:
    colorizer, engine = make_colorizer(18, 32, ColorTags()), FakeEngine()
    finished = []
    for frame in random_film(2):
        told = LumaFrame(frame.luma, frame.pts, frame.time_base, frame.tags, is_cut=is_cut)
        prepared = colorizer.prepare(told)
        finished.append(colorizer.finish(prepared, engine.infer(prepared.lightness)))

    assert [f.is_cut for f in finished] == [is_cut, is_cut]


def test_rgb_output_has_the_frame_s_size_and_time() -> None:
    colorizer, engine = make_colorizer(19, 33, ColorTags()), FakeEngine()
    (frame,) = random_film(1, 19, 33)

    prepared = colorizer.prepare(frame)
    rgb = colorizer.compose_rgb(prepared, colorizer.finish(prepared, engine.infer(prepared.lightness)))

    assert rgb.rgb.shape == (19, 33, 3)
    assert (rgb.pts, rgb.time_base) == (frame.pts, frame.time_base)


def test_a_frame_of_another_size_or_with_other_tags_is_refused() -> None:
    colorizer = make_colorizer(18, 32, ColorTags())
    (other_size,) = random_film(1, 20, 32)
    (other_tags,) = random_film(1, 18, 32, ColorTags(Matrix.BT601))

    for frame in (other_size, other_tags):
        with pytest.raises(InvalidInputError, match="frame: must be"):
            colorizer.prepare(frame)


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize(("height", "width"), [(128, 256), (127, 255), (150, 290), (60, 100), (20, 40)])
def test_the_model_sees_the_means_of_a_picture_s_areas_however_large_it_is(
    height: int, width: int, bit_depth: int
) -> None:
    tags, shape = ColorTags(bit_depth=bit_depth), (16, 32)
    wave = 0.5 + 0.4 * np.sin(np.linspace(0, 5, height))[:, None] * np.cos(np.linspace(0, 7, width))
    luma: Any = (wave * 200 * 2 ** (bit_depth - 8) + 20).astype(tags.dtype)
    grain: Any = np.random.default_rng(1).integers(0, 8, luma.shape).astype(tags.dtype)

    seen = prepare_lightness(luma + grain, tags, shape)

    interpolation = cv2.INTER_AREA if height > shape[0] else cv2.INTER_CUBIC
    means = cv2.resize((luma + grain).astype(np.float32), shape[::-1], interpolation=interpolation)
    expected = luma_to_lightness(np.rint(means).astype(tags.dtype), tags)
    assert seen.shape == (1, 1, *shape)
    assert np.abs(seen[0, 0] - expected).max() < 2  # L*: other borders between the areas, and codes that tip
    assert abs(seen[0, 0].mean() - expected.mean()) < 0.2


def test_a_photograph_keeps_its_size_and_its_own_colour_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    grey = np.repeat(rng.integers(0, 256, (21, 34, 1), dtype=np.uint8), 3, axis=2)

    colored = colorize_photo(grey, FakeEngine(), FAKE_MANIFEST)

    assert colored.shape == grey.shape
    assert colored.dtype == np.uint8
    assert not np.array_equal(colored, grey)
    np.testing.assert_array_equal(colorize_photo(grey, FakeEngine(), FAKE_MANIFEST, Options(saturation=0)), grey)


@pytest.mark.parametrize(
    ("field", "value"),
    [("smoothing", -0.1), ("smoothing", 1.1), ("smoothing", float("nan")), ("saturation", -1), ("saturation", 2.5),
     ("working_size", 32), ("working_size", 4096), ("working_size", -256), ("warmth", 1.1), ("warmth", float("nan")),
     ("desaturate_blacks", -1), ("desaturate_blacks", 51), ("desaturate_highlights", 49),
     ("desaturate_highlights", 101)],
)  # fmt: skip
def test_options_out_of_range_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(InvalidInputError) as refused:
        Options(**{field: value})  # type: ignore[arg-type]  # by name

    assert refused.value.field == field


@given(st.integers(1, 8192), st.integers(1, 8192), st.sampled_from([0, 64, 256, 384, 1024]))
def test_the_model_s_picture_is_a_multiple_of_what_it_takes_and_never_huge(height: int, width: int, size: int) -> None:
    h, w = working_shape(height, width, FAKE_MANIFEST, size)

    assert h % FAKE_MANIFEST.size_multiple == 0
    assert w % FAKE_MANIFEST.size_multiple == 0
    assert h * w <= 4096 * 4096


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (480, 640), (1080, 1920), (256, 256), (1280, 720)])
def test_the_model_s_picture_has_the_film_s_shape_and_about_the_asked_number_of_pixels(height: int, width: int) -> None:
    h, w = working_shape(height, width, FAKE_MANIFEST, 256)

    assert h * w == pytest.approx(256 * 256, rel=0.05)
    assert w / h == pytest.approx(width / height, rel=0.05)


def test_time_base_is_carried_through() -> None:
    (frame,) = one_by_one(list(random_film(1)))

    assert frame.time_base == Fraction(1, 24)
