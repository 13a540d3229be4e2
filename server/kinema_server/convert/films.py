"""Films: what is to be made of one, its bytes, and what happened to it."""

from collections.abc import AsyncIterator, Mapping

from kinema.v1 import colorizer_pb2 as pb
from kinema_core.bundle import Bundle
from kinema_core.engines.engine import Engine
from kinema_core.errors import InvalidInputError
from kinema_core.media.deinterlacer import Deinterlace
from kinema_core.media.encoders import DEFAULT_CODEC
from kinema_server.convert.enums import key_of, known
from kinema_server.convert.options import options_from_proto, steering_to_proto
from kinema_server.videos import MAX_CHUNK_BYTES, Done, Event, Progress, VideoRequest

_CODECS: Mapping[pb.VideoCodec, str] = {
    pb.VIDEO_CODEC_UNSPECIFIED: DEFAULT_CODEC,
    pb.VIDEO_CODEC_H264: "h264",
    pb.VIDEO_CODEC_HEVC: "hevc",
    pb.VIDEO_CODEC_AV1: "av1",
    pb.VIDEO_CODEC_FFV1: "ffv1",
    pb.VIDEO_CODEC_PRORES: "prores",
}
_DEINTERLACE: Mapping[pb.Deinterlace, Deinterlace] = {
    pb.DEINTERLACE_UNSPECIFIED: Deinterlace.AUTO,
    pb.DEINTERLACE_AUTO: Deinterlace.AUTO,
    pb.DEINTERLACE_ON: Deinterlace.ON,
    pb.DEINTERLACE_OFF: Deinterlace.OFF,
}


async def video_from_proto(requests: AsyncIterator[pb.ColorizeVideoRequest]) -> VideoRequest:
    """Take the first message of a film, and check and translate it.

    Raises:
        InvalidInputError: names the field.
    """
    request = await anext(requests, None)
    if request is None or not request.HasField("config"):
        raise InvalidInputError("config", "must be the first message of a film, and is missing")
    config = request.config
    smoothing = config.smoothing if config.HasField("smoothing") else None
    return VideoRequest(
        model=config.model,
        options=options_from_proto(config, "config.", smoothing=smoothing),
        codec=known("config.codec", config.codec, _CODECS),
        crf=config.crf if config.HasField("crf") else None,
        deinterlace=known("config.deinterlace", config.deinterlace, _DEINTERLACE),
        is_lenient=config.lenient,
    )


def chunk_from_proto(request: pb.ColorizeVideoRequest) -> bytes:
    """Return the bytes of a message that follows the first.

    Raises:
        InvalidInputError: it holds something else, or too many.
    """
    if not request.HasField("chunk"):
        raise InvalidInputError("message", "must hold a chunk after the first, which is the config")
    if len(request.chunk) > MAX_CHUNK_BYTES:
        raise InvalidInputError("chunk", f"must have at most {MAX_CHUNK_BYTES} bytes, got {len(request.chunk)}")
    return request.chunk


def event_to_proto(event: Event, bundle: Bundle, engine: Engine) -> pb.ColorizeVideoResponse:
    """Translate what happened to a film."""
    match event:
        case bytes():
            return pb.ColorizeVideoResponse(chunk=event)
        case Progress():
            return pb.ColorizeVideoResponse(progress=pb.VideoProgress(num_frames=event.num_frames))
        case Done():
            summary = pb.VideoSummary(num_frames=event.num_frames, num_left_out=event.num_left_out)
            return pb.ColorizeVideoResponse(summary=summary)
    height, width = event.working_shape
    accepted = pb.VideoAccepted(
        model=bundle.manifest.name,
        model_version=bundle.manifest.version,
        model_digest=bundle.digest,
        engine=engine.name,
        precision=engine.precision,
        size=pb.Size(width=event.width, height=event.height),
        working_size=pb.Size(width=width, height=height),
        codec=key_of(event.codec, _CODECS),
        num_frames=event.num_frames or 0,
        steering=steering_to_proto(event.options),
    )
    return pb.ColorizeVideoResponse(accepted=accepted)
