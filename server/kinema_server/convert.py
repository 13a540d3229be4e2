"""Between the wire and the domain: the only place where the server touches Kinema's protobuf messages.

What comes in is checked here, before anything is allocated for it; what passes is trusted inside.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from kinema.v1 import colorizer_pb2 as pb
from kinema_core.bundle import Bundle
from kinema_core.color import GREY_TAGS
from kinema_core.engines.engine import Engine
from kinema_core.errors import FrameOrderError, InvalidInputError
from kinema_core.frames import ColorRange, ColorTags, Matrix, Plane, RgbFrame, check_size, chroma_shape
from kinema_core.media.deinterlacer import Deinterlace
from kinema_core.media.encoders import DEFAULT_CODEC
from kinema_core.pipeline import Options
from kinema_core.steering.colour_statistics import ColourStatistics
from kinema_server.photos import ImageFormat, PhotoRequest
from kinema_server.shared_frames import Offer, SharedFrames
from kinema_server.stream import (
    Answer,
    LateAnswer,
    OutputForm,
    PixelFormat,
    SentFrame,
    StageSeconds,
    Stream,
    StreamSpec,
    Tally,
)
from kinema_server.videos import MAX_CHUNK_BYTES, Done, Event, Progress, VideoRequest

NumberT = TypeVar("NumberT", bound=int)
T = TypeVar("T")
Buffer: TypeAlias = bytes | NDArray[np.uint8]

_STEERING = {"warmth", "desaturate_blacks", "desaturate_highlights", "reference", "keep_colour"}
"""Options that the wire has in a message of their own."""

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
_IMAGE_FORMATS: Mapping[pb.ImageFormat, ImageFormat] = {
    pb.IMAGE_FORMAT_UNSPECIFIED: ImageFormat.PNG,
    pb.IMAGE_FORMAT_PNG: ImageFormat.PNG,
    pb.IMAGE_FORMAT_JPEG: ImageFormat.JPEG,
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


def spec_from_proto(config: pb.StreamConfig, *, max_pixels: int) -> StreamSpec:
    """Check and translate a stream's config.

    Raises:
        InvalidInputError: names the field.
    """
    height, width = config.size.height, config.size.width
    check_size(height, width, field="config.size")
    if height * width > max_pixels:
        raise InvalidInputError("config.size", f"must have at most {max_pixels} pixels here, got {width}x{height}")
    pixel_format = _known("config.pixel_format", config.pixel_format, _PIXEL_FORMATS)
    output_form = _known("config.output_form", config.output_form, _OUTPUT_FORMS)
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
        options=_options_from_proto(
            config, "config.", smoothing=config.smoothing if config.HasField("smoothing") else None
        ),
        max_delay_seconds=config.max_delay_micros / 1e6 or None,
        max_frame_rate=_max_frame_rate_from_proto(config),
    )


def frame_from_proto(frame: pb.Frame, spec: StreamSpec, memory: SharedFrames | None = None) -> SentFrame:
    """Check and translate a frame; its picture is a view of the message's bytes, or of a copy of those in memory.

    Raises:
        InvalidInputError: names the field.
    """
    expected = spec.pixel_format.plane_bytes(spec.height, spec.width)
    planes: Sequence[Buffer]
    if frame.HasField("slot"):
        planes = _planes_from_slot(frame, expected, memory)
    else:
        planes = _planes_from_message(frame, expected, spec)
    picture: Plane
    chroma: tuple[Plane, Plane] | None = None
    if spec.pixel_format is PixelFormat.RGB24:
        picture = np.frombuffer(planes[0], np.uint8).reshape(spec.height, spec.width, 3)
    else:
        picture = _plane_from_bytes(planes[0], (spec.height, spec.width), spec.pixel_format)
        if spec.options.keep_colour:
            shape = chroma_shape(spec.height, spec.width)
            cb, cr = (_plane_from_bytes(plane, shape, spec.pixel_format) for plane in planes[1:])
            chroma = cb, cr
    return SentFrame(frame.seq, frame.pts, picture, frame.shot_cut if frame.HasField("shot_cut") else None, chroma)


def photo_from_proto(request: pb.ColorizeImageRequest) -> PhotoRequest:
    """Check and translate the request for a photograph; the image itself is checked as it is decoded.

    Raises:
        InvalidInputError: names the field.
    """
    output_format = _known("output_format", request.output_format, _IMAGE_FORMATS)
    return PhotoRequest(request.image, request.model, _options_from_proto(request, ""), output_format)


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
        options=_options_from_proto(config, "config.", smoothing=smoothing),
        codec=_known("config.codec", config.codec, _CODECS),
        crf=config.crf if config.HasField("crf") else None,
        deinterlace=_known("config.deinterlace", config.deinterlace, _DEINTERLACE),
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
        codec=_key_of(event.codec, _CODECS),
        num_frames=event.num_frames or 0,
        steering=_steering_to_proto(event.options),
    )
    return pb.ColorizeVideoResponse(accepted=accepted)


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
            output_form=_key_of(spec.output_form, _OUTPUT_FORMS),
            working_size=pb.Size(width=width, height=height),
            smoothing=spec.options.smoothing,
            saturation=spec.options.saturation,
            color_tags=None if is_rgb else _tags_to_proto(spec.tags),
            steering=_steering_to_proto(spec.options),
            resumed=is_resumed,
            max_delay_micros=round((spec.max_delay_seconds or 0) * 1e6),
            max_frame_rate=max_frame_rate or 0,
            shared_memory_nonce=memory.nonce if memory else b"",
        )
    )


def answer_to_proto(
    answer: Answer | LateAnswer, form: OutputForm, memory: SharedFrames | None = None
) -> pb.ColorizeFramesResponse:
    """Translate a frame in colour, or one that was too late; where the frame came in a slot, that is free again."""
    if isinstance(answer, LateAnswer):
        if memory is not None:
            memory.release(answer.seq)
        return pb.ColorizeFramesResponse(late=pb.Late(seq=answer.seq, pts=answer.pts))
    frame = answer.frame
    if isinstance(frame, RgbFrame):
        planes: list[NDArray[Any]] = [frame.rgb]
    else:
        planes = [_samples_of(plane) for plane in (frame.cb, frame.cr)]
        if form is OutputForm.YUV420:
            planes.insert(0, _samples_of(frame.luma))
    slot = None if memory is None else _write_answer(answer.seq, planes, memory)
    response = pb.ColorizeFramesResponse()
    sent = response.frame  # filled in its place: given as an argument it would be copied, planes and all
    sent.seq, sent.pts, sent.shot_cut = answer.seq, frame.pts, answer.is_cut
    sent.timings.CopyFrom(_timings_to_proto(answer.seconds))
    if slot is not None:
        sent.slot = slot
    else:
        sent.planes.extend(plane.tobytes() for plane in planes)
    return response


def _write_answer(seq: int, planes: Sequence[NDArray[Any]], memory: SharedFrames) -> int | None:
    """Put an answer where its frame lay; None where that cannot be, and the message has to hold it."""
    slot = memory.slot_of(seq)
    if slot is None:
        return None
    try:
        memory.write(slot, planes)
    except OSError:  # the client sealed it, or the machine has no memory left
        return None
    finally:
        memory.release(seq)
    return slot


def summary_to_proto(tally: Tally) -> pb.ColorizeFramesResponse:
    """Translate the end of a stream."""
    return pb.ColorizeFramesResponse(summary=_summary_of(tally))


def draining_to_proto(tally: Tally, resume_token: bytes) -> pb.ColorizeFramesResponse:
    """Translate the end of a call whose stream goes on elsewhere."""
    return pb.ColorizeFramesResponse(draining=pb.Draining(resume_token=resume_token, summary=_summary_of(tally)))


def image_to_proto(image: bytes, bundle: Bundle, seconds: StageSeconds) -> pb.ColorizeImageResponse:
    """Translate a photograph in colour."""
    return pb.ColorizeImageResponse(image=image, model_digest=bundle.digest, timings=_timings_to_proto(seconds))


def models_to_proto(bundles: list[Bundle]) -> pb.ListModelsResponse:
    """Translate the models, the default first."""
    models = [
        pb.Model(
            name=bundle.manifest.name,
            version=bundle.manifest.version,
            digest=bundle.digest,
            licence=bundle.manifest.licence,
            num_parameters=bundle.manifest.num_parameters,
            working_size=bundle.manifest.working_size,
            scores=bundle.manifest.scores,
        )
        for bundle in bundles
    ]
    return pb.ListModelsResponse(models=models)


def _summary_of(tally: Tally) -> pb.Summary:
    return pb.Summary(num_frames=tally.num_answered, num_cuts=tally.num_cuts, num_late=tally.num_late)


def _options_from_proto(
    message: pb.StreamConfig | pb.VideoConfig | pb.ColorizeImageRequest, prefix: str, *, smoothing: float | None = None
) -> Options:
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


def _steering_to_proto(options: Options) -> pb.Steering | None:
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


def _tags_from_proto(tags: pb.ColorTags, bit_depth: int) -> ColorTags:
    return ColorTags(
        matrix=_known("config.color_tags.matrix", tags.matrix, _MATRICES),
        color_range=_known("config.color_tags.color_range", tags.color_range, _COLOR_RANGES),
        bit_depth=bit_depth,
    )


def _tags_to_proto(tags: ColorTags) -> pb.ColorTags:
    return pb.ColorTags(matrix=_key_of(tags.matrix, _MATRICES), color_range=_key_of(tags.color_range, _COLOR_RANGES))


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


def _timings_to_proto(seconds: StageSeconds) -> pb.Timings:
    return pb.Timings(
        queue_micros=round(seconds.queue * 1e6),
        prepare_micros=round(seconds.prepare * 1e6),
        engine_micros=round(seconds.engine * 1e6),
        finish_micros=round(seconds.finish * 1e6),
    )


def _planes_from_slot(frame: pb.Frame, expected: Sequence[int], memory: SharedFrames | None) -> list[Buffer]:
    """Copy a frame out of its slot, once: what the client does to it afterwards is not seen.

    As the parsing of a message with planes, this is done on the event loop.
    """
    if memory is None:
        raise InvalidInputError("frame.slot", f"no memory was accepted: send planes, in frame {frame.seq}")
    if frame.planes:
        raise InvalidInputError("frame.slot", f"stands in place of planes: send one or the other, in frame {frame.seq}")
    if not memory.hold(frame.seq, frame.slot):
        raise InvalidInputError(
            "frame.slot",
            f"must be 0 to {memory.num_slots - 1} and not be that of a frame without an answer, got {frame.slot} in"
            f" frame {frame.seq}",
        )
    try:
        return list(memory.read(frame.slot, expected))
    except OSError as error:
        raise InvalidInputError("frame.slot", f"cannot be read: {error}, in frame {frame.seq}") from error


def _planes_from_message(frame: pb.Frame, expected: Sequence[int], spec: StreamSpec) -> list[bytes]:
    layout = f"{spec.pixel_format.value} of {spec.width}x{spec.height}"
    if len(frame.planes) != len(expected):
        raise InvalidInputError(
            "frame.planes", f"must be {len(expected)} for {layout}, got {len(frame.planes)} in frame {frame.seq}"
        )
    planes = list(frame.planes)  # once, since each look at bytes in a message copies them
    for index, (plane, num_bytes) in enumerate(zip(planes, expected, strict=True)):
        if len(plane) != num_bytes:
            raise InvalidInputError(
                f"frame.planes[{index}]",
                f"must be {num_bytes} bytes for {layout}, got {len(plane)} in frame {frame.seq}",
            )
    return planes


def _plane_from_bytes(samples: Buffer, shape: tuple[int, int], pixel_format: PixelFormat) -> Plane:
    if pixel_format.bit_depth == 8:
        return np.frombuffer(samples, np.uint8).reshape(shape)
    return np.frombuffer(samples, "<u2").astype(np.uint16, copy=False).reshape(shape)


def _samples_of(plane: Plane) -> NDArray[Any]:
    return plane.astype("<u2" if plane.itemsize == 2 else "u1", copy=False)


def _known(field: str, number: NumberT, known: Mapping[NumberT, T]) -> T:
    """Look an enum's number up; one from the future, or an unspecified one without a default, is refused."""
    if number not in known:
        raise InvalidInputError(field, f"must be one of the numbers {', '.join(map(str, known))}, got {number}")
    return known[number]


def _key_of(value: object, known: Mapping[NumberT, object]) -> NumberT:
    """Look a value's number up: the last one that means it, which is never UNSPECIFIED."""
    return max(number for number, meaning in known.items() if meaning == value)
