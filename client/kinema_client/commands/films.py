"""`kinema colorize` on a film."""

from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import typer

from kinema_client.commands.backends import Backend
from kinema_client.commands.compare import beside_grey, width_beside_grey
from kinema_client.commands.progress import WorkProgress
from kinema_client.report import FilmRecorder, Job, collected_warnings, file_facts, source_facts, write_report
from kinema_core.ctrl_c import held_ctrl_c
from kinema_core.errors import InvalidInputError
from kinema_core.media.deinterlacer import Deinterlace
from kinema_core.media.encoders import DEFAULT_CODEC
from kinema_core.media.image_sequence import is_pattern
from kinema_core.media.png_writer import PngWriter
from kinema_core.media.reader import FilmReader
from kinema_core.media.writer import FilmWriter
from kinema_core.stage_clock import StageClock


@dataclass(frozen=True, slots=True)
class FilmChoices:
    """How a film is read and written."""

    codec: str | None = None
    """One of `encoders.CODECS`; None for the default, and for numbered pictures, which are PNG."""
    crf: int | None = None
    """Quality of a lossy codec; None for its default."""
    preset: str | None = None
    """Speed of a lossy encoder; None for its default."""
    deinterlace: Deinterlace = Deinterlace.AUTO
    frame_rate: Fraction | None = None
    """Of numbered pictures that come in; None for the default."""
    is_lenient: bool = False
    """Whether what cannot be decoded or carried over is left out."""
    is_compared: bool = False
    """Whether grey and colour are put side by side."""
    overwrite: bool = False
    report: Path | None = None
    """Where a page is written that tells what was made of the film."""


def colorize_film(backend: Backend, source: str, target: str, choices: FilmChoices) -> None:
    """Colorize the film `source` into `target`, and say what was done.

    Both are paths, numbered pictures as in `scan_%05d.png`, or "-" for a pipe.

    Raises:
        KinemaError: reading, colorizing or writing failed; nothing is left of `target`.
    """
    clock = StageClock()
    with ExitStack() as stack:
        log = stack.enter_context(collected_warnings())
        film = stack.enter_context(
            FilmReader(
                source,
                deinterlace=choices.deinterlace,
                frame_rate=choices.frame_rate,
                is_lenient=choices.is_lenient,
            )
        )
        with held_ctrl_c():  # or a file would be left
            writer = _open_writer(film, target, choices)
            stack.enter_context(writer)
        progress = stack.enter_context(WorkProgress(film.name, "frames", film.num_frames))
        recorder = FilmRecorder.of(film, clock, log) if choices.report else None
        for frame in stack.enter_context(closing(backend.colorize_film(film, clock))):
            with clock.time("write"):
                writer.write(beside_grey(frame) if choices.is_compared else frame)
            if recorder is not None:
                with clock.time("report"):
                    recorder.add(frame)
            progress.advance()
        about_source = source_facts(film)
    if recorder is not None and choices.report is not None:
        job = Job(film.name, about_source, file_facts(target), {**backend.facts, **_choice_facts(choices)})
        write_report(choices.report, recorder.take(), job, overwrite=choices.overwrite)
    done = f"{progress.num_done} frames in {progress.seconds:.1f} s, {progress.rate:.1f} frames/s"
    if film.num_damaged:
        done += f", {film.num_damaged} left out"
    typer.echo(f"{writer.name}: {done} ({backend.description})", err=target == "-")


def _open_writer(film: FilmReader, target: str, choices: FilmChoices) -> FilmWriter | PngWriter:
    if is_pattern(target):
        if (choices.codec, choices.crf, choices.preset) != (None, None, None):
            raise InvalidInputError("codec", "numbered pictures are PNG; leave out --codec, --crf and --preset")
        return PngWriter.like(film, target, overwrite=choices.overwrite)
    return FilmWriter.like(
        film,
        target,
        width=width_beside_grey(film.width) if choices.is_compared else None,
        codec=choices.codec or DEFAULT_CODEC,
        crf=choices.crf,
        preset=choices.preset,
        is_lenient=choices.is_lenient,
        overwrite=choices.overwrite,
    )


def _choice_facts(choices: FilmChoices) -> dict[str, str]:
    """Say how the film was read and written, but for what was left to its default."""
    told = {
        "Codec": choices.codec,
        "Quality (crf)": choices.crf,
        "Preset": choices.preset,
        "Deinterlace": choices.deinterlace.value,
        "Lenient": "yes" if choices.is_lenient else None,
        "Beside grey": "yes" if choices.is_compared else None,
    }
    return {name: str(value) for name, value in told.items() if value is not None}
