"""Options that say which server colorizes, and how it is reached."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinema_client.commands.options import EngineName, Precision

if TYPE_CHECKING:
    from kinema_client.commands.backends import Backend
    from kinema_core.pipeline import Options

Server = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Colorize there instead of here.")]
UseTls = Annotated[bool, typer.Option("--tls", help="Encrypt the connection to the server.")]
TlsCa = Annotated[
    Path | None,
    typer.Option(help="Who signs the server's certificate, PEM.", show_default="gRPC's own"),
]
TlsCertificate = Annotated[Path | None, typer.Option(help="Your own certificate, PEM, for a server that asks.")]
TlsKey = Annotated[Path | None, typer.Option(help="Its key, PEM.")]
ApiKey = Annotated[
    str | None, typer.Option(envvar="KINEMA_API_KEY", help="For a server that asks for one; needs --tls.")
]


@dataclass(frozen=True, slots=True)
class Connection:
    """What was said of the server; all empty where this machine colorizes."""

    server: str | None
    is_encrypted: bool
    tls_ca: Path | None
    tls_certificate: Path | None
    tls_key: Path | None
    api_key: str | None

    def check(self, engine: EngineName, precision: Precision) -> None:
        """See whether the options go together.

        Raises:
            typer.BadParameter: they do not.
        """
        has_tls_files = self.tls_ca or self.tls_certificate or self.tls_key
        if self.server is not None and (engine != "auto" or precision != "f32"):
            raise typer.BadParameter("the server has an engine of its own; leave out --engine and --precision")
        if self.server is None and (self.is_encrypted or has_tls_files):
            raise typer.BadParameter("there is no server to encrypt for; give --server, or leave the --tls options out")
        if not self.is_encrypted and has_tls_files:
            raise typer.BadParameter("--tls-ca, --tls-cert and --tls-key need --tls")

    def open(
        self, model: str | None, engine: EngineName, precision: Precision, options: "Options"
    ) -> AbstractContextManager["Backend"]:
        """Open what colorizes: the server, or an engine here."""
        from kinema_client import Tls
        from kinema_client.commands.backends import local_backend, server_backend

        if self.server is None:
            return local_backend(Path(model) if model else None, engine, precision, options)
        tls = Tls(self.tls_ca, self.tls_certificate, self.tls_key) if self.is_encrypted else None
        return server_backend(self.server, model, options, tls=tls, api_key=self.api_key)
