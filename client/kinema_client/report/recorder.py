"""Takes notes of a film while it is colorized."""

import math
import time
from collections.abc import Callable
from typing import Self

from kinema_client.report.record import FilmRecord, Picture
from kinema_client.report.reduced import Rgb, encode_jpeg, make_picture, reduce_frame
from kinema_client.report.warning_log import WarningLog
from kinema_core.color import rgb_to_lab
from kinema_core.frames import ColorFrame
from kinema_core.media.reader import FilmReader
from kinema_core.quality.colourfulness import colourfulness
from kinema_core.quality.flicker import FlickerMeter
from kinema_core.stage_clock import StageClock


class FilmRecorder:
    """Looks at each frame of one film, in order.

    Everything is computed on a picture of 96 x 54; what that costs is in docs/report.md.
    """

    def __init__(
        self,
        clock: StageClock,
        warnings: WarningLog,
        *,
        aspect: float | None = None,
        num_quarter_turns: int = 0,
        wall_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            clock: what the stages count their time with.
            warnings: what collects the film's log.
            aspect: width by height of the pictures before they are turned; by their pixels where None.
            num_quarter_turns: clockwise, to show the pictures upright.
            wall_clock: seconds.
        """
        self._clock = clock
        self._warnings = warnings
        self._aspect = aspect
        self._turns = num_quarter_turns
        self._wall_clock = wall_clock
        self._began = wall_clock()
        self._meter = FlickerMeter()
        self._record = FilmRecord()
        self._shot_length = 0
        """Frames of the present shot in the present record."""
        self._seen: list[tuple[int, Rgb]] = []
        """Two frames of it, at 2^k and half of that."""

    @classmethod
    def of(cls, film: FilmReader, clock: StageClock, warnings: WarningLog) -> Self:
        """Begin with the pictures' shape and turn of `film`."""
        aspect = film.width * float(film.sample_aspect_ratio or 1) / film.height
        turns = 0
        if film.display_matrix is not None:  # a 3x3 matrix by rows, whose first is (cos, sin) of the angle, clockwise
            turns = round(math.atan2(film.display_matrix[1], film.display_matrix[0]) / (math.pi / 2)) % 4
        return cls(clock, warnings, aspect=aspect, num_quarter_turns=turns)

    def add(self, frame: ColorFrame) -> None:
        """Note the next frame."""
        record, index = self._record, self._record.num_frames
        record.time_base = frame.time_base
        if frame.is_cut:
            self._finish_shot()
        if frame.is_cut or frame.transition is not None:
            record.cuts[index] = frame.transition
        small = reduce_frame(frame)
        record.pts.append(frame.pts)
        record.colourfulness.append(colourfulness(small))
        record.flicker.append(self._meter.measure(rgb_to_lab(small), is_cut=bool(frame.is_cut)))
        record.confidence.append(math.nan if frame.confidence is None else frame.confidence)
        if frame.is_kept:
            record.kept.append(index)
        self._look(frame, index)

    def take(self) -> FilmRecord:
        """Return what was noted since the last time, and go on."""
        self._finish_shot()
        taken, self._record = self._record, FilmRecord()
        now = self._wall_clock()
        taken.wall_seconds, self._began = now - self._began, now
        taken.stage_seconds = self._clock.take()
        taken.warnings = self._warnings.take()
        return taken

    def _look(self, frame: ColorFrame, index: int) -> None:
        """Keep a picture of the shot's frames 0, 1, 2, 4, 8, ...: one of the last two lies in its second quarter."""
        place, self._shot_length = self._shot_length, self._shot_length + 1
        if place & (place - 1) == 0:
            aspect = self._aspect or frame.luma.shape[1] / frame.luma.shape[0]
            picture = make_picture(frame, aspect=aspect, num_quarter_turns=self._turns)
            self._seen = [*self._seen[-1:], (index, picture)]

    def _finish_shot(self) -> None:
        if self._seen:
            middle = self._record.num_frames - self._shot_length / 2
            index, picture = max((seen for seen in self._seen if seen[0] <= middle), key=lambda seen: seen[0])
            self._record.pictures.append(Picture(index, encode_jpeg(picture)))
        self._seen, self._shot_length = [], 0
