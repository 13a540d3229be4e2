"""Kinema's client library: grey frames to a server, and back in colour.

with Client("localhost:50051") as kinema:
    for frame in kinema.colorize_frames(film):
        ...
"""

from kinema_client.answers import Accepted, Model, Summary, Timings, VideoAccepted, VideoSummary
from kinema_client.async_client import AsyncClient, AsyncColorStream, AsyncVideoStream
from kinema_client.client import Client
from kinema_client.errors import (
    AccessDeniedError,
    ClientError,
    ProtocolError,
    ServerBusyError,
    ServerDrainingError,
    ServerFailedError,
    ServerUnavailableError,
    UnknownModelError,
)
from kinema_client.security import Tls
from kinema_client.stream import ColorStream
from kinema_client.video import VideoStream

__all__ = [
    "Accepted",
    "AccessDeniedError",
    "AsyncClient",
    "AsyncColorStream",
    "AsyncVideoStream",
    "Client",
    "ClientError",
    "ColorStream",
    "Model",
    "ProtocolError",
    "ServerBusyError",
    "ServerDrainingError",
    "ServerFailedError",
    "ServerUnavailableError",
    "Summary",
    "Timings",
    "Tls",
    "UnknownModelError",
    "VideoAccepted",
    "VideoStream",
    "VideoSummary",
]
