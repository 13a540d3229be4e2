"""`kinema serve`."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from kinema_core.engines.engine import Precision
from kinema_core.engines.select import ENGINE_NAMES
from kinema_core.errors import InvalidInputError
from kinema_core.log_fields import FieldsFormatter, JsonFormatter
from kinema_server.allocator import keep_freed_memory
from kinema_server.app import RunningServer, running_server, serve_until_signal
from kinema_server.keys import NAME_RULE, digest_of, is_name, new_key
from kinema_server.request_ids import RequestIds
from kinema_server.settings import LOG_FORMATS, Settings, settings_from

logger = logging.getLogger(__name__)


def _option(flag: str, what: str, default: object) -> Any:
    # The default shown is not one that Typer knows: a flag that was not given must leave the word to the environment.
    variable = f"KINEMA_{flag.removeprefix('--').replace('-', '_').upper()}"
    return typer.Option(flag, help=what, show_default=f"{default}, or {variable}")


_DEFAULTS = Settings()


def serve(
    host: Annotated[str | None, _option("--host", "Address to listen on; 0.0.0.0 for all.", _DEFAULTS.host)] = None,
    port: Annotated[int | None, _option("--port", "Port for gRPC; 0 for any free one.", _DEFAULTS.port)] = None,
    metrics_port: Annotated[
        int | None, _option("--metrics-port", "Port for Prometheus, over HTTP; 0 for any free one.", "no metrics")
    ] = None,
    health_port: Annotated[
        int | None, _option("--health-port", "Port for health checks without certificate or key.", "with the rest")
    ] = None,
    tls_certificate: Annotated[
        Path | None, _option("--tls-cert", "The server's certificate chain, PEM.", "no encryption")
    ] = None,
    tls_key: Annotated[Path | None, _option("--tls-key", "Its key, PEM.", "no encryption")] = None,
    tls_client_ca: Annotated[
        Path | None, _option("--tls-client-ca", "Who signs clients' certificates, PEM.", "clients need none")
    ] = None,
    api_keys: Annotated[
        Path | None, _option("--api-keys", "File of keys that clients may call with.", "they need none")
    ] = None,
    admin_port: Annotated[
        int | None,
        _option("--admin-port", "Port for `kinema admin`, on this machine alone.", "none"),
    ] = None,
    admin_keys: Annotated[
        Path | None, _option("--admin-keys", "File of keys that it may be called with.", "none")
    ] = None,
    resume_secret: Annotated[
        Path | None,
        _option("--resume-secret", "File of secrets that all servers share, to take over each other's streams.", "own"),
    ] = None,
    log_format: Annotated[
        str | None, _option("--log-format", f"Of the log: {', '.join(LOG_FORMATS)}.", _DEFAULTS.log_format)
    ] = None,
    model: Annotated[Path | None, _option("--model", "Folder of a model bundle.", "the model that ships")] = None,
    engine: Annotated[
        str | None, _option("--engine", f"What runs the model: {', '.join(ENGINE_NAMES)}.", _DEFAULTS.engine)
    ] = None,
    precision: Annotated[
        str | None,
        _option("--precision", f"What it computes in: {', '.join(get_args(Precision))}.", _DEFAULTS.precision),
    ] = None,
    num_threads: Annotated[
        int | None, _option("--threads", "Threads of the engine.", "as many as the machine has cores")
    ] = None,
    num_credits: Annotated[
        int | None, _option("--credits", "Frames of one stream in flight at a time.", _DEFAULTS.credits)
    ] = None,
) -> None:
    """Colorize for others: the gRPC service, with health, reflection and metrics."""
    settings = settings_from(
        os.environ,
        host=host,
        port=port,
        metrics_port=metrics_port,
        health_port=health_port,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        api_keys=api_keys,
        admin_port=admin_port,
        admin_keys=admin_keys,
        resume_secret=resume_secret,
        log_format=log_format,
        model=model,
        engine=engine,
        precision=precision,
        num_threads=num_threads,
        credits=num_credits,
    )
    _log_as(settings.log_format)
    if not settings.tls_certificate and (settings.api_keys or not _is_local(settings.host)):
        logger.warning("not_encrypted", extra={"advice": "give --tls-cert and --tls-key, or keep to a trusted network"})
    if settings.keep_memory:
        keep_freed_memory()
    asyncio.run(serve_until_signal(running_server(settings), _announce))


def key(
    name: Annotated[str, typer.Argument(help="Who it is for.")],
) -> None:
    """Make an API key, and the entry for the server's file of keys (`kinema serve --api-keys FILE`)."""
    if not is_name(name):
        raise InvalidInputError("name", f"must be {NAME_RULE}, got {name!r}")
    made = new_key()
    typer.echo(f"# The key, shown this once; send it as `authorization: Bearer KEY`:\n# {made}")
    typer.echo(f'[[key]]\nname = "{name}"\nsha256 = "{digest_of(made)}"')


def _log_as(log_format: str) -> None:
    handler = logging.StreamHandler()
    handler.addFilter(RequestIds())
    if log_format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(FieldsFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)  # a command line logs in its own way


def _is_local(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")


def _announce(server: RunningServer) -> None:
    manifest = server.bundle.manifest
    typer.echo(f"Kinema serves on {server.address}")
    typer.echo(f"  model {manifest.name} {manifest.version}, {server.engine.name} {server.engine.precision}")
    if server.health_port is not None:
        typer.echo(f"  health on {server.host}:{server.health_port}")
    if server.admin_port is not None:
        typer.echo(f"  admin on localhost:{server.admin_port}")
    if server.metrics_port is not None:
        typer.echo(f"  metrics on http://{server.host}:{server.metrics_port}/metrics")
    typer.echo("  stop with Ctrl-C")
