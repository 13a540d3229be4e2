"""`kinema colorize`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinema_client.commands.colour_options import (
    DesaturateBlacks,
    DesaturateHighlights,
    KeepColour,
    ReferencePicture,
    Saturation,
    Smoothing,
    Warmth,
    WorkingSize,
)
from kinema_client.commands.connection_options import ApiKey, Connection, Server, TlsCa, TlsCertificate, TlsKey, UseTls
from kinema_client.commands.film_options import (
    Compare,
    Crf,
    Deinterlacing,
    FilmCodec,
    FilmPreset,
    Force,
    FrameRate,
    Lenient,
    Report,
    Restart,
)
from kinema_client.commands.options import MODEL_VARIABLE, EngineName, Precision
from kinema_core.errors import MediaError, OutputExistsError

if TYPE_CHECKING:
    from kinema_client.commands.backends import Backend
    from kinema_client.commands.films import FilmChoices
    from kinema_core.steering.colour_statistics import ColourStatistics

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
    server: Server = None,
    tls: UseTls = False,
    tls_ca: TlsCa = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
    api_key: ApiKey = None,
    model: Annotated[
        str | None,
        typer.Option(envvar=MODEL_VARIABLE, help="Folder of a model bundle, or with --server the name of a model."),
    ] = None,
    saturation: Saturation = 1.0,
    smoothing: Smoothing = 0.5,
    warmth: Warmth = 0.0,
    desaturate_blacks: DesaturateBlacks = 0.0,
    desaturate_highlights: DesaturateHighlights = 100.0,
    reference: ReferencePicture = None,
    keep_colour: KeepColour = False,
    working_size: WorkingSize = 0,
    engine: Annotated[EngineName, typer.Option(help="What runs the model.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="What the model is computed in.")] = "f32",
    codec: FilmCodec = None,
    crf: Crf = None,
    preset: FilmPreset = None,
    deinterlace: Deinterlacing = "auto",
    fps: FrameRate = None,
    lenient: Lenient = False,
    compare: Compare = False,
    report: Report = None,
    restart: Restart = False,
    force: Force = False,
) -> None:
    """Colorize a film, a photo or a folder of photos."""
    connection = Connection(server, tls, tls_ca, tls_cert, tls_key, api_key)
    connection.check(engine, precision)
    source_of_model = context.get_parameter_source("model")
    if server is not None and source_of_model is not None and source_of_model.name == "ENVIRONMENT":
        model = None  # the variable names a folder of this machine
    frame_rate = _parse_rate(fps)
    with _interruptible(target):
        check_paths(source, target, overwrite=force)
        if report is not None:
            check_report(report, source, overwrite=force)
        from kinema_client.commands.films import FilmChoices
        from kinema_core.media.deinterlacer import Deinterlace
        from kinema_core.pipeline import Options

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
            reference=_colours_of(reference),
            keep_colour=keep_colour,
        )
        with connection.open(model, engine, precision, options) as backend:
            job(backend)


@contextmanager
def _interruptible(target: str) -> Iterator[None]:
    """Tell what Ctrl-C leaves behind.

    Raises:
        typer.Exit: 130, after Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt as err:
        where = [] if target == PIPE else [f"nothing was written under {target}"]
        typer.echo("; ".join(["interrupted", *where, *getattr(err, "__notes__", ())]), err=True)
        raise typer.Exit(130) from None


def _colours_of(picture: Path | None) -> "ColourStatistics | None":
    from kinema_core.media.photos import read_photo
    from kinema_core.steering.reference import measure_colour

    return None if picture is None else measure_colour(read_photo(picture))


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
