"""Between the wire and the domain: the only place where the client touches Kinema's protobuf messages."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Generic, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from kinema.v1 import colorizer_pb2 as pb
from kinema_client.answers import Accepted, Model, Summary, Timings, VideoAccepted, VideoSummary
from kinema_client.choices import PhotoChoices, StreamChoices, VideoChoices
from kinema_client.errors import ProtocolError
from kinema_client.shared_frames import SharedFrames
from kinema_core.errors import InvalidInputError
from kinema_core.frames import ColorFrame, ColorRange, LumaFrame, Matrix, Plane, RgbFrame, chroma_shape

FrameT = TypeVar("FrameT", bound=ColorFrame | RgbFrame)

Buffer: TypeAlias = bytes | NDArray[np.uint8]
ImageFormat: TypeAlias = Literal["png", "jpeg"]

_IMAGE_FORMATS: Final = {"png": pb.IMAGE_FORMAT_PNG, "jpeg": pb.IMAGE_FORMAT_JPEG}
_PIXEL_FORMATS: Final = {8: pb.PIXEL_FORMAT_GRAY8, 10: pb.PIXEL_FORMAT_GRAY10LE}
_PIXEL_FORMATS_WITH_CHROMA: Final = {8: pb.PIXEL_FORMAT_YUV420P, 10: pb.PIXEL_FORMAT_YUV420P10LE}
_MATRICES: Final = {Matrix.BT601: pb.MATRIX_BT601, Matrix.BT709: pb.MATRIX_BT709}
_COLOR_RANGES: Final = {ColorRange.LIMITED: pb.COLOR_RANGE_LIMITED, ColorRange.FULL: pb.COLOR_RANGE_FULL}

_CODECS: Final = {
    "h264": pb.VIDEO_CODEC_H264,
    "hevc": pb.VIDEO_CODEC_HEVC,
    "av1": pb.VIDEO_CODEC_AV1,
    "ffv1": pb.VIDEO_CODEC_FFV1,
    "prores": pb.VIDEO_CODEC_PRORES,
}
_DEINTERLACE: Final = {"auto": pb.DEINTERLACE_AUTO, "on": pb.DEINTERLACE_ON, "off": pb.DEINTERLACE_OFF}


@dataclass(frozen=True, slots=True)
class Form(Generic[FrameT]):
    """What comes back for each frame, and how it is read."""

    number: pb.OutputForm
    read: Callable[[pb.ColorFrame, LumaFrame, SharedFrames | None], FrameT]
    """Given what was sent, and the memory of the call, if it has one."""
    plane_bytes: Callable[[LumaFrame], list[int]]
    """The length of each plane of an answer to such a frame."""


def config_to_proto(
    first: LumaFrame,
    form: Form[FrameT],
    choices: StreamChoices,
    resume_token: bytes = b"",
    memory: SharedFrames | None = None,
) -> pb.ColorizeFramesRequest:
    """Describe a stream of frames like `first`; with a token, one that goes on; with memory, offer it.

    Raises:
        InvalidInputError: a choice does not fit the wire, frames without chroma are to keep their colour, or there is a
            deadline and nobody to tell of what was too late; what is sensible the server knows.
    """
    if choices.get("keep_colour") and first.chroma is None:
        raise InvalidInputError(
            "keep_colour", "needs frames with their own chroma, as FilmReader.frames_with_chroma() gives them"
        )
    height, width = first.luma.shape
    pixel_formats = _PIXEL_FORMATS_WITH_CHROMA if choices.get("keep_colour") else _PIXEL_FORMATS
    config = pb.StreamConfig(
        size=pb.Size(width=width, height=height),
        pixel_format=pixel_formats[first.tags.bit_depth],
        color_tags=pb.ColorTags(matrix=_MATRICES[first.tags.matrix], color_range=_COLOR_RANGES[first.tags.color_range]),
        model=choices.get("model", ""),
        output_form=form.number,
        smoothing=choices.get("smoothing"),
        saturation=choices.get("saturation"),
        working_size=_uint32("working_size", choices.get("working_size", 0)),
        steering=_steering_to_proto(choices),
        resume_token=resume_token,
        max_delay_micros=_max_delay_micros(choices),
        max_frame_rate=choices.get("max_frame_rate", 0),
        shared_memory=_memory_to_proto(memory) if memory else None,
    )
    time_base = first.time_base
    if 0 < time_base.numerator < 2**32 and time_base.denominator < 2**32:  # else it is left out: nothing depends on it
        config.time_base.numerator = time_base.numerator
        config.time_base.denominator = time_base.denominator
    return pb.ColorizeFramesRequest(config=config)


def video_config_to_proto(choices: VideoChoices) -> pb.VideoConfig:
    """Describe how a whole film is to be colorized.

    Raises:
        InvalidInputError: a choice does not fit the wire; what is sensible the server knows.
    """
    codec, deinterlace = choices.get("codec", "h264"), choices.get("deinterlace", "auto")
    for field, value, known in (("codec", codec, _CODECS), ("deinterlace", deinterlace, _DEINTERLACE)):
        if value not in known:
            raise InvalidInputError(field, f"must be one of {', '.join(known)}, got {value!r}")
    crf = choices.get("crf")
    return pb.VideoConfig(
        model=choices.get("model", ""),
        smoothing=choices.get("smoothing"),
        saturation=choices.get("saturation"),
        working_size=_uint32("working_size", choices.get("working_size", 0)),
        codec=_CODECS[codec],
        crf=None if crf is None else _uint32("crf", crf),
        deinterlace=_DEINTERLACE[deinterlace],
        lenient=choices.get("is_lenient", False),
        steering=_steering_to_proto(choices),
    )


def video_accepted_from_proto(accepted: pb.VideoAccepted, asked: pb.VideoConfig) -> VideoAccepted:
    """Translate what a whole film is.

    Raises:
        ProtocolError: the server passes over what was asked for.
    """
    _check_steering(accepted, asked)
    return VideoAccepted(
        model=accepted.model,
        model_version=accepted.model_version,
        model_digest=accepted.model_digest,
        engine=accepted.engine,
        precision=accepted.precision,
        size=(accepted.size.height, accepted.size.width),
        working_size=(accepted.working_size.height, accepted.working_size.width),
        num_frames=accepted.num_frames or None,
    )


def video_summary_from_proto(summary: pb.VideoSummary) -> VideoSummary:
    """Translate the end of a whole film."""
    return VideoSummary(num_frames=summary.num_frames, num_left_out=summary.num_left_out)


def frame_to_proto(
    seq: int, frame: LumaFrame, choices: StreamChoices, memory: SharedFrames | None = None
) -> pb.ColorizeFramesRequest:
    """Translate a frame of a stream with these choices; its chroma goes along only where colour is to be kept.

    Where there is memory with a free slot, its planes are put there.
    """
    sample = "u1" if frame.tags.bit_depth == 8 else "<u2"
    planes = [plane.astype(sample, copy=False) for plane in _planes_to_send(frame, choices)]
    message = pb.Frame(seq=seq, pts=frame.pts, shot_cut=frame.is_cut)
    is_whole = frame.chroma is not None or not choices.get("keep_colour")  # of one that is not the server says so
    slot = memory.put(seq, planes) if memory and is_whole else None
    if slot is None:
        message.planes.extend(plane.tobytes() for plane in planes)
    else:
        message.slot = slot
    return pb.ColorizeFramesRequest(frame=message)


def most_plane_bytes(first: LumaFrame, form: Form[FrameT], choices: StreamChoices) -> int:
    """Return how many bytes a frame or an answer has, whichever are more."""
    return max(sum(plane.nbytes for plane in _planes_to_send(first, choices)), sum(form.plane_bytes(first)))


def color_frame_from_proto(answer: pb.ColorFrame, sent: LumaFrame, memory: SharedFrames | None = None) -> ColorFrame:
    """Put the answer's chroma beside the very luma plane that was sent.

    Raises:
        ProtocolError: the answer has another shape than the question.
    """
    planes = _planes_of(answer, _chroma_plane_bytes(sent), memory)
    cb, cr = (_samples(plane, sent.tags.bit_depth).reshape(chroma_shape(*sent.luma.shape)) for plane in planes)
    return ColorFrame(sent.luma, cb, cr, sent.pts, sent.time_base, sent.tags, answer.shot_cut)


def rgb_frame_from_proto(answer: pb.ColorFrame, sent: LumaFrame, memory: SharedFrames | None = None) -> RgbFrame:
    """Translate a frame in sRGB.

    Raises:
        ProtocolError: the answer has another shape than the question.
    """
    (plane,) = _planes_of(answer, _rgb_plane_bytes(sent), memory)
    rgb = np.frombuffer(plane, np.uint8).reshape(*sent.luma.shape, 3)
    return RgbFrame(rgb, sent.pts, sent.time_base)


def _chroma_plane_bytes(sent: LumaFrame) -> list[int]:
    height, width = chroma_shape(*sent.luma.shape)
    return [height * width * (1 if sent.tags.bit_depth == 8 else 2)] * 2


def _rgb_plane_bytes(sent: LumaFrame) -> list[int]:
    return [3 * sent.luma.size]


CHROMA: Final = Form(pb.OUTPUT_FORM_CHROMA, color_frame_from_proto, _chroma_plane_bytes)
RGB: Final = Form(pb.OUTPUT_FORM_RGB24, rgb_frame_from_proto, _rgb_plane_bytes)


def timings_from_proto(timings: pb.Timings, round_trip_seconds: float) -> Timings:
    """Translate a frame's timings."""
    return Timings(
        round_trip_seconds=round_trip_seconds,
        prepare_seconds=timings.prepare_micros / 1e6,
        queue_seconds=timings.queue_micros / 1e6,
        engine_seconds=timings.engine_micros / 1e6,
        finish_seconds=timings.finish_micros / 1e6,
    )


def accepted_from_proto(
    accepted: pb.StreamAccepted, asked: pb.StreamConfig, memory: SharedFrames | None = None
) -> Accepted:
    """Translate what will be used for a stream that was offered this memory.

    Raises:
        ProtocolError: it grants no credit: no frame could ever be sent; or the server passes over what was asked for.
    """
    _check_steering(accepted, asked)
    if accepted.max_delay_micros != asked.max_delay_micros:
        raise ProtocolError("the server is too old for deadlines: update it, or leave max_delay_seconds out")
    if accepted.credits < 1:
        raise ProtocolError("the server accepted a stream and granted no credit for frames")
    # Another nonce is that of other memory, which happens to have the same number at the server: not to be used.
    is_memory_shared = memory is not None and accepted.shared_memory_nonce == memory.nonce
    return Accepted(
        model=accepted.model,
        model_version=accepted.model_version,
        model_digest=accepted.model_digest,
        engine=accepted.engine,
        precision=accepted.precision,
        credits=accepted.credits,
        working_size=(accepted.working_size.height, accepted.working_size.width),
        smoothing=accepted.smoothing,
        saturation=accepted.saturation,
        max_frame_rate=accepted.max_frame_rate or None,
        is_memory_shared=is_memory_shared,
    )


def summary_from_proto(summary: pb.Summary) -> Summary:
    """Translate the end of a stream."""
    return Summary(num_frames=summary.num_frames, num_cuts=summary.num_cuts, num_late=summary.num_late)


def image_to_proto(image: bytes, *, output_format: ImageFormat, choices: PhotoChoices) -> pb.ColorizeImageRequest:
    """Translate the request for a photograph.

    Raises:
        InvalidInputError: an argument does not fit the wire.
    """
    if output_format not in _IMAGE_FORMATS:
        raise InvalidInputError("output_format", f"must be one of {', '.join(_IMAGE_FORMATS)}, got {output_format!r}")
    return pb.ColorizeImageRequest(
        image=image,
        model=choices.get("model", ""),
        saturation=choices.get("saturation"),
        working_size=_uint32("working_size", choices.get("working_size", 0)),
        output_format=_IMAGE_FORMATS[output_format],
        steering=_steering_to_proto(choices),
    )


def models_from_proto(response: pb.ListModelsResponse) -> list[Model]:
    """Translate the models, the default first."""
    return [
        Model(
            name=model.name,
            version=model.version,
            digest=model.digest,
            licence=model.licence,
            num_parameters=model.num_parameters,
            working_size=model.working_size,
            scores=dict(model.scores),
        )
        for model in response.models
    ]


def _steering_to_proto(choices: PhotoChoices) -> pb.Steering | None:
    """Say what is wanted of the colours; None where nothing is, which any server understands."""
    steering = pb.Steering(
        warmth=choices.get("warmth", 0),
        desaturate_blacks=choices.get("desaturate_blacks", 0),
        keep_colour=choices.get("keep_colour", False),
    )
    if (highlights := choices.get("desaturate_highlights", 100)) != 100:
        steering.desaturate_highlights = highlights
    if reference := choices.get("reference"):
        steering.reference.CopyFrom(pb.ColourStatistics(**asdict(reference)))
    return steering if steering != pb.Steering() else None


def _check_steering(accepted: pb.StreamAccepted | pb.VideoAccepted, asked: pb.StreamConfig | pb.VideoConfig) -> None:
    if asked.HasField("steering") and not accepted.HasField("steering"):
        raise ProtocolError(
            "the server is too old for warmth, desaturation, a reference or kept colour: update it, or leave them out"
        )


def _max_delay_micros(choices: StreamChoices) -> int:
    max_delay = choices.get("max_delay_seconds")
    if (max_delay is None) != ("on_late" not in choices):
        raise InvalidInputError("on_late", "belongs to max_delay_seconds: give both, or neither")
    if max_delay is None:
        return 0
    if not 1e-6 <= max_delay <= 4294:  # NaN fails too; in microseconds it has to fit 32 bits
        raise InvalidInputError("max_delay_seconds", f"must be 1e-6 to 4294, got {max_delay}")
    return round(max_delay * 1e6)


def _planes_to_send(frame: LumaFrame, choices: StreamChoices) -> tuple[Plane, ...]:
    return frame.luma, *((frame.chroma or ()) if choices.get("keep_colour") else ())


def _memory_to_proto(memory: SharedFrames) -> pb.SharedMemory:
    return pb.SharedMemory(
        pid=os.getpid(),
        fd=memory.fd,
        num_slots=memory.num_slots,
        slot_bytes=memory.slot_bytes,
        nonce_sha256=memory.nonce_sha256,
    )


def _planes_of(answer: pb.ColorFrame, expected: list[int], memory: SharedFrames | None) -> Sequence[Buffer]:
    if not answer.HasField("slot"):
        return _planes_from_message(answer, expected)
    if memory is None or answer.planes or memory.slot_of(answer.seq) != answer.slot:
        raise ProtocolError(f"frame {answer.seq} came back in slot {answer.slot}, where it was not sent")
    return memory.read(answer.slot, expected)


def _planes_from_message(answer: pb.ColorFrame, expected: list[int]) -> list[bytes]:
    planes = list(answer.planes)  # once, since each look at bytes in a message copies them
    if (found := [len(plane) for plane in planes]) != expected:
        raise ProtocolError(f"frame {answer.seq} came back with planes of {found} bytes, where {expected} belong")
    return planes


def _samples(plane: Buffer, bit_depth: int) -> Plane:
    if bit_depth == 8:
        return np.frombuffer(plane, np.uint8)
    return np.frombuffer(plane, "<u2").astype(np.uint16, copy=False)


def _uint32(field: str, number: int) -> int:
    if not 0 <= number < 2**32:
        raise InvalidInputError(field, f"must be 0 or more, got {number}")
    return number
