"""Certificates, read anew when their files change: a certificate that is renewed needs no restart."""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from kinema_server.errors import StartError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a server's certificate is, all in PEM."""

    certificate: Path
    """The server's chain, its own certificate first."""
    key: Path
    client_ca: Path | None = None
    """Who signs the clients' certificates; None where clients need none."""


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Make credentials that follow `files`.

    While these do not fit together, as in the middle of a renewal, the last ones that did are used.

    Raises:
        StartError: a file cannot be read, or certificate and key do not belong together.
    """
    watch = _Watch(files)
    return grpc.dynamic_ssl_server_credentials(
        watch.read(),
        watch.read_if_changed,  # type: ignore[arg-type]  # None for no change, as gRPC's own documentation says
        require_client_authentication=files.client_ca is not None,
    )


class _Watch:
    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = self._state()

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Read the files.

        Raises:
            StartError: they cannot be read, or do not belong together.
        """
        files = self._files
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(files.certificate, files.key)
            client_ca = files.client_ca.read_bytes() if files.client_ca is not None else None
            pair = (files.key.read_bytes(), files.certificate.read_bytes())
        except (OSError, ssl.SSLError) as error:
            raise StartError(f"the certificate {files.certificate} and its key cannot be used: {error}") from error
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=client_ca)

    def read_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Read the files if they changed; called with each new connection, on a thread of gRPC's."""
        state = self._state()
        if state == self._seen:
            return None
        try:
            configuration = self.read()
        except StartError as error:
            logger.warning("certificate_not_reloaded", extra={"reason": str(error)})
            return None
        self._seen = state
        logger.info("certificate_reloaded")
        return configuration

    def _state(self) -> tuple[tuple[int, int], ...]:
        """Tell one state of the files from another; a file that is away for a moment is one, too."""
        files = (self._files.certificate, self._files.key, self._files.client_ca)
        states = []
        for file in files:
            try:
                status = file.stat() if file is not None else None
            except OSError:
                status = None
            states.append((status.st_mtime_ns, status.st_ino) if status else (0, 0))
        return tuple(states)
