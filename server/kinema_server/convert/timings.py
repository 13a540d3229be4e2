"""Where a picture's time went, as the wire has it."""

from kinema.v1 import colorizer_pb2 as pb
from kinema_server.stream import StageSeconds


def timings_to_proto(seconds: StageSeconds) -> pb.Timings:
    """Translate them, to microseconds."""
    return pb.Timings(
        queue_micros=round(seconds.queue * 1e6),
        prepare_micros=round(seconds.prepare * 1e6),
        engine_micros=round(seconds.engine * 1e6),
        finish_micros=round(seconds.finish * 1e6),
    )
