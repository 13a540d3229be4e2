"""The shots of a record."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from kinema_client.report.record import FilmRecord, Picture
from kinema_core.frames import TransitionKind


@dataclass(frozen=True, slots=True)
class Shot:
    """A run of frames between two changes of scene; means are NaN where nothing is known."""

    number: int
    """Counted from 1."""
    first: int
    end: int
    """The frame behind the last."""
    begin_seconds: float
    end_seconds: float
    transition: TransitionKind | None
    """How the shot before gave way to this one; None where unknown."""
    is_kept: bool
    """Whether most of it was left in its own colour."""
    colourfulness: float
    flicker: float
    confidence: float
    picture: Picture | None

    @property
    def num_frames(self) -> int:
        """How long it is."""
        return self.end - self.first


def frame_seconds(record: FilmRecord) -> list[float]:
    """Return when each frame begins, and behind them when the last one ends, if it is as long as the mean."""
    seconds = [float(pts * record.time_base) for pts in record.pts]
    if not seconds:
        return [0.0]
    mean = (seconds[-1] - seconds[0]) / (len(seconds) - 1) if len(seconds) > 1 else 1 / 25
    return [*seconds, seconds[-1] + mean]


def find_shots(record: FilmRecord) -> list[Shot]:
    """Cut a record into shots; a cut that proved to have been none is no boundary."""
    seconds = frame_seconds(record)
    begins = _boundaries(record)
    frames_of_pictures = [picture.frame for picture in record.pictures]
    shots = []
    for number, (first, kind) in enumerate(begins, start=1):
        end = begins[number][0] if number < len(begins) else record.num_frames
        pictures = record.pictures[bisect_left(frames_of_pictures, first) : bisect_left(frames_of_pictures, end)]
        num_kept = bisect_left(record.kept, end) - bisect_left(record.kept, first)
        shots.append(Shot(
            number, first, end, seconds[first], seconds[end], kind, 2 * num_kept > end - first,
            mean(record.colourfulness[first:end]), mean(record.flicker[first:end]), mean(record.confidence[first:end]),
            min(pictures, key=lambda picture: abs(2 * picture.frame - first - end), default=None),
        ))  # fmt: skip
    return shots


def mean(values: Sequence[float]) -> float:
    """Return the mean of what is not NaN; NaN where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _boundaries(record: FilmRecord) -> list[tuple[int, TransitionKind | None]]:
    """Return the first frame of each shot, and how it began."""
    begins: list[tuple[int, TransitionKind | None]] = [(0, None)] if record.num_frames else []
    for frame, kind in sorted(record.cuts.items()):
        if kind is TransitionKind.RETURN:
            if len(begins) > 1 and begins[-1][1] is TransitionKind.CUT:
                begins.pop()
        elif frame > 0:
            begins.append((frame, kind))
    return begins
