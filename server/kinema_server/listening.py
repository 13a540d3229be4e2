"""Where a server listens, and what holds for each connection."""

import grpc

from kinema_server.errors import StartError
from kinema_server.settings import Settings
from kinema_server.tls import Certificate


def server_options(settings: Settings, *, max_message_bytes: int | None = None) -> list[tuple[str, int]]:
    """Return gRPC's options for a server: what a peer may send, and when it counts as gone."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes or settings.max_message_bytes),
        ("grpc.keepalive_time_ms", round(settings.keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", round(min(settings.keepalive_seconds, 20) * 1000)),
        ("grpc.http2.ping_timeout_ms", round(min(settings.keepalive_seconds, 20) * 1000)),  # 1.85 goes by this one
        ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a port shared with a stranger
    ]


def listen(server: grpc.aio.Server, host: str, port: int, certificate: Certificate | None) -> int:
    """Listen, encrypted where there is a certificate; return the port.

    Raises:
        StartError: the port is taken or may not be used.
    """
    address = address_of(host, port)
    credentials = certificate.credentials() if certificate is not None else None
    try:
        if credentials is not None:
            return server.add_secure_port(address, credentials)
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise StartError(f"cannot listen on {address}: taken by another program, or not this machine's") from error


def address_of(host: str, port: int) -> str:
    """Return `host:port`, as a client takes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
