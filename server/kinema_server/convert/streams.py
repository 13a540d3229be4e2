"""Streams of frames: their config, what is said at their beginning, and how they end."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from fractions import Fraction

from kinema.v1 import colorizer_pb2 as pb
from kinema_core.bundle import Bundle
from kinema_core.color import GREY_TAGS
from kinema_core.errors import FrameOrderError, InvalidInputError
from kinema_core.frames import ColorRange, ColorTags, Matrix, check_size
from kinema_server.convert.enums import key_of, known
from kinema_server.convert.frames import frame_from_proto
from kinema_server.convert.options import options_from_proto, steering_to_proto
from kinema_server.shared_frames import Offer, SharedFrames
from kinema_server.stream import OutputForm, PixelFormat, SentFrame, Stream, StreamSpec, Tally

_PIXEL_FORMATS: Mapping[pb.PixelFormat, PixelFormat] = {
    pb.PIXEL_FORMAT_GRAY8: PixelFormat.GRAY8,
    pb.PIXEL_FORMAT_GRAY10LE: PixelFormat.GRAY10LE,
    pb.PIXEL_FORMAT_YUV420P: PixelFormat.YUV420P,
    pb.PIXEL_FORMAT_YUV420P10LE: PixelFormat.YUV420P10LE,
    pb.PIXEL_FORMAT_RGB24: PixelFormat.RGB24,
}
_OUTPUT_FORMS: Mapping[pb.OutputForm, OutputForm | None] = {
    pb.OUTPUT_FORM_UNSPECIFIED: None,
    pb.OUTPUT_FORM_CHROMA: OutputForm.CHROMA,
    pb.OUTPUT_FORM_YUV420: OutputForm.YUV420,
    pb.OUTPUT_FORM_RGB24: OutputForm.RGB24,
}
_MATRICES: Mapping[pb.Matrix, Matrix] = {
    pb.MATRIX_UNSPECIFIED: Matrix.BT709,
    pb.MATRIX_BT601: Matrix.BT601,
    pb.MATRIX_BT709: Matrix.BT709,
}
_COLOR_RANGES: Mapping[pb.ColorRange, ColorRange] = {
    pb.COLOR_RANGE_UNSPECIFIED: ColorRange.LIMITED,
    pb.COLOR_RANGE_LIMITED: ColorRange.LIMITED,
    pb.COLOR_RANGE_FULL: ColorRange.FULL,
}


class Conversation:
    """One stream as the wire has it: a config, then frames whose seq rises.

    Raises, from each method:
        InvalidInputError: a message is out of place or wrong; names the field.
    """

    def __init__(self, requests: AsyncIterator[pb.ColorizeFramesRequest], *, max_pixels: int) -> None:
        self._requests = requests
        self._max_pixels = max_pixels
        self.last_answered_seq: int | None = None
        """For the caller to keep. A frame can turn out wrong after it was taken here; once answered it was right."""
        self._last_seq: int | None = None
        self.resume_token = b""
        """As the config has it."""
        self.offer: Offer | None = None
        """The memory that the config offers."""

    async def config(self) -> StreamSpec:
        """Take the first message."""
        request = await anext(self._requests, None)
        if request is None or not request.HasField("config"):
            raise InvalidInputError("config", "must be the first message of a stream, and is missing")
        self.resume_token = request.config.resume_token
        self.offer = _offer_from_proto(request.config)
        return spec_from_proto(request.config, max_pixels=self._max_pixels)

    def resume_behind(self, seq: int | None) -> None:
        """Take frames behind that one only: it was answered by another server."""
        self.last_answered_seq = self._last_seq = seq

    async def frames(self, spec: StreamSpec, memory: SharedFrames | None = None) -> AsyncGenerator[SentFrame, None]:
        """Take the frames, from messages or from memory."""
        async for request in self._requests:
            if request.HasField("config"):
                raise InvalidInputError("config", "must be sent once; to change it, open another stream")
            if not request.HasField("frame"):
                raise InvalidInputError(
                    "message", "must hold a frame, and is empty or of a kind this server does not know"
                )
            sent = frame_from_proto(request.frame, spec, memory)
            if self._last_seq is not None and sent.seq <= self._last_seq:
                raise FrameOrderError(
                    "frame.seq", f"must rise from frame to frame, got {sent.seq} after {self._last_seq}"
                )
            self._last_seq = sent.seq
            yield sent
            del request, sent  # not to be held while the next one is waited for


def spec_from_proto(config: pb.StreamConfig, *, max_pixels: int) -> StreamSpec:
    """Check and translate a stream's config.

    Raises:
        InvalidInputError: names the field.
    """
    height, width = config.size.height, config.size.width
    check_size(height, width, field="config.size")
    if height * width > max_pixels:
        raise InvalidInputError("config.size", f"must have at most {max_pixels} pixels here, got {width}x{height}")
    pixel_format = known("config.pixel_format", config.pixel_format, _PIXEL_FORMATS)
    output_form = known("config.output_form", config.output_form, _OUTPUT_FORMS)
    is_rgb = pixel_format is PixelFormat.RGB24
    if is_rgb and output_form not in {None, OutputForm.RGB24}:
        raise InvalidInputError("config.output_form", "must be RGB24 where RGB24 is sent")
    if config.steering.keep_colour and pixel_format not in {PixelFormat.YUV420P, PixelFormat.YUV420P10LE}:
        raise InvalidInputError(
            "config.steering.keep_colour",
            f"needs the frames' own chroma: send yuv420p or yuv420p10le, not {pixel_format.value}, or leave it out",
        )
    return StreamSpec(
        height=height,
        width=width,
        pixel_format=pixel_format,
        tags=GREY_TAGS if is_rgb else _tags_from_proto(config.color_tags, pixel_format.bit_depth),
        time_base=_time_base_from_proto(config),
        model=config.model,
        output_form=output_form or (OutputForm.RGB24 if is_rgb else OutputForm.CHROMA),
        options=options_from_proto(
            config, "config.", smoothing=config.smoothing if config.HasField("smoothing") else None
        ),
        max_delay_seconds=config.max_delay_micros / 1e6 or None,
        max_frame_rate=_max_frame_rate_from_proto(config),
    )


def accepted_to_proto(
    stream: Stream,
    bundle: Bundle,
    max_frame_rate: float | None,
    *,
    is_resumed: bool = False,
    memory: SharedFrames | None = None,
) -> pb.ColorizeFramesResponse:
    """Say what will really be used for a stream."""
    spec, engine = stream.spec, stream.scheduler.engine
    height, width = stream.working_shape
    is_rgb = spec.pixel_format is PixelFormat.RGB24
    return pb.ColorizeFramesResponse(
        accepted=pb.StreamAccepted(
            model=bundle.manifest.name,
            model_version=bundle.manifest.version,
            model_digest=bundle.digest,
            engine=engine.name,
            precision=engine.precision,
            credits=stream.lane.depth,
            output_form=key_of(spec.output_form, _OUTPUT_FORMS),
            working_size=pb.Size(width=width, height=height),
            smoothing=spec.options.smoothing,
            saturation=spec.options.saturation,
            color_tags=None if is_rgb else _tags_to_proto(spec.tags),
            steering=steering_to_proto(spec.options),
            resumed=is_resumed,
            max_delay_micros=round((spec.max_delay_seconds or 0) * 1e6),
            max_frame_rate=max_frame_rate or 0,
            shared_memory_nonce=memory.nonce if memory else b"",
        )
    )


def summary_to_proto(tally: Tally) -> pb.ColorizeFramesResponse:
    """Translate the end of a stream."""
    return pb.ColorizeFramesResponse(summary=_summary_of(tally))


def draining_to_proto(tally: Tally, resume_token: bytes) -> pb.ColorizeFramesResponse:
    """Translate the end of a call whose stream goes on elsewhere."""
    return pb.ColorizeFramesResponse(draining=pb.Draining(resume_token=resume_token, summary=_summary_of(tally)))


def _summary_of(tally: Tally) -> pb.Summary:
    return pb.Summary(num_frames=tally.num_answered, num_cuts=tally.num_cuts, num_late=tally.num_late)


def _tags_from_proto(tags: pb.ColorTags, bit_depth: int) -> ColorTags:
    return ColorTags(
        matrix=known("config.color_tags.matrix", tags.matrix, _MATRICES),
        color_range=known("config.color_tags.color_range", tags.color_range, _COLOR_RANGES),
        bit_depth=bit_depth,
    )


def _tags_to_proto(tags: ColorTags) -> pb.ColorTags:
    return pb.ColorTags(matrix=key_of(tags.matrix, _MATRICES), color_range=key_of(tags.color_range, _COLOR_RANGES))


def _time_base_from_proto(config: pb.StreamConfig) -> Fraction:
    if not config.HasField("time_base"):
        return Fraction(1, 1000)
    time_base = config.time_base
    if time_base.numerator < 1 or time_base.denominator < 1:
        raise InvalidInputError(
            "config.time_base", f"must be a fraction above 0, got {time_base.numerator}/{time_base.denominator}"
        )
    return Fraction(time_base.numerator, time_base.denominator)


def _offer_from_proto(config: pb.StreamConfig) -> Offer | None:
    if not config.HasField("shared_memory"):
        return None
    memory = config.shared_memory
    return Offer(memory.pid, memory.fd, memory.num_slots, memory.slot_bytes, memory.nonce_sha256)


def _max_frame_rate_from_proto(config: pb.StreamConfig) -> float | None:
    if config.max_frame_rate == 0:
        return None
    if not 0.1 <= config.max_frame_rate <= 1000:  # NaN fails too
        raise InvalidInputError(
            "config.max_frame_rate", f"must be 0.1 to 1000, or 0 for unknown, got {config.max_frame_rate:g}"
        )
    return config.max_frame_rate
