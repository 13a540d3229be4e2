"""`kinema colorize` from a file to a file: in segments, so that what is finished outlives whatever happens."""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import typer
from numpy.typing import NDArray

from kinema_client.commands.backends import Backend
from kinema_client.commands.colored_steps import colored_steps, naming_frame
from kinema_client.commands.compare import beside_grey
from kinema_client.commands.film_choices import FilmChoices, Outcome, open_film, open_film_writer, width_of
from kinema_client.commands.film_record import Notes, notes_of
from kinema_client.commands.fingerprint import (
    Fingerprint,
    fingerprint_of_choices,
    fingerprint_of_source,
    fingerprint_of_threads,
)
from kinema_client.commands.kept_work import KeptWork
from kinema_client.commands.progress import WorkProgress
from kinema_client.errors import KeptWorkError, ProtocolError
from kinema_client.report import join_records, record_from_json, record_to_json
from kinema_core.ctrl_c import held_ctrl_c
from kinema_core.errors import MediaError, UncolorizedFrameError
from kinema_core.frames import LumaFrame
from kinema_core.media.encoders import DEFAULT_CODEC
from kinema_core.media.reader import FilmReader
from kinema_core.media.segments import SegmentWriter
from kinema_core.pipeline import Step
from kinema_core.temporal.state import State, state_to_bytes

_log = logging.getLogger(__name__)

MAX_FRAMES: Final = 250
"""A segment ends behind so many frames: x264 and x265 begin anew there by themselves (their longest distance of key
frames), so that it costs next to nothing; and no more than these are ever lost."""
MIN_FRAMES: Final = 50
"""Only behind so many does a cut end a segment: an encoder that starts often costs time, and one cut follows another in
a trailer."""


def colorize_in_segments(backend: Backend, source: str, target: str, choices: FilmChoices) -> Outcome:
    """Colorize the film `source` into `target`, both files; go on behind what an interrupted run has kept.

    Raises:
        KinemaError: it failed; what is finished is kept, and a note on the error says so.
        KeyboardInterrupt: so it is, with the same note.
    """
    with ExitStack() as stack:
        notes = stack.enter_context(notes_of(choices))
        with open_film(source, choices) as film:
            _rehearse(film, source, target, choices)
            num_frames = film.num_frames
        fingerprint = _fingerprint(backend, source, choices)
        with held_ctrl_c():  # or an empty folder would be left
            work = stack.enter_context(KeptWork(target, fingerprint, restart=choices.restart))
        if not backend.keeps_state:
            work.drop_behind_last_cut()
        num_kept, num_left_out = work.num_frames, 0
        progress = stack.enter_context(WorkProgress(film.name, "frames", num_frames))
        progress.begin_at(num_kept)
        if num_kept:
            of_all = f" of {num_frames}" if num_frames else ""
            typer.echo(f"going on behind frame {num_kept}{of_all}", err=True)
        try:
            if not work.is_complete:
                num_left_out = _colorize(backend, source, work, choices, progress, notes)
            records = [record_from_json(record) for record in work.records()]
            _join(source, target, choices, work)
        except BaseException as err:
            if work.entries:
                err.add_note(
                    f"{work.num_frames} frames are kept in {work.folder}; the same command goes on behind them"
                )
            raise
        notes.write(join_records(records), backend, target)
        return Outcome(progress, num_kept, num_left_out)


def _rehearse(film: FilmReader, source: str, target: str, choices: FilmChoices) -> None:
    """Find what cannot be written before any work, instead of behind it."""
    with held_ctrl_c():  # or a file would be left
        writer = open_film_writer(film, target, choices)
        writer.rehearse()
    if not writer.converts_subtitles or choices.is_lenient:
        return
    with ExitStack() as stack:
        again = stack.enter_context(open_film(source, choices))
        with held_ctrl_c():
            writer = stack.enter_context(open_film_writer(again, target, choices, is_told=True))
        writer.rehearse(again)


def _fingerprint(backend: Backend, source: str, choices: FilmChoices) -> Fingerprint:
    written = fingerprint_of_choices(choices, without=("overwrite", "restart", "is_lenient", "report"))
    written["a report"] = "no" if choices.report is None else "yes"
    written["codec"] = choices.codec or DEFAULT_CODEC
    threads = fingerprint_of_threads(written["codec"])
    return fingerprint_of_source(source) | backend.fingerprint() | written | threads


def _colorize(
    backend: Backend, source: str, work: KeptWork, choices: FilmChoices, progress: WorkProgress, notes: Notes
) -> int:
    """Make the segments that are not there yet; give how many pictures were left out.

    What fails, but may not fail again, is tried again: all buffers are dropped, and the film is gone on with behind the
    last segment, as it would be by another run. That is done only so often without a new segment.
    """
    num_tries, num_kept = 0, work.num_frames
    while True:
        try:
            with open_film(source, choices) as film:
                return _colorize_rest(backend, film, work, choices, progress, notes)
        except (UncolorizedFrameError, MemoryError) as err:
            if work.num_frames > num_kept:
                num_tries, num_kept = 0, work.num_frames
            if num_tries == len(backend.pauses) or isinstance(err.__cause__, ProtocolError):
                raise
            if not backend.keeps_state:
                work.drop_behind_last_cut()
            _log.warning("film_is_gone_on_with behind=%d reason='%s'", work.num_frames, err)
            time.sleep(backend.pauses[num_tries])
            num_tries += 1


def _colorize_rest(
    backend: Backend, film: FilmReader, work: KeptWork, choices: FilmChoices, progress: WorkProgress, notes: Notes
) -> int:
    progress.begin_at(work.num_frames)
    kept = np.concatenate([np.zeros(0, np.int64), *(segment.pts for _, segment in work.segments)])
    state = work.last_state() if backend.keeps_state else b""
    notes.begin(film)
    segments = _Segments(work, film, choices, notes)
    try:
        frames = _behind(kept, film.frames(with_chroma=backend.options.keep_colour), film.name)
        with closing(
            colored_steps(backend, film, frames, first_number=len(kept), state=state, clock=notes.clock)
        ) as steps:
            for number, step in enumerate(steps, len(kept)):
                with naming_frame(film, number, step), notes.clock.time("write"):
                    segments.write(step)
                notes.add(step.frame)
                progress.advance()
        segments.close()
    except BaseException:
        segments.abort()
        raise
    return film.num_damaged


def _behind(kept: NDArray[np.int64], film: Iterable[LumaFrame], name: str) -> Iterator[LumaFrame]:
    """Give the frames behind those that are kept; decoded from the beginning, for seeking is not always exact."""
    frames = iter(film)
    for number, pts in enumerate(kept.tolist()):
        frame = next(frames, None)
        if frame is None or frame.pts != pts:
            found = "there is none" if frame is None else f"it is at pts {frame.pts}"
            raise KeptWorkError(
                f"{name}: frame {number} was at pts {pts} when it was colorized, and now {found}; "
                "say --restart to begin anew"
            )
    yield from frames


def _join(source: str, target: str, choices: FilmChoices, work: KeptWork) -> None:
    with ExitStack() as stack:
        film = stack.enter_context(open_film(source, choices))
        with held_ctrl_c():  # or a file would be left
            writer = stack.enter_context(open_film_writer(film, target, choices, is_told=True))
        writer.join(film, work.segments)
    work.remove()


@dataclass(slots=True)
class _Segments:
    """Writes steps into one segment after the other; where they end depends on the frames alone."""

    work: KeptWork
    film: FilmReader
    choices: FilmChoices
    notes: Notes
    _writer: SegmentWriter | None = field(default=None, init=False)
    _state: State = field(default_factory=dict, init=False)

    def write(self, step: Step) -> None:
        is_cut = bool(step.frame.is_cut)
        if self._writer is not None and _ends(self._writer.num_frames, is_cut=is_cut):
            self._finish(self._writer, ends_at_cut=is_cut)
        if self._writer is None:
            with held_ctrl_c():  # or a file would be left open
                self._writer = self._open()
        self._writer.write(beside_grey(step.frame) if self.choices.is_compared else step.frame)
        self._state = step.state

    def close(self) -> None:
        if self._writer is not None:
            self._finish(self._writer, ends_at_cut=False, is_last=True)
        if not self.work.entries:
            raise MediaError(f"{self.film.name}: not one frame was written, so there is no film")

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()

    def _finish(self, writer: SegmentWriter, *, ends_at_cut: bool, is_last: bool = False) -> None:
        state = state_to_bytes(self._state) if self._state else b""
        record = self.notes.take()
        told = record_to_json(record) if record is not None else ""
        with held_ctrl_c():  # or what is finished would be lost
            self.work.add(writer.close(), state, told, ends_at_cut=ends_at_cut, is_last=is_last)
            self._writer = None

    def _open(self) -> SegmentWriter:
        choices = self.choices
        return SegmentWriter(
            Path(self.work.next_path),
            self.film,
            width=width_of(self.film, choices),
            codec=choices.codec or DEFAULT_CODEC,
            crf=choices.crf,
            preset=choices.preset,
        )


def _ends(num_frames: int, *, is_cut: bool) -> bool:
    """Tell whether a segment of so many frames ends before the next one."""
    return num_frames >= MAX_FRAMES or (is_cut and num_frames >= MIN_FRAMES)
