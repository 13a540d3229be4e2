"""Who calls: nobody without a key where keys are asked for, and nobody beyond what the key allows."""

import contextlib
import enum
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeAlias

import grpc

from kinema_server.aborting import abort
from kinema_server.errors import ForbiddenError, UnauthenticatedError, error_to_status
from kinema_server.keys import Client, KeyRing
from kinema_server.ledger import Ledger

_HEALTH = "/grpc.health.v1.Health/"
_SCHEME = "Bearer "

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]"

caller: ContextVar[Client | None] = ContextVar("caller", default=None)
"""Whose key the call in hand came with; None where no keys are asked for."""


class Refusal(enum.Enum):
    """Why a call was refused for its key."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    FORBIDDEN = "forbidden"
    """The key is good, but not for this method."""


class AccessControl(grpc.aio.ServerInterceptor):
    """Lets calls pass that come with a key: metadata `authorization: Bearer KEY`. Health checks need none."""

    def __init__(self, keys: KeyRing, service: str, on_refused: Callable[[Refusal], None]) -> None:
        """Ask for `keys`, which may be limited to methods of `service`, by its full name."""
        self._keys = keys
        self._prefix = f"/{service}/"
        self._on_refused = on_refused

    async def intercept_service(
        self,
        continuation: Continuation,
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the method's handler, or one of the same shape that refuses."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_HEALTH):
            return handler
        try:
            caller.set(self._authorize(handler_call_details))
        except (UnauthenticatedError, ForbiddenError) as error:
            return _refusing(handler, error)
        return handler

    def _authorize(self, call: grpc.HandlerCallDetails) -> Client:
        given = [value for key, value in call.invocation_metadata or () if key == "authorization"]
        if len(given) != 1 or not isinstance(given[0], str) or not given[0].startswith(_SCHEME):
            self._on_refused(Refusal.MISSING)
            raise UnauthenticatedError("this server asks for a key: send metadata `authorization: Bearer KEY`")
        client = self._keys.find(given[0].removeprefix(_SCHEME))
        if client is None:
            self._on_refused(Refusal.UNKNOWN)
            raise UnauthenticatedError("the key is not one of this server's; ask its operator for one")
        method = call.method.removeprefix(self._prefix)
        if method != call.method and method not in client.methods:
            self._on_refused(Refusal.FORBIDDEN)
            raise ForbiddenError(f"the key of {client.name} does not allow {method}; it does {_listed(client)}")
        return client


class Quotas:
    """How much of the server each client has."""

    def __init__(self) -> None:
        self._streams = Ledger()
        self._pixels = Ledger()

    @contextlib.contextmanager
    def stream(self, pixels_per_second: int = 0) -> Iterator[None]:
        """Take one of the caller's places for a stream or photograph, and so many of its pixels a second.

        Raises:
            BusyError: there are not so many left.
        """
        client = caller.get()
        if client is None:
            yield
            return
        name, most_streams, most_pixels = client.name, client.max_streams, client.max_pixels_per_second
        with (
            self._streams.taken(
                1, most_streams, f"all {most_streams} streams that {name} may have are open", account=name
            ),
            self._pixels.taken(
                pixels_per_second,
                most_pixels,
                f"the {most_pixels} pixels a second that {name} may send are taken",
                account=name,
            ),
        ):
            yield


def _listed(client: Client) -> str:
    return ", ".join(sorted(client.methods)) or "nothing"


def _refusing(handler: Handler, error: Exception) -> Handler:
    """Make a handler that refuses, of the shape that the client expects."""
    status = error_to_status(error)

    async def refuse(_: object, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        await abort(context, status)

    shapes: dict[tuple[bool, bool], Any] = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    shape = shapes[handler.request_streaming, handler.response_streaming]
    refusing: Handler = shape(refuse)
    return refusing
