"""What the server refuses, and the one table from the domain's errors to the wire.

KinemaError (kinema_core.errors)
├── InvalidInputError
│   ├── UnknownModelError    no model of that name is here
│   └── UnknownStreamError   no stream of that number runs
└── ServerError              the server itself has a reason
    ├── BusyError            every place for streams and photographs is taken
    ├── DrainingError        the server is being stopped, and another takes the call
    ├── EndedError           an operator ended the stream
    ├── UnauthenticatedError the call came without a key that is known
    ├── ForbiddenError       the key does not allow the method
    ├── LateError            a picture's turn came after its deadline; never reaches the wire
    ├── SharedMemoryError    memory that a client offers cannot be used; never reaches the wire
    └── StartError           the server cannot start; never reaches the wire
"""

from collections.abc import Mapping
from typing import NamedTuple

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from kinema_core.errors import EngineError, FrameOrderError, InvalidInputError, KinemaError, MediaError

ERROR_DOMAIN = "kinema.v1"
RETRY_SECONDS = 1
"""When a client that found no place should ask again."""


class UnknownModelError(InvalidInputError):
    """No model of that name is here."""


class UnknownStreamError(InvalidInputError):
    """No stream of that number runs."""


class ServerError(KinemaError):
    """The server itself has a reason to refuse."""


class BusyError(ServerError):
    """Every place for streams and photographs is taken."""


class DrainingError(ServerError):
    """The server is being stopped, and another takes the call."""


class EndedError(ServerError):
    """An operator ended the stream."""


class UnauthenticatedError(ServerError):
    """The call came without a key that is known."""


class ForbiddenError(ServerError):
    """The key does not allow the method."""


class LateError(ServerError):
    """A picture's turn came after its deadline."""


class SharedMemoryError(ServerError):
    """Memory that a client offers cannot be used."""


class StartError(ServerError):
    """The server cannot start."""


class _Row(NamedTuple):
    error: type[Exception]
    code: grpc.StatusCode
    reason: str
    message: str | None
    """What the client reads; None where the error's own message is written for it."""


# The first row that fits counts. An error that is not written for the client gets a message of its own: an engine's
# or a library's text may hold paths of this machine.
_TABLE = (
    _Row(UnknownModelError, grpc.StatusCode.NOT_FOUND, "UNKNOWN_MODEL", None),
    _Row(UnknownStreamError, grpc.StatusCode.NOT_FOUND, "UNKNOWN_STREAM", None),
    _Row(FrameOrderError, grpc.StatusCode.INVALID_ARGUMENT, "FRAME_ORDER", None),
    _Row(InvalidInputError, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT", None),
    _Row(BusyError, grpc.StatusCode.RESOURCE_EXHAUSTED, "BUSY", None),
    _Row(DrainingError, grpc.StatusCode.UNAVAILABLE, "DRAINING", None),
    _Row(EndedError, grpc.StatusCode.ABORTED, "ENDED", None),
    _Row(UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", None),
    _Row(ForbiddenError, grpc.StatusCode.PERMISSION_DENIED, "FORBIDDEN", None),
    _Row(MediaError, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_MEDIA", None),
    _Row(EngineError, grpc.StatusCode.INTERNAL, "ENGINE_FAILED", "the model failed; the server's log says why"),
    _Row(Exception, grpc.StatusCode.INTERNAL, "INTERNAL", "the server failed; its log says why"),
)  # fmt: skip


def error_to_status(error: Exception, metadata: Mapping[str, str] | None = None) -> Status:
    """Return what the client is told of an error: code, message, ErrorInfo and, for invalid input, BadRequest.

    `metadata` goes into the ErrorInfo. Neither a stack trace nor a path of this machine gets out.
    """
    row = next(row for row in _TABLE if isinstance(error, row.error))
    number, _ = row.code.value
    status = Status(code=number, message=row.message or str(error))
    details: list[Message] = [ErrorInfo(reason=row.reason, domain=ERROR_DOMAIN, metadata=metadata)]
    if isinstance(error, InvalidInputError):
        violation = BadRequest.FieldViolation(field=error.field, description=error.reason)
        details.append(BadRequest(field_violations=[violation]))
    if isinstance(error, BusyError):
        details.append(RetryInfo(retry_delay=Duration(seconds=RETRY_SECONDS)))
    for detail in details:
        packed = status.details.add()
        packed.Pack(detail)
    return status


def is_servers_fault(error: Exception) -> bool:
    """Whether an error is the server's own, so that its log has to say why."""
    return next(row for row in _TABLE if isinstance(error, row.error)).code is grpc.StatusCode.INTERNAL
