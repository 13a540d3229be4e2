"""`kinema colorize`."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinema_client.commands.options import MODEL_VARIABLE, Codec, EngineName, Precision
from kinema_core.errors import MediaError, OutputExistsError

if TYPE_CHECKING:
    from kinema_client.commands.backends import Backend
    from kinema_core.pipeline import Options

PIPE = "-"


def colorize(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="IN", help="A film, a photo, a folder of photos, or - for a pipe.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="Of the same kind; - for a pipe (Matroska).")],
    server: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Colorize there instead of here.")] = None,
    model: Annotated[
        str | None,
        typer.Option(envvar=MODEL_VARIABLE, help="Folder of a model bundle, or with --server the name of a model."),
    ] = None,
    saturation: Annotated[float, typer.Option(min=0, max=2, help="Factor on the colour.")] = 1.0,
    smoothing: Annotated[float, typer.Option(min=0, max=1, help="How calm the colour of a film is held.")] = 0.5,
    working_size: Annotated[
        int, typer.Option(min=0, max=1024, help="The model sees about this many pixels squared; 0 for its own size.")
    ] = 0,
    engine: Annotated[EngineName, typer.Option(help="What runs the model.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="What the model is computed in.")] = "f32",
    codec: Annotated[Codec, typer.Option(help="How a film is encoded.")] = "h264",
    compare: Annotated[bool, typer.Option("--compare", help="Write grey and colour side by side.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it is there.")] = False,
) -> None:
    """Colorize a film, a photo or a folder of photos."""
    if server is not None and (engine != "auto" or precision != "f32"):
        raise typer.BadParameter("the server has an engine of its own; leave out --engine and --precision")
    source_of_model = context.get_parameter_source("model")
    if server is not None and source_of_model is not None and source_of_model.name == "ENVIRONMENT":
        model = None  # the variable names a folder of this machine
    try:
        job = plan(source, target, codec=codec, is_compared=compare, overwrite=force)
        from kinema_core.pipeline import Options

        options = Options(saturation=saturation, smoothing=smoothing, working_size=working_size)
        with _open_backend(server, model, engine, precision, options) as backend:
            job(backend)
    except KeyboardInterrupt:
        where = "" if target == PIPE else f"; nothing was written under {target}"
        typer.echo(f"interrupted{where}", err=True)
        raise typer.Exit(130) from None


def plan(source: str, target: str, *, codec: str, is_compared: bool, overwrite: bool) -> Callable[["Backend"], None]:
    """Check the paths, and tell by `source` what is to be done: a film, a photograph or a folder of them.

    Raises:
        MediaError: there is no input, the output is there already or is the input itself, or their kinds differ.
    """
    check_paths(source, target, overwrite=overwrite)

    from kinema_client.commands.films import colorize_film
    from kinema_client.commands.photos import colorize_folder, colorize_photo, plan_folder
    from kinema_core.media.photos import PHOTO_SUFFIXES, check_photo_suffix

    if source != PIPE and Path(source).is_dir():
        pairs = plan_folder(Path(source), Path(target), overwrite=overwrite)
        return partial(colorize_folder, pairs=pairs, is_compared=is_compared, overwrite=overwrite)
    if Path(source).suffix.lower() in PHOTO_SUFFIXES:
        check_photo_suffix(target)
        return partial(
            colorize_photo, source=Path(source), target=Path(target), is_compared=is_compared, overwrite=overwrite
        )
    return partial(
        colorize_film, source=source, target=target, codec=codec, is_compared=is_compared, overwrite=overwrite
    )


def check_paths(source: str, target: str, *, overwrite: bool) -> None:
    """Look at the paths alone, before anything is read or loaded.

    Raises:
        OutputExistsError: the output is a file that is there already, and `overwrite` is False.
        MediaError: there is no input, or the output is the input, a terminal, or of another kind.
    """
    if source != PIPE and not Path(source).exists():
        raise MediaError(f"there is no {source}")
    if target == PIPE:
        if sys.stdout.isatty():
            raise MediaError("a film does not go to a terminal; pipe it on, or name a file")
        return
    is_folder = source != PIPE and Path(source).is_dir()
    if not Path(target).exists():
        return
    if source != PIPE and Path(source).samefile(target):
        raise MediaError(f"{target} is the input itself, which is never replaced; give another name")
    if is_folder and not Path(target).is_dir():
        raise MediaError(f"{source} is a folder and {target} is a file; name a folder")
    if not is_folder and Path(target).is_dir():
        raise MediaError(f"{target} is a folder; name a file in it")
    if not is_folder and not overwrite:
        raise OutputExistsError(f"{target} is there already; give another name, or --force to replace it")


def _open_backend(
    server: str | None, model: str | None, engine: EngineName, precision: Precision, options: "Options"
) -> AbstractContextManager["Backend"]:
    from kinema_client.commands.backends import local_backend, server_backend

    if server is not None:
        return server_backend(server, model, options)
    return local_backend(Path(model) if model else None, engine, precision, options)
