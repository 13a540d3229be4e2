"""`kinema serve`."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from kinema_core.engines.engine import Precision
from kinema_core.engines.select import ENGINE_NAMES
from kinema_core.log_fields import FieldsFormatter
from kinema_server.app import RunningServer, running_server, serve_until_signal
from kinema_server.settings import Settings, settings_from


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
    handler = logging.StreamHandler()
    handler.setFormatter(FieldsFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)  # a command line logs in its own way
    settings = settings_from(
        os.environ,
        host=host,
        port=port,
        metrics_port=metrics_port,
        model=model,
        engine=engine,
        precision=precision,
        num_threads=num_threads,
        credits=num_credits,
    )
    asyncio.run(serve_until_signal(running_server(settings), _announce))


def _announce(server: RunningServer) -> None:
    manifest = server.bundle.manifest
    typer.echo(f"Kinema serves on {server.address}")
    typer.echo(f"  model {manifest.name} {manifest.version}, {server.engine.name} {server.engine.precision}")
    if server.metrics_port is not None:
        typer.echo(f"  metrics on http://{server.host}:{server.metrics_port}/metrics")
    typer.echo("  stop with Ctrl-C")
