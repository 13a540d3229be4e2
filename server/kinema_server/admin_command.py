"""`kinema admin`: what an operator does to a running server."""

from typing import Annotated, Any, Literal

import grpc
import typer
from rich.console import Console
from rich.table import Table

from kinema.v1 import admin_pb2 as pb
from kinema.v1 import admin_pb2_grpc as pb_grpc
from kinema_core.errors import InvalidInputError
from kinema_server.errors import ServerError

_TIMEOUT_SECONDS = 10.0


class AdminError(ServerError):
    """The server does not do what an operator wants."""


def admin(
    action: Annotated[
        Literal["streams", "end", "reload"],
        typer.Argument(help="List streams, end one, or read keys, certificate and secret anew."),
    ],
    number: Annotated[int | None, typer.Argument(min=1, help="Of the stream that is to end.")] = None,
    server: Annotated[
        str, typer.Option("--server", metavar="HOST:PORT", help="The server's admin port.")
    ] = "localhost:50053",
    key: Annotated[str, typer.Option("--key", envvar="KINEMA_ADMIN_KEY", help="An operator's key.")] = "",
) -> None:
    """List or end the streams of a running server, or have it read its files anew."""
    if (action == "end") != (number is not None):
        raise InvalidInputError("number", "is needed to end a stream, and for nothing else; `kinema admin streams`")
    metadata = (("authorization", f"Bearer {key}"),)
    try:
        with grpc.insecure_channel(server) as channel:
            _act(pb_grpc.AdminStub(channel), number, metadata, action)
    except grpc.RpcError as error:
        call: Any = error  # what a call raises is the call itself
        raise AdminError(f"the admin port {server} answers {call.code().name}: {call.details()}") from error


def _act(stub: pb_grpc.AdminStub, number: int | None, metadata: tuple[tuple[str, str], ...], action: str) -> None:
    if action == "streams":
        listed = stub.ListStreams(pb.ListStreamsRequest(), metadata=metadata, timeout=_TIMEOUT_SECONDS)
        Console().print(_table(listed))
    elif action == "end":
        stub.EndStream(pb.EndStreamRequest(number=number or 0), metadata=metadata, timeout=_TIMEOUT_SECONDS)
        typer.echo(f"stream {number} was ended")
    else:
        reloaded = stub.Reload(pb.ReloadRequest(), metadata=metadata, timeout=_TIMEOUT_SECONDS)
        for file in reloaded.files:
            typer.echo(f"{file.name}: {file.complaint or 'good'}")
        if any(file.complaint for file in reloaded.files):
            raise AdminError("what was read before is used where a file is not good")


def _table(listed: pb.ListStreamsResponse) -> Table:
    table = Table("no.", "kind", "client", "size", "seconds", "in flight", "received", "answered", "cuts")
    for stream in listed.streams:
        told = (
            stream.number,
            stream.kind,
            stream.client or "-",
            f"{stream.width}x{stream.height}",
            f"{stream.seconds:.0f}",
            f"{stream.in_flight}/{stream.credits}",
            stream.num_received,
            stream.num_answered,
            stream.num_cuts,
        )
        table.add_row(*map(str, told))
    return table
