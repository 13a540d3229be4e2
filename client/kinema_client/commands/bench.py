"""`kinema bench`."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.table import Table

from kinema_client.commands.options import BundleOption, EngineName, Precision
from kinema_core.errors import EngineError, EngineUnavailableError, KinemaError

if TYPE_CHECKING:
    from kinema_core.bundle import Bundle

SIZES = ((360, 640), (720, 1280))
"""(height, width) of the films."""
NUM_FRAMES = 15

Milliseconds = dict[str, dict[str, float]]
"""Of a frame, by stage and then by size, in the order of a frame's way."""


def bench(
    model: BundleOption = None,
    engine: Annotated[
        EngineName, typer.Option(help="Measure this engine alone; auto: every one that runs here.")
    ] = "auto",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers there, too.")
    ] = None,
) -> None:
    """Measure this machine's speed by stage and engine."""
    from kinema_core.bundle import load_bundle

    bundle = load_bundle(model)
    with Console(stderr=True).status("measuring ..."):
        milliseconds, lacks = measure(bundle, engine)
    manifest = bundle.manifest
    typer.echo(f"Milliseconds a frame, each stage by itself, with model {manifest.name} {manifest.version}:")
    _print(milliseconds)
    for lack in lacks:
        typer.echo(f"not measured: {lack}")
    if json_file is not None:
        report: dict[str, object] = {"model": manifest.name, "digest": bundle.digest, "milliseconds": milliseconds}
        _write_json(json_file, report)


def measure(
    bundle: "Bundle",
    engine_name: EngineName = "auto",
    sizes: Sequence[tuple[int, int]] = SIZES,
    num_frames: int = NUM_FRAMES,
) -> tuple[Milliseconds, list[str]]:
    """Time every stage at every size, the model once for each precision of an engine, or of every engine for "auto".

    Returns:
        The numbers, and why engines are not among them.

    Raises:
        EngineUnavailableError: the engine does not run here, or none does.
    """
    from kinema_client.commands.stage_times import synthetic_film, time_engine, time_stages
    from kinema_core.engines.select import open_engine

    films = {f"{width}x{height}": synthetic_film(height, width, num_frames) for height, width in sizes}
    stages: Milliseconds = {}
    engines: Milliseconds = {}
    lacks: dict[str, list[str]] = {}
    names = get_args(EngineName)[1:] if engine_name == "auto" else (engine_name,)
    for name, precision in itertools.product(names, get_args(Precision)):
        try:
            engine = open_engine(bundle, name, precision=precision).engine
        except EngineError as err:
            lacks.setdefault(str(err), []).append(f"{name} {precision}")
            continue
        if engine.precision != precision:
            lacks.setdefault(f"colours otherwise than the CPU here, {engine.precision} is taken", []).append(
                f"{name} {precision}"
            )
            engine.close()
            continue
        try:
            row = {size: time_engine(film, bundle.manifest, engine) for size, film in films.items()}
            engines[f"model: {name} {precision}"] = row
            if not stages:
                times = {size: asdict(time_stages(film, bundle.manifest, engine)) for size, film in films.items()}
                stages = {stage: {size: times[size][stage] for size in films} for stage in times[next(iter(films))]}
        finally:
            engine.close()
    told = [f"{', '.join(who)}: {reason}" for reason, who in lacks.items()]
    if not stages:
        raise EngineUnavailableError(f"nothing runs that could be measured. {'; '.join(told)}")
    return {"prepare": stages.pop("prepare"), **engines, **stages}, told


def _print(milliseconds: Milliseconds) -> None:
    table = Table()
    table.add_column("stage")
    sizes = list(next(iter(milliseconds.values())))
    for size in sizes:
        table.add_column(size, justify="right")
    for stage, row in milliseconds.items():
        table.add_row(stage, *(f"{row[size]:.1f}" for size in sizes))
    Console().print(table)


def _write_json(path: Path, report: dict[str, object]) -> None:
    try:
        path.write_text(json.dumps(report, indent=2) + "\n")
    except OSError as err:
        raise KinemaError(f"{path} cannot be written: {err.strerror}") from err
