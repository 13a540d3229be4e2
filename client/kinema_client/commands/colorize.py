"""`kinema colorize`."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinema_client.commands.options import (
    MODEL_VARIABLE,
    Codec,
    DeinterlaceMode,
    EngineName,
    Precision,
    Preset,
)
from kinema_core.errors import MediaError, OutputExistsError

if TYPE_CHECKING:
    from kinema_client.commands.backends import Backend
    from kinema_client.commands.films import FilmChoices
    from kinema_core.pipeline import Options

PIPE = "-"


def colorize(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="A film, a photo, a folder of photos, numbered pictures as scan_%05d.png, or - for a pipe.",
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="Of the same kind; of a film also numbered pictures as colour/%05d.png; - for a pipe (Matroska).",
        ),
    ],
    server: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Colorize there instead of here.")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Encrypt the connection to the server.")] = False,
    tls_ca: Annotated[
        Path | None,
        typer.Option(help="Who signs the server's certificate, PEM.", show_default="gRPC's own"),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Your own certificate, PEM, for a server that asks.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="KINEMA_API_KEY", help="For a server that asks for one; needs --tls.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(envvar=MODEL_VARIABLE, help="Folder of a model bundle, or with --server the name of a model."),
    ] = None,
    saturation: Annotated[float, typer.Option(min=0, max=2, help="Factor on the colour.")] = 1.0,
    smoothing: Annotated[float, typer.Option(min=0, max=1, help="How calm the colour of a film is held.")] = 0.5,
    warmth: Annotated[float, typer.Option(min=-1, max=1, help="-1 for colder, 1 for warmer colours.")] = 0.0,
    desaturate_blacks: Annotated[
        float, typer.Option(min=0, max=50, help="Below this L* colour fades, to none in black, as in prints; 0 is off.")
    ] = 0.0,
    desaturate_highlights: Annotated[
        float, typer.Option(min=50, max=100, help="Above this L* colour fades, to none in white; 100 is off.")
    ] = 100.0,
    reference: Annotated[
        Path | None, typer.Option(metavar="PICTURE", help="Give every shot the palette of this picture.")
    ] = None,
    keep_colour: Annotated[
        bool,
        typer.Option("--keep-colour", help="Leave shots and photos that are in colour; tinted ones are colorized."),
    ] = False,
    working_size: Annotated[
        int, typer.Option(min=0, max=1024, help="The model sees about this many pixels squared; 0 for its own size.")
    ] = 0,
    engine: Annotated[EngineName, typer.Option(help="What runs the model.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="What the model is computed in.")] = "f32",
    codec: Annotated[
        Codec | None, typer.Option(show_default="h264", help="How a film is encoded; ffv1 is lossless, for archives.")
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option(
            min=0, max=63, show_default="h264 18, hevc 20, av1 24", help="Quality; lower is better and larger."
        ),
    ] = None,
    preset: Annotated[
        Preset | None, typer.Option(show_default="veryfast", help="Of h264, hevc, av1: slower is smaller.")
    ] = None,
    deinterlace: Annotated[
        DeinterlaceMode, typer.Option(help="Pictures of two fields made whole: as the film is marked, all, or none.")
    ] = "auto",
    fps: Annotated[
        str | None, typer.Option(show_default="24", help="Rate of numbered pictures that come in, as 18 or 24000/1001.")
    ] = None,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="Leave out what cannot be decoded or carried over, with a warning each.")
    ] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Write grey and colour side by side.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page that tells what was made of a film, as report.html."),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Drop what an interrupted run has kept, and begin anew.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT, and a report, if they are there.")] = False,
) -> None:
    """Colorize a film, a photo or a folder of photos."""
    if server is not None and (engine != "auto" or precision != "f32"):
        raise typer.BadParameter("the server has an engine of its own; leave out --engine and --precision")
    if server is None and (tls or tls_ca or tls_cert or tls_key):
        raise typer.BadParameter("there is no server to encrypt for; give --server, or leave the --tls options out")
    if not tls and (tls_ca or tls_cert or tls_key):
        raise typer.BadParameter("--tls-ca, --tls-cert and --tls-key need --tls")
    source_of_model = context.get_parameter_source("model")
    if server is not None and source_of_model is not None and source_of_model.name == "ENVIRONMENT":
        model = None  # the variable names a folder of this machine
    frame_rate = _parse_rate(fps)
    try:
        check_paths(source, target, overwrite=force)
        if report is not None:
            check_report(report, source, overwrite=force)
        from kinema_client.commands.films import FilmChoices
        from kinema_core.media.deinterlacer import Deinterlace
        from kinema_core.media.photos import read_photo
        from kinema_core.pipeline import Options
        from kinema_core.steering.reference import measure_colour

        choices = FilmChoices(
            codec=codec,
            crf=crf,
            preset=preset,
            deinterlace=Deinterlace(deinterlace),
            frame_rate=frame_rate,
            is_lenient=lenient,
            is_compared=compare,
            overwrite=force,
            restart=restart,
            report=report,
        )
        job = plan(source, target, choices)
        options = Options(
            saturation=saturation,
            smoothing=smoothing,
            working_size=working_size,
            warmth=warmth,
            desaturate_blacks=desaturate_blacks,
            desaturate_highlights=desaturate_highlights,
            reference=None if reference is None else measure_colour(read_photo(reference)),
            keep_colour=keep_colour,
        )
        with (
            _open_local(model, engine, precision, options)
            if server is None
            else _open_remote(server, model, options, (tls_ca, tls_cert, tls_key) if tls else None, api_key)
        ) as backend:
            job(backend)
    except KeyboardInterrupt as err:
        where = [] if target == PIPE else [f"nothing was written under {target}"]
        typer.echo("; ".join(["interrupted", *where, *getattr(err, "__notes__", ())]), err=True)
        raise typer.Exit(130) from None


def plan(source: str, target: str, choices: "FilmChoices") -> Callable[["Backend"], None]:
    """Tell by `source` what is to be done: a film, a photograph or a folder of them; a photograph has fewer choices.

    Raises:
        MediaError: the outputs are there already, or input and output are of different kinds.
    """
    from kinema_client.commands.films import colorize_film
    from kinema_client.commands.photos import colorize_folder, colorize_photo, plan_folder
    from kinema_core.media.image_sequence import is_pattern
    from kinema_core.media.photos import PHOTO_SUFFIXES, check_photo_suffix

    is_compared, overwrite = choices.is_compared, choices.overwrite
    if source != PIPE and Path(source).is_dir():
        pairs = plan_folder(Path(source), Path(target), overwrite=overwrite)
        return partial(colorize_folder, pairs=pairs, is_compared=is_compared, overwrite=overwrite)
    if Path(source).suffix.lower() in PHOTO_SUFFIXES and not is_pattern(source):
        check_photo_suffix(target)
        return partial(
            colorize_photo, source=Path(source), target=Path(target), is_compared=is_compared, overwrite=overwrite
        )
    return partial(colorize_film, source=source, target=target, choices=choices)


def check_paths(source: str, target: str, *, overwrite: bool) -> None:
    """Look at the paths alone, before anything is read or loaded.

    Raises:
        OutputExistsError: the output is a file that is there already, and `overwrite` is False.
        MediaError: there is no input, or the output is the input, a terminal, or of another kind.
    """
    from kinema_core.media.image_sequence import check_folder, is_pattern

    if source != PIPE and not is_pattern(source):
        _check_source(source)
    if is_pattern(target):
        check_folder(target, overwrite=overwrite)
        return
    if target == PIPE:
        if sys.stdout.isatty():
            raise MediaError("a film does not go to a terminal; pipe it on, or name a file")
        return
    is_folder = source != PIPE and Path(source).is_dir()
    if is_folder:
        _check_folder_target(source, target)
    if not Path(target).exists():
        return
    if source != PIPE and Path(source).samefile(target):
        raise MediaError(f"{target} is the input itself, which is never replaced; give another name")
    if not is_folder and Path(target).is_dir():
        raise MediaError(f"{target} is a folder; name a file in it")
    if not is_folder and not overwrite:
        raise OutputExistsError(f"{target} is there already; give another name, or --force to replace it")


def _check_source(source: str) -> None:
    if not Path(source).exists():
        advice = "; numbered pictures are named as in scan_%05d.png" if set("*?") & set(source) else ""
        raise MediaError(f"there is no {source}{advice}")


def _check_folder_target(source: str, target: str) -> None:
    from kinema_core.media.writer import FILM_SUFFIXES

    if Path(target).suffix.lower() in FILM_SUFFIXES:
        raise MediaError(
            f"{source} is a folder, whose photos go to a folder, and {target} is a film; "
            f"for a film of numbered pictures give them as in {Path(source) / 'scan_%05d.png'}"
        )
    if Path(target).is_file():
        raise MediaError(f"{source} is a folder and {target} is a file; name a folder")


def check_report(report: Path, source: str, *, overwrite: bool) -> None:
    """Look at the path of a report alone, before anything is read or loaded.

    Raises:
        OutputExistsError: it is there already, and `overwrite` is False.
        MediaError: it is not named as a page, or it is a photograph that is to be colorized.
    """
    from kinema_client.report import check_report_path
    from kinema_core.media.image_sequence import is_pattern
    from kinema_core.media.photos import PHOTO_SUFFIXES

    is_photo = Path(source).suffix.lower() in PHOTO_SUFFIXES and not is_pattern(source)
    if source != PIPE and (is_photo or Path(source).is_dir()):
        raise MediaError(f"a report tells of a film, and {source} is none; leave out --report")
    check_report_path(report, overwrite=overwrite)


def _parse_rate(text: str | None) -> Fraction | None:
    try:
        rate = None if text is None else Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if rate is not None and not 1 <= rate <= 1000:
        raise typer.BadParameter(f"--fps is 1 to 1000 pictures a second, as 18 or 24000/1001, got {text!r}")
    return rate


def _open_local(
    model: str | None, engine: EngineName, precision: Precision, options: "Options"
) -> AbstractContextManager["Backend"]:
    from kinema_client.commands.backends import local_backend

    return local_backend(Path(model) if model else None, engine, precision, options)


def _open_remote(
    server: str,
    model: str | None,
    options: "Options",
    tls_files: tuple[Path | None, Path | None, Path | None] | None,
    api_key: str | None,
) -> AbstractContextManager["Backend"]:
    from kinema_client import Tls
    from kinema_client.commands.backends import server_backend

    tls = Tls(*tls_files) if tls_files is not None else None
    return server_backend(server, model, options, tls=tls, api_key=api_key)
