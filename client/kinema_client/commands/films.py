"""`kinema colorize` on a film."""

from contextlib import ExitStack, closing
from pathlib import Path

import typer

from kinema_client.commands.backends import Backend
from kinema_client.commands.colored_steps import colored_steps, naming_frame
from kinema_client.commands.compare import beside_grey
from kinema_client.commands.film_choices import FilmChoices, Outcome, open_film, open_writer
from kinema_client.commands.film_record import notes_of
from kinema_client.commands.progress import WorkProgress
from kinema_client.commands.segmented_film import colorize_in_segments
from kinema_core.ctrl_c import held_ctrl_c
from kinema_core.media.image_sequence import is_pattern

__all__ = ["FilmChoices", "colorize_film"]

PIPE = "-"


def colorize_film(backend: Backend, source: str, target: str, choices: FilmChoices) -> None:
    """Colorize the film `source` into `target`, and say what was done.

    Both are paths, numbered pictures as in `scan_%05d.png`, or "-" for a pipe. From files to a file the film is made in
    segments, and what is finished is kept whatever happens.

    Raises:
        KinemaError: reading, colorizing or writing failed; there is no `target`, and a note says what is kept.
    """
    can_resume = target != PIPE and not is_pattern(target) and (Path(source).is_file() or is_pattern(source))
    work = colorize_in_segments if can_resume else _colorize_in_one_pass
    outcome = work(backend, source, target, choices)
    progress, kept = outcome.progress, f" ({outcome.num_kept} kept from before)" if outcome.num_kept else ""
    done = f"{progress.num_done} frames{kept} in {progress.seconds:.1f} s, {progress.rate:.1f} frames/s"
    if outcome.num_left_out:
        done += f", {outcome.num_left_out} left out"
    name = "standard output" if target == PIPE else target
    typer.echo(f"{name}: {done} ({backend.description})", err=target == PIPE)


def _colorize_in_one_pass(backend: Backend, source: str, target: str, choices: FilmChoices) -> Outcome:
    with ExitStack() as stack:
        notes = stack.enter_context(notes_of(choices))
        film = stack.enter_context(open_film(source, choices))
        with held_ctrl_c():  # or a file would be left
            writer = open_writer(film, target, choices)
            stack.enter_context(writer)
        progress = stack.enter_context(WorkProgress(film.name, "frames", film.num_frames))
        notes.begin(film)
        steps = colored_steps(backend, film, film.frames(with_chroma=backend.options.keep_colour), clock=notes.clock)
        for number, step in enumerate(stack.enter_context(closing(steps))):
            with naming_frame(film, number, step), notes.clock.time("write"):
                writer.write(beside_grey(step.frame) if choices.is_compared else step.frame)
            notes.add(step.frame)
            progress.advance()
    if (record := notes.take()) is not None:
        notes.write(record, backend, target)
    return Outcome(progress, 0, film.num_damaged)
