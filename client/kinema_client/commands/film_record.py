"""What `--report` notes of a film while it is made."""

from collections.abc import Generator
from contextlib import contextmanager

from kinema_client.commands.backends import Backend
from kinema_client.commands.film_choices import FilmChoices, choice_facts
from kinema_client.report import (
    FilmRecord,
    FilmRecorder,
    Job,
    WarningLog,
    collected_warnings,
    file_facts,
    source_facts,
    write_report,
)
from kinema_core.frames import ColorFrame
from kinema_core.media.reader import FilmReader
from kinema_core.stage_clock import StageClock


class Notes:
    """Notes every frame where a report is asked for, and nothing where not."""

    def __init__(self, choices: FilmChoices, log: WarningLog) -> None:
        self.clock = StageClock()
        self._choices = choices
        self._log = log
        self._recorder: FilmRecorder | None = None
        self._source: dict[str, str] = {}
        self._name = ""

    def begin(self, film: FilmReader) -> None:
        """Note frames of `film` from now on; what was noted and not taken is dropped."""
        self._name = film.name
        if self._choices.report is not None:
            self._source = source_facts(film)
            self._recorder = FilmRecorder.of(film, self.clock, self._log)

    def add(self, frame: ColorFrame) -> None:
        """Note the next frame."""
        if self._recorder is not None:
            with self.clock.time("report"):
                self._recorder.add(frame)

    def take(self) -> FilmRecord | None:
        """Return what was noted since the last time; None where no report is asked for."""
        return self._recorder.take() if self._recorder is not None else None

    def write(self, record: FilmRecord, backend: Backend, target: str) -> None:
        """Write the report.

        Raises:
            MediaError: it cannot be written.
        """
        if self._choices.report is None:
            return
        job = Job(self._name, self._source, file_facts(target), {**backend.facts, **choice_facts(self._choices)})
        write_report(self._choices.report, record, job, overwrite=self._choices.overwrite)


@contextmanager
def notes_of(choices: FilmChoices) -> Generator[Notes, None, None]:
    """Collect the log's warnings, where a report is asked for, and give what notes the frames."""
    if choices.report is None:
        yield Notes(choices, WarningLog())
        return
    with collected_warnings() as log:
        yield Notes(choices, log)
