"""Messages as any client of the contract may send them, and bare gRPC to send them with."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.frames import LumaFrame

HEIGHT, WIDTH = 18, 32


def config(**changes: object) -> pb.ColorizeFramesRequest:
    """Describe a stream of 32x18 in 8-bit grey, but for `changes`."""
    known: dict[str, object] = {
        "size": pb.Size(width=WIDTH, height=HEIGHT),
        "pixel_format": pb.PIXEL_FORMAT_GRAY8,
    }
    return pb.ColorizeFramesRequest(config=pb.StreamConfig(**(known | changes)))  # type: ignore[arg-type]  # by name


def frame(seq: int, *planes: bytes, pts: int = 0) -> pb.ColorizeFramesRequest:
    """Make a frame; of 32x18 in grey, if no planes are given."""
    return pb.ColorizeFramesRequest(
        frame=pb.Frame(seq=seq, pts=pts, planes=planes or [bytes([seq % 256]) * (HEIGHT * WIDTH)])
    )


def frames_of(film: Iterable[LumaFrame]) -> list[pb.ColorizeFramesRequest]:
    """Send a film in grey."""
    return [frame(seq, picture.luma.tobytes(), pts=picture.pts) for seq, picture in enumerate(film)]


@dataclass
class Conversation:
    """What came back."""

    accepted: pb.StreamAccepted = field(default_factory=pb.StreamAccepted)
    frames: list[pb.ColorFrame] = field(default_factory=list)
    late: list[pb.Late] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    """Of both, as they came."""
    summary: pb.Summary | None = None
    draining: pb.Draining | None = None
    refusal: grpc.Call | None = None

    @property
    def planes(self) -> list[list[bytes]]:
        return [list(answer.planes) for answer in self.frames]

    @property
    def field_at_fault(self) -> str:
        assert self.refusal is not None
        return field_at_fault(self.refusal)


async def converse(stub: pb_grpc.ColorizerStub, requests: Iterable[pb.ColorizeFramesRequest]) -> Conversation:
    """Send everything at once, caring for no credits, and collect what comes back."""
    return await asyncio.to_thread(_converse, stub, requests)


def _converse(stub: pb_grpc.ColorizerStub, requests: Iterable[pb.ColorizeFramesRequest]) -> Conversation:
    conversation = Conversation()
    try:
        for response in stub.ColorizeFrames(iter(requests)):
            match response.WhichOneof("message"):
                case "accepted":
                    conversation.accepted = response.accepted
                case "frame":
                    conversation.frames.append(response.frame)
                    conversation.seqs.append(response.frame.seq)
                case "late":
                    conversation.late.append(response.late)
                    conversation.seqs.append(response.late.seq)
                case "summary":
                    conversation.summary = response.summary
                case "draining":
                    conversation.draining = response.draining
    except grpc.RpcError as error:
        conversation.refusal = call_of(error)
    return conversation


def call_of(error: grpc.RpcError) -> grpc.Call:
    """Return the call that failed, which is the error itself."""
    return cast("grpc.Call", error)


def field_at_fault(error: grpc.Call) -> str:
    """Return the one field that a refusal names."""
    details = BadRequest()
    assert any(packed.Unpack(details) for packed in status_of(error).details)
    (violation,) = details.field_violations
    return violation.field


def error_info(error: grpc.Call) -> ErrorInfo:
    """Return the reason that a refusal gives."""
    info = ErrorInfo()
    assert any(packed.Unpack(info) for packed in status_of(error).details)
    return info


def status_of(error: grpc.Call) -> Status:
    """Return the google.rpc.Status that came with an error."""
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    status = Status.FromString(details)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return status
