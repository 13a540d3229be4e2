"""`kinema colorize` on a film."""

from contextlib import closing

import typer

from kinema_client.commands.backends import Backend
from kinema_client.commands.compare import beside_grey, width_beside_grey
from kinema_client.commands.progress import WorkProgress
from kinema_core.media.reader import FilmReader
from kinema_core.media.writer import FilmWriter


def colorize_film(
    backend: Backend, source: str, target: str, *, codec: str, is_compared: bool, overwrite: bool
) -> None:
    """Colorize the film `source` into `target`, paths or "-", and say what was done.

    Raises:
        KinemaError: reading, colorizing or writing failed; nothing is left of `target`.
    """
    with (
        FilmReader(source) as film,
        FilmWriter.like(
            film,
            target,
            width=width_beside_grey(film.width) if is_compared else None,
            codec=codec,
            overwrite=overwrite,
        ) as writer,
        WorkProgress(film.name, "frames", film.num_frames) as progress,
        closing(backend.colorize_film(film)) as frames,
    ):
        for frame in frames:
            writer.write(beside_grey(frame) if is_compared else frame)
            progress.advance()
    done = f"{progress.num_done} frames in {progress.seconds:.1f} s, {progress.rate:.1f} frames/s"
    typer.echo(f"{writer.name}: {done} ({backend.description})", err=target == "-")
