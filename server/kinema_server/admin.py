"""What an operator does to a server: its own service, on its own port, with keys of its own."""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol, TypeAlias

import grpc

from kinema.v1 import admin_pb2 as pb
from kinema.v1 import admin_pb2_grpc as pb_grpc
from kinema_server.aborting import abort
from kinema_server.access import AccessControl, Refusal, caller
from kinema_server.errors import StartError, UnknownStreamError, error_to_status, is_servers_fault
from kinema_server.keys import KeyRing
from kinema_server.listening import listen, server_options
from kinema_server.reflection import add_reflection
from kinema_server.request_ids import begin_request
from kinema_server.settings import Settings
from kinema_server.watches import Watch, Watches

logger = logging.getLogger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["Admin"].full_name
METHODS = frozenset(method.name for method in pb.DESCRIPTOR.services_by_name["Admin"].methods)
"""What an operator's key may be limited to."""
HOST = "127.0.0.1"
"""Never another: who administers a server is on its machine, or comes through something that knows him, as
`kubectl port-forward`."""
_MAX_MESSAGE_BYTES = 4096
_MAX_CALLS = 8

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Reloadable(Protocol):
    """Something that a file says."""

    def reload(self) -> None:
        """Read the file.

        Raises:
            StartError: it cannot be used; what was read last stays.
        """


@contextlib.asynccontextmanager
async def admin_server(
    settings: Settings, watches: Watches, files: Mapping[str, Reloadable | None], on_refused: Callable[[Refusal], None]
) -> AsyncIterator[int | None]:
    """Serve `kinema.v1.Admin`, if that is wanted; yields the port.

    Raises:
        StartError: the port is taken, or the file of keys cannot be used.
    """
    if settings.admin_port is None or settings.admin_keys is None:
        yield None
        return
    keys = KeyRing(settings.admin_keys, METHODS)
    known: dict[str, Reloadable] = {"admin keys": keys} | {name: file for name, file in files.items() if file}
    options = server_options(settings, max_message_bytes=_MAX_MESSAGE_BYTES)
    access = AccessControl(keys, SERVICE, on_refused)
    server = grpc.aio.server(options=options, interceptors=[access], maximum_concurrent_rpcs=_MAX_CALLS)
    pb_grpc.add_AdminServicer_to_server(AdminServicer(watches, known), server)
    add_reflection((SERVICE,), server)
    port = listen(server, HOST, settings.admin_port, None)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


class AdminServicer(pb_grpc.AdminServicer):
    """`kinema.v1.Admin`, for the streams and the files of one server."""

    def __init__(self, watches: Watches, files: Mapping[str, Reloadable]) -> None:
        self._watches = watches
        self._files = files

    async def ListStreams(self, request: pb.ListStreamsRequest, context: Context) -> pb.ListStreamsResponse:  # noqa: ARG002, N802
        """List what runs."""
        async with _call(context):
            return pb.ListStreamsResponse(streams=[_stream_to_proto(watch) for watch in self._watches.running])

    async def EndStream(self, request: pb.EndStreamRequest, context: Context) -> pb.EndStreamResponse:  # noqa: N802
        """End a stream or film."""
        async with _call(context):
            if not self._watches.end(request.number):
                raise UnknownStreamError("number", f"must be that of a stream that runs, got {request.number}")
            logger.warning("stream_ended", extra={"number": request.number, "by": _name()})
            return pb.EndStreamResponse()

    async def Reload(self, request: pb.ReloadRequest, context: Context) -> pb.ReloadResponse:  # noqa: ARG002, N802
        """Read the files anew."""
        async with _call(context):
            logger.info("reload", extra={"by": _name()})
            return pb.ReloadResponse(
                files=[pb.ReloadedFile(name=name, complaint=_complaint(file)) for name, file in self._files.items()]
            )


def _stream_to_proto(watch: Watch) -> pb.RunningStream:
    return pb.RunningStream(client=watch.client, **watch.row())


def _complaint(file: Reloadable) -> str:
    try:
        file.reload()
    except StartError as error:
        return str(error)
    return ""


def _name() -> str:
    client = caller.get()
    return client.name if client else ""


@contextlib.asynccontextmanager
async def _call(context: Context) -> AsyncIterator[None]:
    """Give a call its id, and tell why it failed."""
    await context.send_initial_metadata((("x-request-id", begin_request(context.invocation_metadata())),))
    try:
        yield
    except Exception as error:
        if is_servers_fault(error):
            logger.exception("call_failed")
        await abort(context, error_to_status(error))
