"""Films with known transitions: clips joined by cuts, dissolves and fades, with the damage that old film has.

Shots come from real clips without cuts. All randomness comes from the seed: a film is the same on every machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.frames import TransitionKind

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

HEIGHT, WIDTH = 270, 480
KINDS: Final = (TransitionKind.CUT, TransitionKind.DISSOLVE, TransitionKind.FADE)
SHARES: Final = (0.5, 0.25, 0.25)
"""How often each is put between two shots."""
CUT_TOLERANCE: Final = 2
"""Frames by which a cut may be missed."""
GRADUAL_TOLERANCE: Final = 5
"""Frames before and behind a dissolve or fade that still count as in it."""


@dataclass(frozen=True, slots=True)
class Label:
    """A transition that was put into a film."""

    kind: TransitionKind
    start: int
    """First frame that is not wholly of the old shot."""
    end: int
    """First frame that is wholly of the new shot; that of a cut is its `start`."""


@dataclass(frozen=True, slots=True, eq=False)
class JoinedFilm:
    """A grey film and what is in it."""

    luma: U8
    """(T, HEIGHT, WIDTH), Y' of full range."""
    labels: tuple[Label, ...]
    flashes: tuple[int, ...]
    """First frames of flashes, which are no transitions."""


@dataclass(frozen=True, slots=True)
class Damage:
    """How bad a film has become; all in 8-bit codes or shares."""

    grain: float = 0.0
    """Standard deviation."""
    flicker: float = 0.0
    """Standard deviation of the gain of the whole picture."""
    local_flicker: float = 0.0
    """Standard deviation of a slow field over the picture."""
    num_scratches: int = 0
    num_specks: int = 0
    """Mean number in a frame."""
    weave: float = 0.0
    """Standard deviation of the picture's place, in pixels."""


CLEAN: Final = Damage()
WORN: Final = Damage(grain=5, flicker=0.04, local_flicker=2, num_scratches=1, num_specks=3, weave=0.5)
RUINED: Final = Damage(grain=12, flicker=0.12, local_flicker=6, num_scratches=4, num_specks=10, weave=1.2)


def join(shots: Sequence[U8], damage: Damage, seed: int) -> JoinedFilm:
    """Join shots (T, H, W) in random order, each used once, by random transitions; add flashes, then damage."""
    rng = np.random.default_rng(seed)
    frames: list[F32] = []
    labels: list[Label] = []
    flashes: list[int] = []
    for index in rng.permutation(len(shots)):
        shot = _excerpt(shots[index], rng)
        begin = len(frames)
        if frames:
            labels.append(_append(frames, shot, rng))
        else:
            frames.extend(shot)
        first = max(begin, labels[-1].end if labels else 0) + 8
        if rng.random() < 0.4 and first < len(frames) - 36:  # far enough from this and the next transition
            flashes.append(_flash(frames, int(rng.integers(first, len(frames) - 36)), rng))
    return JoinedFilm(_age(frames, damage, rng), tuple(labels), tuple(flashes))


def fit_luma(luma: U8) -> U8:
    """Scale and crop (T, H, W) so that it fills WIDTH x HEIGHT."""
    scale = max(HEIGHT / luma.shape[1], WIDTH / luma.shape[2])
    height, width = max(HEIGHT, round(luma.shape[1] * scale)), max(WIDTH, round(luma.shape[2] * scale))
    top, left = (height - HEIGHT) // 2, (width - WIDTH) // 2
    scaled = (cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in luma)
    return np.stack([frame[top : top + HEIGHT, left : left + WIDTH] for frame in scaled])


def match(labels: Sequence[Label], found: Sequence[tuple[int, int]]) -> tuple[set[int], list[tuple[int, int]]]:
    """Match what a detector found, as (first, last) frame, to labels: indices of the labels found, and what is wrong.

    A cut is found by what begins or ends there; what overlaps a dissolve or fade has found it. A second find within one
    dissolve or fade is not counted against a detector, whichever it is.
    """
    hits: set[int] = set()
    wrong = []
    for span in found:
        near = [i for i, label in enumerate(labels) if _is_near(label, span)]
        if any(labels[i].kind is not TransitionKind.CUT or i not in hits for i in near):
            hits.update(near)
        else:
            wrong.append(span)
    return hits, wrong


def _is_near(label: Label, span: tuple[int, int]) -> bool:
    first, last = span
    if label.kind is TransitionKind.CUT:
        return min(abs(first - label.start), abs(last - label.start)) <= CUT_TOLERANCE
    return first <= label.end + GRADUAL_TOLERANCE and last >= label.start - GRADUAL_TOLERANCE


def _excerpt(shot: U8, rng: np.random.Generator) -> list[F32]:
    length = int(rng.integers(50, 75))
    begin = int(rng.integers(0, max(1, len(shot) - length)))
    return [frame.astype(np.float32) for frame in shot[begin : begin + length]]


def _append(frames: list[F32], shot: list[F32], rng: np.random.Generator) -> Label:
    """Join `shot` to `frames` by a random transition."""
    kind = KINDS[rng.choice(len(KINDS), p=SHARES)]
    if kind is TransitionKind.CUT:
        label = Label(kind, len(frames), len(frames))
        frames.extend(shot)
        return label
    length = int(rng.integers(8, 25))
    start = len(frames) - length
    if kind is TransitionKind.DISSOLVE:
        for i in range(length):
            share = np.float32((i + 1) / (length + 1))
            frames[start + i] = frames[start + i] * (1 - share) + shot[i] * share
        frames.extend(shot[length:])
        return Label(kind, start, start + length)
    flat = np.full_like(shot[0], rng.choice([0, 0, 0, 255]))  # to black; now and then to white
    for i in range(length):
        share = np.float32((i + 1) / length)
        frames[start + i] = frames[start + i] * (1 - share) + flat * share
    frames.extend(flat.copy() for _ in range(int(rng.integers(0, 6))))
    begin = len(frames)
    length = int(rng.integers(8, 25))
    for i in range(length):
        share = np.float32(i / length)
        frames.append(flat * (1 - share) + shot[i] * share)
    frames.extend(shot[length:])
    return Label(kind, start, begin + length)


def _flash(frames: list[F32], at: int, rng: np.random.Generator) -> int:
    """Overexpose one to three frames; returns the first."""
    for i in range(int(rng.integers(1, 4))):
        frames[at + i] = np.minimum(frames[at + i] * np.float32(rng.uniform(1.5, 2.5)) + rng.uniform(20, 90), 255)
    return at


def _age(frames: Sequence[F32], damage: Damage, rng: np.random.Generator) -> U8:
    scratches = [_Scratch(rng) for _ in range(damage.num_scratches)]
    return np.stack([_age_frame(frame, damage, scratches, rng) for frame in frames])


class _Scratch:
    """A vertical line that wanders from frame to frame."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.x = float(rng.uniform(0, WIDTH))
        self.code = float(rng.choice([-70, 80]))

    def draw(self, frame: F32, rng: np.random.Generator) -> None:
        self.x = (self.x + rng.normal(0, 3)) % (WIDTH - 2)
        if rng.random() < 0.8:
            frame[:, int(self.x) : int(self.x) + 2] += self.code


def _age_frame(frame: F32, damage: Damage, scratches: Sequence[_Scratch], rng: np.random.Generator) -> U8:
    if damage.weave:
        shift = np.array([[1, 0, rng.normal(0, damage.weave)], [0, 1, rng.normal(0, damage.weave)]])
        frame = np.asarray(cv2.warpAffine(frame, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE), np.float32)
    aged = frame * np.float32(max(0.3, rng.normal(1, damage.flicker)))
    if damage.local_flicker:
        field = rng.normal(0, damage.local_flicker, (3, 4)).astype(np.float32)
        aged += cv2.resize(field, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    if damage.grain:
        grain = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH), np.float32), (0, 0), 0.7)
        aged += grain * np.float32(damage.grain / grain.std())
    for scratch in scratches:
        scratch.draw(aged, rng)
    for _ in range(rng.poisson(damage.num_specks)):
        centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
        cv2.circle(aged, centre, int(rng.integers(1, 7)), float(rng.choice([10, 245])), -1)
    return np.asarray(np.rint(aged.clip(0, 255)), np.uint8)


def films(shots: Sequence[U8], num_films: int, num_shots: int, seed: int) -> Iterator[JoinedFilm]:
    """Make films of `num_shots` shots each, in turn clean, worn and ruined."""
    rng = np.random.default_rng(seed)
    for number in range(num_films):
        chosen = [shots[i] for i in rng.choice(len(shots), num_shots, replace=False)]
        yield join(chosen, (CLEAN, WORN, RUINED)[number % 3], int(rng.integers(2**32)))
