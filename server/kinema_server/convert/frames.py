"""Frames of a stream and their answers, in messages or in memory that is shared."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kinema.v1 import colorizer_pb2 as pb
from kinema_core.errors import InvalidInputError
from kinema_core.frames import Plane, RgbFrame, chroma_shape
from kinema_server.convert.timings import timings_to_proto
from kinema_server.shared_frames import SharedFrames
from kinema_server.stream import Answer, LateAnswer, OutputForm, PixelFormat, SentFrame, StreamSpec

Buffer: TypeAlias = bytes | NDArray[np.uint8]


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
    sent.timings.CopyFrom(timings_to_proto(answer.seconds))
    if slot is not None:
        sent.slot = slot
    else:
        sent.planes.extend(plane.tobytes() for plane in planes)
    return response


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
