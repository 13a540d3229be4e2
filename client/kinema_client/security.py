"""How a client knows its server, and its server the client."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

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


Metadata: TypeAlias = tuple[tuple[str, str], ...]


def credentials_for(tls: Tls | None) -> grpc.ChannelCredentials | None:
    """Make what a channel needs; None for one without encryption.

    Raises:
        InvalidInputError: a certificate without its key, or a file that cannot be read.
    """
    if tls is None:
        return None
    if (tls.certificate is None) != (tls.key is None):
        raise InvalidInputError("tls.key", "belongs to tls.certificate: give both, or neither")
    return grpc.ssl_channel_credentials(*(_read(file) for file in (tls.ca, tls.key, tls.certificate)))


def metadata_for(api_key: str | None, tls: Tls | None) -> Metadata:
    """Make what each call brings along.

    gRPC's credentials of a call would do it by themselves, but they are let go of on a thread of gRPC's own that waits
    for Python's lock, while who closes the channel can hold that and wait for the thread, for ever (gRPC 1.85;
    https://github.com/grpc/grpc/pull/42247).

    Raises:
        InvalidInputError: a key without encryption, or one that cannot be sent.
    """
    if api_key is None:
        return ()
    if tls is None:
        raise InvalidInputError("api_key", "is sent over encrypted connections only; give `tls` (--tls), too")
    if not (api_key.isascii() and api_key.isprintable()):
        raise InvalidInputError("api_key", "must be of printable ASCII, and has other characters")
    return (("authorization", f"Bearer {api_key}"),)


def _read(file: Path | None) -> bytes | None:
    try:
        return file.read_bytes() if file is not None else None
    except OSError as error:
        raise InvalidInputError("tls", f"{file} cannot be read: {error.strerror}") from error
