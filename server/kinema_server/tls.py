"""Certificates, read anew when their files change: a certificate that is renewed needs no restart."""

import contextlib
import logging
import ssl
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import grpc

from kinema_server.errors import StartError
from kinema_server.x509 import not_after

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a server's certificate is, all in PEM."""

    certificate: Path
    """The server's chain, its own certificate first."""
    key: Path
    client_ca: Path | None = None
    """Who signs the clients' certificates; None where clients need none."""


class Certificate:
    """A certificate that follows its files.

    While these do not fit together, as in the middle of a renewal, what was read last is used.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Read the files.

        Raises:
            StartError: a file cannot be read, or certificate and key do not belong together.
        """
        self._files = files
        self._lock = threading.Lock()
        self._seen = self._state()
        self._configuration, self._not_after = self._read()
        self._given: grpc.ServerCertificateConfiguration = self._configuration

    def credentials(self) -> grpc.ServerCredentials:
        """Make credentials that follow the files."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration,
            self._configuration_if_changed,  # type: ignore[arg-type]  # None for no change, as gRPC's own documentation says
            require_client_authentication=self._files.client_ca is not None,
        )

    def not_after(self) -> datetime:
        """Tell when the certificate ends that the next connection gets."""
        with self._lock:
            self._refresh()
            return self._not_after

    def _configuration_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Read the files if they changed; called with each new connection, on a thread of gRPC's."""
        with self._lock:
            self._refresh()
            if self._configuration is self._given:
                return None
            self._given = self._configuration
            return self._given

    def reload(self) -> None:
        """Read the files anew.

        Raises:
            StartError: as above; what was read last stays.
        """
        with self._lock:
            self._reload()

    def _refresh(self) -> None:
        if self._state() != self._seen:
            with contextlib.suppress(StartError):
                self._reload()

    def _reload(self) -> None:
        state = self._state()
        try:
            self._configuration, self._not_after = self._read()
        except StartError as error:
            logger.warning("certificate_not_reloaded", extra={"reason": str(error)})
            raise
        self._seen = state
        logger.info("certificate_reloaded")

    def _read(self) -> tuple[grpc.ServerCertificateConfiguration, datetime]:
        files = self._files
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(files.certificate, files.key)
            client_ca = files.client_ca.read_bytes() if files.client_ca is not None else None
            pair = (files.key.read_bytes(), files.certificate.read_bytes())
            expires = not_after(pair[1])
        except (OSError, ssl.SSLError, ValueError) as error:
            raise StartError(f"the certificate {files.certificate} and its key cannot be used: {error}") from error
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=client_ca), expires

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
