"""What goes wrong between a client and its server, and the one table from the wire back to errors.

KinemaError (kinema_core.errors)
├── InvalidInputError             the server refused what it was given; names the field
│   ├── FrameOrderError           (kinema_core.errors)
│   └── UnknownModelError         the server has no model of that name
├── MediaError                    the server cannot read a film, or not write it (kinema_core.errors)
├── KeptWorkError                 what an interrupted film has kept is of another job, or in use
└── ClientError
    ├── ServerUnavailableError    nothing answers there, or it went away
    │   └── ServerDrainingError   it is being stopped, and another is to take the call
    ├── AccessDeniedError         the server wants a key, or another one
    ├── ServerBusyError           the server has no place for another stream or photograph now
    ├── ServerFailedError         the server, or its model, failed
    └── ProtocolError             what answers there is no Kinema server, or one of another version
"""

from collections.abc import Mapping
from typing import Final, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from kinema_core.errors import FrameOrderError, InvalidInputError, KinemaError, MediaError

_DETAILS_KEY: Final = "grpc-status-details-bin"

MessageT = TypeVar("MessageT", bound=Message)


class UnknownModelError(InvalidInputError):
    """The server has no model of that name."""


class KeptWorkError(KinemaError):
    """What an interrupted film has kept is of another job, or another process is at work on it."""


class ClientError(KinemaError):
    """Something went wrong between the client and its server."""


class ServerUnavailableError(ClientError):
    """Nothing answers there, or it went away."""


class ServerDrainingError(ServerUnavailableError):
    """The server is being stopped, and another is to take the call."""


class AccessDeniedError(ClientError):
    """The server wants a key, or another one."""


class ServerBusyError(ClientError):
    """The server has no place for another stream or photograph now.

    `retry_seconds` is when to ask again, as the server has it; None where it does not say.
    """

    def __init__(self, message: str, *, retry_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class ServerFailedError(ClientError):
    """The server, or its model, failed."""


class ProtocolError(ClientError):
    """What answers there is no Kinema server, or one of another version."""


_INVALID: Final = {"FRAME_ORDER": FrameOrderError, "UNKNOWN_MODEL": UnknownModelError}
"""What was wrong, by the reason that the server gives; all else is plain InvalidInputError."""

_FAILED: Final[Mapping[str | grpc.StatusCode, tuple[type[ClientError], str]]] = {
    "DRAINING": (ServerDrainingError, "the server at {target} takes nothing new: {details}"),
    grpc.StatusCode.UNAVAILABLE: (
        ServerUnavailableError,
        "no Kinema server answers at {target} ({details}); start one with `kinema serve`, or check the address",
    ),
    grpc.StatusCode.CANCELLED: (
        ServerUnavailableError,
        "the server at {target} broke off, as one that stops ({details})",
    ),
    grpc.StatusCode.UNIMPLEMENTED: (ProtocolError, "what answers at {target} does not offer this: {details}"),
}
"""By the reason that the server gives, else by status."""


def error_from_rpc(error: grpc.RpcError, target: str) -> KinemaError:
    """Return the error that a failed call to `target` stands for."""
    call = cast("grpc.Call", error)  # what a call raises is the call itself
    code, details = call.code(), call.details() or "no reason given"
    status = _rich_status(call)
    reason = _unpack(status, ErrorInfo()).reason
    violations = _unpack(status, BadRequest()).field_violations
    if violations:
        return _INVALID.get(reason, InvalidInputError)(violations[0].field, violations[0].description)
    if reason == "INVALID_MEDIA":
        return MediaError(details)
    if reason == "BUSY":
        delay = _unpack(status, RetryInfo()).retry_delay
        return ServerBusyError(
            f"the server at {target} is busy: {details}", retry_seconds=delay.ToTimedelta().total_seconds() or None
        )
    if code in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}:
        return AccessDeniedError(f"the server at {target} lets nobody do this without the right key: {details}")
    if code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}:
        # Of gRPC itself, as a rule: a message is larger than the server takes.
        return InvalidInputError("request", f"{target} does not take it: {details}")
    failure, message = _FAILED.get(reason) or _FAILED.get(
        code, (ServerFailedError, "the server at {target} failed ({code}): {details}")
    )
    return failure(message.format(target=target, code=code.name, details=details))


def _rich_status(call: grpc.Call) -> Status:
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return Status.FromString(value)
            except DecodeError:
                break
    return Status()


def _unpack(status: Status, detail: MessageT) -> MessageT:
    """Return the detail of that type, or the empty one that was given."""
    for packed in status.details:
        if packed.Unpack(detail):
            break
    return detail
