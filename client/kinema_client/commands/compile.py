"""`kinema compile`."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from kinema_client.commands.options import BundleOption, Precision
from kinema_core.errors import InvalidInputError

CompiledEngine = Literal["tensorrt", "tensorrt-rtx"]

EngineOption = Annotated[CompiledEngine, typer.Option(help="What the plan is for.")]
PrecisionOption = Annotated[Precision, typer.Option(help="What the model is computed in.")]
ReportOption = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write there what TensorRT's inspector tells, as JSON.")
]
CheckOption = Annotated[
    bool,
    typer.Option(
        "--check", help="Only see whether the model can be built, for every GPU that TensorRT-RTX lists; needs no GPU."
    ),
]


def compile_model(
    model: BundleOption = None,
    engine: EngineOption = "tensorrt",
    precision: PrecisionOption = "f32",
    report: ReportOption = None,
    is_check: CheckOption = False,
) -> None:
    """Build a model's plan for this machine's GPU ahead of its first use, and check it.

    The plan is kept in this user's cache, where `kinema colorize` and `kinema serve` find it; it is for this machine
    alone.
    """
    from kinema_core.bundle import load_bundle

    bundle = load_bundle(model)
    began = time.perf_counter()
    with Console(stderr=True).status("building ..."):
        if is_check:
            if engine != "tensorrt-rtx" or report is not None:
                raise InvalidInputError("check", "is for --engine tensorrt-rtx, and has no --report: both need a GPU")
            from kinema_core.engines.tensorrt import build_for_all

            num_bytes, targets = build_for_all(bundle, precision)
            result = f"can be built for {', '.join(targets)}: {num_bytes:,} bytes; nothing was kept"
        else:
            from kinema_core.engines.tensorrt import find_machine, keep_plan

            result = keep_plan(find_machine(engine), bundle, precision, report)
    manifest = bundle.manifest
    typer.echo(f"{manifest.name} {manifest.version} {precision}, {time.perf_counter() - began:.1f} s: {result}")
