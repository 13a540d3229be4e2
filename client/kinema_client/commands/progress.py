"""How work on frames or photographs gets on, shown to a person."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

SECONDS_BETWEEN_LINES = 10.0


class WorkProgress:
    """Show how many `unit` are done, how many a second, and how long it still takes; on standard error.

    On a terminal that is a bar. Elsewhere, as in a log, it is a plain line every ten seconds, without escape codes.
    """

    def __init__(
        self,
        name: str,
        unit: str,
        total: int | None,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._unit = unit
        self._total = total
        self._stream = stream or sys.stderr
        self._clock = clock
        self._bar: Progress | None = None
        if self._stream.isatty():
            self._bar = _bar(unit, Console(file=self._stream))
            self._task = self._bar.add_task(Text(name).markup, total=total)
        self._began = self._last_line = clock()
        self._num_advanced = 0
        self.num_done = 0

    @property
    def seconds(self) -> float:
        """How long the work has taken so far."""
        return self._clock() - self._began

    @property
    def rate(self) -> float:
        """How many were done a second, in the mean; what was there before does not count."""
        return self._num_advanced / max(self.seconds, 1e-9)

    def begin_at(self, num_done: int) -> None:
        """Go on behind so many that are done already."""
        self.num_done = num_done
        if self._bar is not None:
            self._bar.update(self._task, completed=num_done)

    def advance(self) -> None:
        """Count one more."""
        self.num_done += 1
        self._num_advanced += 1
        if self._bar is not None:
            self._bar.advance(self._task)
        elif self._clock() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = self._clock()
            print(self._line(), file=self._stream, flush=True)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _line(self) -> str:
        of_total = f" of {self._total}" if self._total else ""
        line = f"{self._name}: {self.num_done}{of_total} {self._unit}, {self.rate:.1f} a second"
        if self._total and self._total > self.num_done:
            line += f", {_clock_time((self._total - self.num_done) / self.rate)} left"
        return line


class _RateColumn(ProgressColumn):
    """How many a second, over the last seconds."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} {self._unit}/s" if task.speed else "", style="progress.data.speed")


def _bar(unit: str, console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _RateColumn(unit))
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True)


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
