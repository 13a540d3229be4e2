"""The end of a call that is refused or failed."""

from typing import Any

import grpc
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status


async def abort(context: "grpc.aio.ServicerContext[Any, Any]", status: Status) -> None:
    """Tell the client why; return at once from the method then.

    gRPC (1.85) keeps what `context.abort` raised in some of the last calls, eight as a rule, until later ones take
    their place, and by its traceback all that such a call held: a stream's frames and state. So it is caught here and
    emptied; gRPC ends the call with it all the same.
    """
    sent = rpc_status.to_status(status)
    try:
        await context.abort(sent.code, sent.details, sent.trailing_metadata)
    except grpc.aio.AbortError as aborted:
        aborted.__traceback__ = aborted.__context__ = None
