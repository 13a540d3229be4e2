"""What is noted of a film while it is colorized; as JSON, and in pieces that are joined."""

import base64
import json
import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from kinema_core.errors import KinemaError
from kinema_core.frames import TransitionKind

FORMAT_VERSION: Final = 1
_SERIES: Final = ("colourfulness", "flicker", "confidence")
_DIGITS: Final = 4


def _numbers() -> "array[float]":
    return array("d")


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame as a thumbnail."""

    frame: int
    """Counted from 0, from the record's first frame on."""
    jpeg: bytes
    """In grey and in colour."""


@dataclass(frozen=True, slots=True)
class Warned:
    """What the log had to say about one kind of event."""

    level: str
    """As logging calls it: INFO, WARNING, ..."""
    num_times: int
    examples: tuple[str, ...]
    """The first lines of it."""


@dataclass(slots=True)
class FilmRecord:
    """What is noted of a run of frames; one entry for each frame in pts and the three series."""

    time_base: Fraction = Fraction(1)
    """Seconds in a tick of pts."""
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    colourfulness: "array[float]" = field(default_factory=_numbers)
    """Hasler and Süsstrunk's M3."""
    flicker: "array[float]" = field(default_factory=_numbers)
    """Change of ab along the motion, Lab units; NaN where there is nothing to compare with."""
    confidence: "array[float]" = field(default_factory=_numbers)
    """0 to 1; NaN where unknown."""
    cuts: dict[int, TransitionKind | None] = field(default_factory=dict)
    """What begins or, RETURN, proves to have been no cut, by frame; None where the kind is unknown."""
    kept: "array[int]" = field(default_factory=lambda: array("q"))
    """Frames that were left in their own colour."""
    pictures: list[Picture] = field(default_factory=list)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    """How long each stage was at work; they overlap."""
    wall_seconds: float = 0.0
    warnings: dict[str, Warned] = field(default_factory=dict)
    """By the name of the event."""

    @property
    def num_frames(self) -> int:
        """How many frames were noted."""
        return len(self.pts)


def join_records(records: Iterable[FilmRecord]) -> FilmRecord:
    """Put the pieces of one film together, in their order.

    Raises:
        KinemaError: their time bases differ.
    """
    joined = FilmRecord()
    for record in records:
        if joined.num_frames and record.num_frames and record.time_base != joined.time_base:
            raise KinemaError(
                f"records of one film have one time base, got {joined.time_base} and {record.time_base}; "
                "colorize the film again"
            )
        begin = joined.num_frames
        joined.time_base = record.time_base if record.num_frames else joined.time_base
        joined.pts.extend(record.pts)
        for name in _SERIES:
            getattr(joined, name).extend(getattr(record, name))
        joined.cuts |= {begin + frame: kind for frame, kind in record.cuts.items()}
        joined.kept.extend(begin + frame for frame in record.kept)
        joined.pictures += [Picture(begin + picture.frame, picture.jpeg) for picture in record.pictures]
        for stage, seconds in record.stage_seconds.items():
            joined.stage_seconds[stage] = joined.stage_seconds.get(stage, 0.0) + seconds
        joined.wall_seconds += record.wall_seconds
        for event, warned in record.warnings.items():
            joined.warnings[event] = _add(joined.warnings.get(event), warned)
    return joined


def record_to_json(record: FilmRecord) -> str:
    """Write a record as JSON; `record_from_json` reads it."""
    return json.dumps({
        "format_version": FORMAT_VERSION,
        "time_base": str(record.time_base),
        "pts": record.pts.tolist(),
        **{name: _rounded(getattr(record, name)) for name in _SERIES},
        "cuts": [[frame, kind.value if kind else None] for frame, kind in record.cuts.items()],
        "kept": record.kept.tolist(),
        "pictures": [[picture.frame, base64.b64encode(picture.jpeg).decode()] for picture in record.pictures],
        "stage_seconds": record.stage_seconds,
        "wall_seconds": record.wall_seconds,
        "warnings": {event: [w.level, w.num_times, w.examples] for event, w in record.warnings.items()},
    }, separators=(",", ":"))  # fmt: skip


def record_from_json(text: str) -> FilmRecord:
    """Read what `record_to_json` wrote.

    Raises:
        KinemaError: it is something else, or of another version.
    """
    try:
        told = json.loads(text)
        if told["format_version"] != FORMAT_VERSION:
            raise KinemaError(
                f"a record of a film must be of version {FORMAT_VERSION}, got {told['format_version']!r}; "
                "colorize the film again"
            )
        record = FilmRecord(
            time_base=Fraction(told["time_base"]),
            pts=array("q", told["pts"]),
            colourfulness=_floats(told["colourfulness"]),
            flicker=_floats(told["flicker"]),
            confidence=_floats(told["confidence"]),
            cuts={int(frame): TransitionKind(kind) if kind else None for frame, kind in told["cuts"]},
            kept=array("q", told["kept"]),
            pictures=[Picture(int(frame), base64.b64decode(jpeg, validate=True)) for frame, jpeg in told["pictures"]],
            stage_seconds={str(stage): float(seconds) for stage, seconds in told["stage_seconds"].items()},
            wall_seconds=float(told["wall_seconds"]),
            warnings={str(event): _warned(*entry) for event, entry in told["warnings"].items()},
        )
        if len({record.num_frames, *(len(getattr(record, name)) for name in _SERIES)}) > 1:
            raise KinemaError("a record of a film has one entry for each frame in every series; colorize it again")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ZeroDivisionError, RecursionError) as err:
        raise KinemaError(f"this is no record of a film: {err!r}; colorize the film again") from err
    return record


def _add(first: Warned | None, more: Warned) -> Warned:
    if first is None:
        return more
    num_shown = max(len(first.examples), len(more.examples))
    return Warned(first.level, first.num_times + more.num_times, (*first.examples, *more.examples)[:num_shown])


def _rounded(values: Sequence[float]) -> list[float | None]:
    return [None if math.isnan(value) else round(value, _DIGITS) for value in values]


def _floats(values: list[float | None]) -> "array[float]":
    return array("d", [math.nan if value is None else value for value in values])


def _warned(level: Any, num_times: Any, examples: Any) -> Warned:
    return Warned(str(level), int(num_times), tuple(map(str, examples)))
