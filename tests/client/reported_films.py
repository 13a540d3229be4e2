"""Colour frames and records for the tests of reports."""

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np

from kinema_client.report import FilmRecord, FilmRecorder, WarningLog
from kinema_core.frames import ColorFrame, ColorTags, TransitionKind
from kinema_core.stage_clock import StageClock

HEIGHT, WIDTH = 72, 128
TIME_BASE = Fraction(1, 25)


def colour_frame(
    number: int,
    *,
    strength: float = 40,
    tags: ColorTags | None = None,
    is_cut: bool | None = None,
    transition: TransitionKind | None = None,
    confidence: float | None = 0.5,
) -> ColorFrame:
    """Make a still picture whose chroma waves, with codes up to `strength` (of 8 bit) away from grey."""
    tags = tags or ColorTags()
    unit = 1 << (tags.bit_depth - 8)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    luma = (120 + 60 * np.sin(columns / 7) * np.cos(rows / 5)) * unit
    wave = np.sin(columns[::2, ::2] / 9) * strength
    cb, cr = ((128 + sign * wave) * unit for sign in (1, -1))
    y, u, v = (np.rint(plane).astype(tags.dtype) for plane in (luma, cb, cr))
    return ColorFrame(y, u, v, number, TIME_BASE, tags, is_cut, transition, confidence)


def film(num_frames: int, cuts: Mapping[int, TransitionKind | None]) -> Iterator[ColorFrame]:
    """Make frames whose colours get stronger, with shots that begin where `cuts` say."""
    for number in range(num_frames):
        kind = cuts.get(number)
        is_cut = number in cuts and kind is not TransitionKind.RETURN
        yield colour_frame(number, strength=20 + number % 7, is_cut=is_cut, transition=kind)


def recorder() -> FilmRecorder:
    return FilmRecorder(StageClock(), WarningLog())


def record_of(num_frames: int, cuts: Mapping[int, TransitionKind | None]) -> FilmRecord:
    taking = recorder()
    for frame in film(num_frames, cuts):
        taking.add(frame)
    return taking.take()


def long_record(num_frames: int, shot_length: int) -> FilmRecord:
    """Make a record without looking at any frame."""
    record = FilmRecord(TIME_BASE)
    record.pts.extend(range(num_frames))
    record.colourfulness.extend(20 + math.sin(number / 500) for number in range(num_frames))
    record.flicker.extend(math.nan if number % shot_length == 0 else 0.5 for number in range(num_frames))
    record.confidence.extend(min(1.0, (number % shot_length + 1) / 9) for number in range(num_frames))
    record.cuts |= dict.fromkeys(range(0, num_frames, shot_length), TransitionKind.CUT)
    return record
