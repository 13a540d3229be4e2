"""What the frames so far leave to the next, carried into another colorizer."""

import dataclasses
import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema_core.errors import InvalidInputError
from kinema_core.frames import ColorFrame, ColorTags, LumaFrame
from kinema_core.pipeline import Colorizer, Options, colorize_frames, colorize_steps
from kinema_core.steering.colour_statistics import ColourStatistics
from kinema_core.temporal.state import MAX_BYTES, state_from_bytes, state_to_bytes
from tests.fakes import FAKE_MANIFEST, FakeEngine

HEIGHT, WIDTH = 36, 64


def scene(seed: int, num_frames: int) -> Iterator[np.ndarray[Any, Any]]:
    """A picture that moves, in grain."""
    random = np.random.default_rng(seed)
    picture = random.integers(40, 215, (9, 32)).repeat(8, axis=0).repeat(8, axis=1)
    for shift in range(num_frames):
        yield picture[:HEIGHT, shift : shift + WIDTH] + random.normal(0, 2, (HEIGHT, WIDTH))


def film() -> list[LumaFrame]:
    """Shots, a flash, black, a fade, a dissolve, a torn frame: what the cut detector keeps notes of."""
    first, second, third, fourth, fifth = (list(scene(seed, 24)) for seed in range(5))
    dissolve = [second[n] * (1 - n / 12) + third[n] * n / 12 for n in range(12)]
    fade = [16 + (frame - 16) * (1 - n / 11) for n, frame in enumerate(third[12:])]
    torn = [np.random.default_rng(9).integers(16, 235, (HEIGHT, WIDTH))]
    black = [np.full((HEIGHT, WIDTH), 16)] * 3
    white = [np.full((HEIGHT, WIDTH), 235)]
    lumas = [*black[:1], *first[:12], *white, *first[13:], *second[:12], *dissolve, *fade, *black, *fourth[:9], *torn]
    lumas += [*fourth[10:], *black, *fifth[:6]]
    return [
        LumaFrame(np.clip(np.rint(luma), 0, 255).astype(np.uint8), 40 * number, Fraction(1, 1000))
        for number, luma in enumerate(lumas)
    ]


FILM = film()


def make(smoothing: float = 0.5, height: int = HEIGHT, **options: Any) -> Colorizer:
    options = {"smoothing": smoothing, "working_size": 64} | options
    return Colorizer(FAKE_MANIFEST, height=height, width=WIDTH, tags=ColorTags(), options=Options(**options))


def colorize(frames: list[LumaFrame], colorizer: Colorizer) -> list[ColorFrame]:
    return list(colorize_frames(frames, colorizer, FakeEngine()))


WHOLE = {smoothing: colorize(FILM, make(smoothing)) for smoothing in (0.0, 0.5, 1.0)}


def assert_same(found: list[ColorFrame], expected: list[ColorFrame]) -> None:
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_array_equal(one.cb, other.cb, err_msg=f"frame {number}")
        np.testing.assert_array_equal(one.cr, other.cr, err_msg=f"frame {number}")


STEPS = list(colorize_steps(FILM, make(), FakeEngine()))
AHEAD = 45
"""More frames than a dissolve is looked for over."""


@pytest.mark.parametrize("at", range(len(FILM)))
def test_a_film_that_is_carried_on_behind_any_frame_is_the_same_to_the_bit(at: int) -> None:
    there = make()
    there.import_state(state_to_bytes(STEPS[at].state))

    found = colorize(FILM[at + 1 : at + AHEAD], there)

    assert_same(found, WHOLE[0.5][at + 1 : at + AHEAD])
    assert there.export_state() == state_to_bytes(STEPS[min(at + AHEAD, len(FILM)) - 1].state)


@settings(max_examples=10)
@given(places=st.sets(st.integers(1, len(FILM) - 1), min_size=2, max_size=4), smoothing=st.sampled_from([0.0, 1.0]))
def test_so_it_is_wherever_and_however_often(places: set[int], smoothing: float) -> None:
    found: list[ColorFrame] = []
    state = make(smoothing).export_state()
    edges = [0, *sorted(places), len(FILM)]

    for start, end in itertools.pairwise(edges):
        colorizer = make(smoothing)
        colorizer.import_state(state)
        found += colorize(FILM[start:end], colorizer)
        state = colorizer.export_state()

    assert_same(found, WHOLE[smoothing])


@pytest.mark.parametrize("at", [1, 12, 30, 61])
def test_palette_and_own_colour_are_carried_on_as_well(at: int) -> None:
    """A tint and colour take turns; the verdict and the palette depend on the frames before."""
    random = np.random.default_rng(7)
    shape = (HEIGHT // 2, WIDTH // 2)
    own = [np.full(shape, 130, np.uint8), random.integers(40, 215, shape).astype(np.uint8)]
    frames = [
        dataclasses.replace(frame, chroma=(own[n // 9 % 2], own[n // 9 % 2][::-1])) for n, frame in enumerate(FILM)
    ]
    options: dict[str, Any] = {"reference": ColourStatistics(10, -5, 60, 90, 20), "keep_colour": True, "warmth": 0.5}
    steps = list(colorize_steps(frames, make(**options), FakeEngine()))
    there = make(**options)
    there.import_state(state_to_bytes(steps[at].state))

    found = colorize(frames[at + 1 :], there)

    assert_same(found, [step.frame for step in steps[at + 1 :]])
    plain = make()
    with pytest.raises(InvalidInputError, match="palette"):
        make(**options).import_state(plain.export_state())


def test_a_snapshot_stays_what_it_was_while_the_film_goes_on() -> None:
    here, there = make(), make()
    colorize(FILM[:30], here)
    snapshot = here.snapshot()
    colorize(FILM[30:], here)

    there.import_state(state_to_bytes(snapshot))

    assert_same(colorize(FILM[30:], there), WHOLE[0.5][30:])


def test_a_state_does_not_grow_with_the_film() -> None:
    colorizer = make()
    sizes = []
    for _ in range(3):
        colorize(FILM, colorizer)
        sizes.append(len(colorizer.export_state()))
    assert max(sizes) < 2_000_000
    assert sizes[2] <= sizes[0] * 1.2


@given(data=st.binary(max_size=200))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="state: is"):
        make().import_state(data)


@given(at=st.integers(0, 10**6), change=st.integers(1, 255))
def test_a_state_with_one_other_byte_is_refused_and_changes_nothing(at: int, change: int) -> None:
    damaged = bytearray(STATE)
    damaged[at % len(STATE)] ^= change
    colorizer = make()
    before = colorizer.export_state()

    with pytest.raises(InvalidInputError, match=r"^state: "):
        colorizer.import_state(bytes(damaged))

    assert colorizer.export_state() == before


def _state() -> bytes:
    colorizer = make()
    colorize(FILM[:40], colorizer)
    return colorizer.export_state()


STATE = _state()


@pytest.mark.parametrize("cut", [0, 10, 60, 200, -1])
def test_a_state_that_ends_early_is_refused(cut: int) -> None:
    with pytest.raises(InvalidInputError, match=r"^state: "):
        make().import_state(STATE[:cut])


@pytest.mark.parametrize(
    ("colorizer", "message"),
    [
        (make(0.7), "of another strength of smoothing"),
        (make(height=38), "of a film of another size"),
        (make(working_size=80), "is of another film or other options"),
    ],
)
def test_the_state_of_another_film_or_other_choices_is_refused(colorizer: Colorizer, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        colorizer.import_state(STATE)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("height", None, "no number height"),
        ("height", 36.5, "height is no whole number"),
        ("skipped_cut", "maybe", "skipped_cut is none of yes, perhaps"),
        ("cuts.index", True, "no number cuts.index"),
        ("cuts.last.kind", "wipe", "cuts.last.kind is none of cut, dissolve"),
        ("cuts.recent.0", np.zeros((3, 3), np.float32), "cuts.recent.0 of float32"),
        ("cuts.contrasts", np.zeros(49), "at most 48"),
        ("stabilizer.ab", np.zeros((1, 1, 2), np.float32), "stabilizer.ab"),
    ],
)
def test_a_state_that_is_made_up_is_refused(name: str, value: Any, message: str) -> None:
    colorizer = make()
    colorize(FILM[:5], colorizer)
    state = {**colorizer.snapshot(), name: value}

    with pytest.raises(InvalidInputError, match=message):
        make().import_state(state_to_bytes(state))


def test_what_is_no_number_and_what_is_too_much_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no number"):
        state_from_bytes(state_to_bytes({"a": np.array([np.nan], np.float32)}))
    with pytest.raises(InvalidInputError, match="is no temporal state"):
        state_from_bytes(STATE[:24] + bytes(MAX_BYTES))
    reader = state_from_bytes(state_to_bytes({f"a.{n}": np.zeros(1, np.float32) for n in range(5)}))
    with pytest.raises(InvalidInputError, match="5 of a, 4 at most"):
        reader.arrays("a", np.float32, (1,), most=4)


def test_the_film_has_what_the_detector_keeps_notes_of() -> None:
    """Or the tests above would show less than they seem to."""
    colorizer, names = make(), set[str]()
    for frame in FILM:
        colorize([frame], colorizer)
        names |= set(colorizer.snapshot())
    assert {"cuts.blank.since", "cuts.before_cut", "cuts.shown", "cuts.recent.3", "cuts.dissolves.plane.5"} <= names
