"""What goes wrong between a client and its server, and the one table from the wire back to errors.

KinemaError (kinema_core.errors)
├── InvalidInputError             the server refused what it was given; names the field
│   ├── FrameOrderError           (kinema_core.errors)
│   └── UnknownModelError         the server has no model of that name
└── ClientError
    ├── ServerUnavailableError    nothing answers there, or it went away
    ├── ServerBusyError           the server has no place for another stream or photograph now
    ├── ServerFailedError         the server, or its model, failed
    └── ProtocolError             what answers there is no Kinema server, or one of another version
"""

from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from kinema_core.errors import FrameOrderError, InvalidInputError, KinemaError

ERROR_DOMAIN = "kinema.v1"
_DETAILS_KEY = "grpc-status-details-bin"

MessageT = TypeVar("MessageT", bound=Message)


class UnknownModelError(InvalidInputError):
    """The server has no model of that name."""


class ClientError(KinemaError):
    """Something went wrong between the client and its server."""


class ServerUnavailableError(ClientError):
    """Nothing answers there, or it went away."""


class ServerBusyError(ClientError):
    """The server has no place for another stream or photograph now."""


class ServerFailedError(ClientError):
    """The server, or its model, failed."""


class ProtocolError(ClientError):
    """What answers there is no Kinema server, or one of another version."""


_INVALID = {"INVALID_INPUT": InvalidInputError, "FRAME_ORDER": FrameOrderError, "UNKNOWN_MODEL": UnknownModelError}
"""By the `reason` that the server gives."""


def error_from_rpc(error: grpc.RpcError, target: str) -> KinemaError:
    """Return the error that a failed call to `target` stands for."""
    assert isinstance(error, grpc.Call)  # what a call raises is the call itself
    code, message = error.code(), error.details() or "no reason given"
    status = _rich_status(error)
    reason = _detail(status, ErrorInfo()).reason
    violations = _detail(status, BadRequest()).field_violations
    if violations:
        return _INVALID.get(reason, InvalidInputError)(violations[0].field, violations[0].description)
    match code:
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            return ServerUnavailableError(
                f"no Kinema server answers at {target}, or it has just stopped ({message}); "
                "start one with `kinema serve`, or check the address"
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED if reason == "BUSY":
            return ServerBusyError(f"the server at {target} is busy: {message}")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:  # gRPC's own words, as a rule on the size of a message
            return InvalidInputError("message", f"the server at {target} takes no more: {message}")
        case grpc.StatusCode.UNIMPLEMENTED:
            return ProtocolError(f"what answers at {target} does not offer kinema.v1.Colorizer: {message}")
        case _:
            return ServerFailedError(f"the server at {target} failed ({code.name}): {message}")


def _rich_status(call: grpc.Call) -> Status:
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return Status.FromString(value)
            except DecodeError:
                break
    return Status()


def _detail(status: Status, detail: MessageT) -> MessageT:
    """Return the detail of that type, or the empty one that was given."""
    for packed in status.details:
        if packed.Unpack(detail):
            break
    return detail
