"""How a stream, a film or a photograph is to be colorized."""

from dataclasses import asdict

from kinema.v1 import colorizer_pb2 as pb
from kinema_core.errors import InvalidInputError
from kinema_core.pipeline import Options
from kinema_core.steering.colour_statistics import ColourStatistics

_STEERING = {"warmth", "desaturate_blacks", "desaturate_highlights", "reference", "keep_colour"}
"""Options that the wire has in a message of their own."""


def options_from_proto(
    message: pb.StreamConfig | pb.VideoConfig | pb.ColorizeImageRequest, prefix: str, *, smoothing: float | None = None
) -> Options:
    """Check and translate what is wanted; `prefix` goes before the name of a field that is wrong.

    Raises:
        InvalidInputError: names the field.
    """
    defaults, steering = Options(), message.steering
    try:
        return Options(
            smoothing=defaults.smoothing if smoothing is None else smoothing,
            saturation=message.saturation if message.HasField("saturation") else defaults.saturation,
            working_size=message.working_size,
            warmth=steering.warmth,
            desaturate_blacks=steering.desaturate_blacks,
            desaturate_highlights=(
                steering.desaturate_highlights
                if steering.HasField("desaturate_highlights")
                else defaults.desaturate_highlights
            ),
            reference=_statistics_from_proto(steering.reference) if steering.HasField("reference") else None,
            keep_colour=steering.keep_colour,
        )
    except InvalidInputError as error:
        inner = "steering." if error.field.split(".")[0] in _STEERING else ""
        raise InvalidInputError(f"{prefix}{inner}{error.field}", error.reason) from error


def _statistics_from_proto(statistics: pb.ColourStatistics) -> ColourStatistics:
    return ColourStatistics(
        mean_a=statistics.mean_a,
        mean_b=statistics.mean_b,
        variance_a=statistics.variance_a,
        variance_b=statistics.variance_b,
        covariance=statistics.covariance,
    )


def steering_to_proto(options: Options) -> pb.Steering | None:
    """Say what a stream's colours are steered by; None where it is nothing."""
    if not _is_steered(options):
        return None
    steering = pb.Steering(
        warmth=options.warmth,
        desaturate_blacks=options.desaturate_blacks,
        desaturate_highlights=options.desaturate_highlights,
        keep_colour=options.keep_colour,
    )
    if options.reference is not None:
        steering.reference.CopyFrom(pb.ColourStatistics(**asdict(options.reference)))
    return steering


def _is_steered(options: Options) -> bool:
    defaults = Options()
    return any(getattr(options, name) != getattr(defaults, name) for name in _STEERING)
