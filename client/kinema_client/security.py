"""How a client knows its server, and its server the client."""

from dataclasses import dataclass
from pathlib import Path

import grpc

from kinema_core.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Tls:
    """An encrypted connection; all files are PEM."""

    ca: Path | None = None
    """Who signs the server's certificate; None for those whom gRPC trusts by itself."""
    certificate: Path | None = None
    """The client's own, for a server that asks for one."""
    key: Path | None = None
    """Its key."""


def credentials_for(tls: Tls | None, api_key: str | None) -> grpc.ChannelCredentials | None:
    """Make what a channel needs; None for one without encryption.

    Raises:
        InvalidInputError: a key without encryption, a certificate without its key, or a file that cannot be read.
    """
    if tls is None:
        if api_key is not None:
            raise InvalidInputError("api_key", "is sent over encrypted connections only; give `tls` (--tls), too")
        return None
    if (tls.certificate is None) != (tls.key is None):
        raise InvalidInputError("tls.key", "belongs to tls.certificate: give both, or neither")
    credentials = grpc.ssl_channel_credentials(*(_read(file) for file in (tls.ca, tls.key, tls.certificate)))
    if api_key is None:
        return credentials
    return grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(api_key))


def _read(file: Path | None) -> bytes | None:
    try:
        return file.read_bytes() if file is not None else None
    except OSError as error:
        raise InvalidInputError("tls", f"{file} cannot be read: {error.strerror}") from error
