"""How a film is read and written, and what came of it."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from kinema_client.commands.compare import width_beside_grey
from kinema_client.commands.progress import WorkProgress
from kinema_core.errors import InvalidInputError
from kinema_core.media.deinterlacer import Deinterlace
from kinema_core.media.encoders import DEFAULT_CODEC
from kinema_core.media.image_sequence import is_pattern
from kinema_core.media.png_writer import PngWriter
from kinema_core.media.reader import FilmReader
from kinema_core.media.writer import FilmWriter


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
    restart: bool = False
    """Whether what an interrupted run has kept is dropped."""
    report: Path | None = None
    """Where a page is written that tells what was made of the film."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A film that is done."""

    progress: WorkProgress
    num_kept: int
    """How many of its frames an interrupted run had finished."""
    num_left_out: int
    """How many pictures could not be decoded."""


def open_film(source: str, choices: FilmChoices) -> FilmReader:
    """Open a path, numbered pictures or "-".

    Raises:
        KinemaError: it cannot be read.
    """
    return FilmReader(
        source, deinterlace=choices.deinterlace, frame_rate=choices.frame_rate, is_lenient=choices.is_lenient
    )


def open_film_writer(film: FilmReader, target: str, choices: FilmChoices, *, is_told: bool = False) -> FilmWriter:
    """Open the film that `film` becomes; `is_told` says that what is left out was told before.

    Raises:
        KinemaError: it cannot be written so.
    """
    return FilmWriter.like(
        film,
        target,
        width=width_of(film, choices),
        codec=choices.codec or DEFAULT_CODEC,
        crf=choices.crf,
        preset=choices.preset,
        is_lenient=choices.is_lenient,
        is_told=is_told,
        overwrite=choices.overwrite,
    )


def open_writer(film: FilmReader, target: str, choices: FilmChoices) -> FilmWriter | PngWriter:
    """Open the film or the numbered pictures that `film` becomes.

    Raises:
        KinemaError: they cannot be written so.
    """
    if not is_pattern(target):
        return open_film_writer(film, target, choices)
    if (choices.codec, choices.crf, choices.preset) != (None, None, None):
        raise InvalidInputError("codec", "numbered pictures are PNG; leave out --codec, --crf and --preset")
    return PngWriter.like(film, target, overwrite=choices.overwrite)


def width_of(film: FilmReader, choices: FilmChoices) -> int:
    """Give the width of the frames that are written, in pixels."""
    return width_beside_grey(film.width) if choices.is_compared else film.width


def choice_facts(choices: FilmChoices) -> dict[str, str]:
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
