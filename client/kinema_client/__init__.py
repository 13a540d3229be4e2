"""Kinema's client library: grey frames to a server, and back in colour.

with Client("localhost:50051") as kinema:
    for frame in kinema.colorize_frames(film):
        ...
"""

from kinema_client.answers import Accepted, Model, Summary, Timings
from kinema_client.async_client import AsyncClient, AsyncColorStream
from kinema_client.client import Client
from kinema_client.errors import (
    ClientError,
    ProtocolError,
    ServerBusyError,
    ServerFailedError,
    ServerUnavailableError,
    UnknownModelError,
)
from kinema_client.stream import ColorStream

__all__ = [
    "Accepted",
    "AsyncClient",
    "AsyncColorStream",
    "Client",
    "ClientError",
    "ColorStream",
    "Model",
    "ProtocolError",
    "ServerBusyError",
    "ServerFailedError",
    "ServerUnavailableError",
    "Summary",
    "Timings",
    "UnknownModelError",
]
