"""`kinema colorize` on photographs."""

import time
from collections.abc import Sequence
from pathlib import Path

import typer

from kinema_client.commands.backends import Backend
from kinema_client.commands.compare import photo_beside_grey
from kinema_client.commands.progress import WorkProgress
from kinema_core.errors import InvalidInputError, KinemaError, MediaError, OutputExistsError
from kinema_core.media.photos import list_photos, read_photo, write_photo


def colorize_photo(backend: Backend, source: Path, target: Path, *, is_compared: bool, overwrite: bool) -> None:
    """Colorize one photograph, and say so.

    Raises:
        KinemaError: reading, colorizing or writing failed; nothing is left of `target`.
    """
    began = time.monotonic()
    _colorize(backend, source, target, is_compared=is_compared, overwrite=overwrite)
    typer.echo(f"{target}: 1 photo in {time.monotonic() - began:.1f} s ({backend.description})")


def plan_folder(source: Path, target: Path, *, overwrite: bool) -> list[tuple[Path, Path]]:
    """Pair every photograph in `source` with its like-named target; those under `target` are results, and are left.

    Raises:
        MediaError: there is no photograph, or a target is there already and `overwrite` is False.
    """
    results = target.resolve()
    photos = [path for path in list_photos(source) if results not in path.resolve().parents]
    if not photos:
        raise MediaError(f"there is no photo in {source}")
    pairs = [(path, target / path.relative_to(source)) for path in photos]
    taken = [path for _, path in pairs if path.exists()]
    if taken and not overwrite:
        raise OutputExistsError(
            f"{len(taken)} of {len(pairs)} photos are there already, such as {taken[0]}; "
            "give another folder, or --force to replace them"
        )
    return pairs


def colorize_folder(
    backend: Backend, pairs: Sequence[tuple[Path, Path]], *, is_compared: bool, overwrite: bool
) -> None:
    """Colorize photographs one after the other, and say what was done; one that fails does not keep the others back.

    Raises:
        KinemaError: some failed, each reported when it did, or none can be colorized at all.
    """
    num_written, failed = 0, list[Path]()
    with WorkProgress("photos", "photos", len(pairs)) as progress:
        for source, target in pairs:
            try:
                _colorize(backend, source, target, is_compared=is_compared, overwrite=overwrite)
                num_written += 1
            except (InvalidInputError, MediaError) as err:
                typer.echo(f"kinema: {err}", err=True)
                failed.append(source)
            except KeyboardInterrupt:
                typer.echo(f"interrupted; {num_written} photos are written, each complete", err=True)
                raise typer.Exit(130) from None
            progress.advance()
    typer.echo(f"{num_written} photos in {progress.seconds:.1f} s ({backend.description})")
    if failed:
        names = ", ".join(map(str, failed))
        raise KinemaError(f"{len(failed)} of {len(pairs)} photos could not be colorized: {names}")


def _colorize(backend: Backend, source: Path, target: Path, *, is_compared: bool, overwrite: bool) -> None:
    original = read_photo(source)
    colour = backend.colorize_photo(original)
    write_photo(target, photo_beside_grey(original, colour) if is_compared else colour, overwrite=overwrite)
