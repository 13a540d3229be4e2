"""`kinema export`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

if TYPE_CHECKING:
    from kinema_core.bundle import Bundle
    from kinema_core.engines.engine import Precision
    from kinema_core.engines.tensorrt import Machine

console = Console()

CheckpointArgument = Annotated[
    Path | None, typer.Argument(exists=True, help="A checkpoint of `kinema train`; with --engine alone there is none.")
]
BundleArgument = Annotated[Path | None, typer.Argument(help="The bundle's folder; must not be there yet.")]
EngineOption = Annotated[
    Literal["tensorrt", "tensorrt-rtx"] | None,
    typer.Option(
        help="Build the bundle's plan for this machine's GPU, too, as `kinema compile` does; without a checkpoint the "
        "plan of the model that ships."
    ),
]
PrecisionOption = Annotated[
    Literal["f32", "f16", "bf16", "int8"], typer.Option(help="What the plan of --engine computes in.")
]
LicenceOption = Annotated[str, typer.Option(help="The licence of the weights, as an SPDX expression.")]
ScoresOption = Annotated[
    Path | None, typer.Option(exists=True, help="What `kinema evaluate --json` wrote of this model, for its card.")
]
PhotosOption = Annotated[
    Path | None,
    typer.Option(exists=True, help="Validation photographs to compare engines and INT8 on; --int8 needs them."),
]
LimitOption = Annotated[int, typer.Option(min=1, help="Take so many of --photos, evenly spread.")]
CalibrationOption = Annotated[
    Path | None, typer.Option(exists=True, help="Training photographs for --int8; what is held out there is not used.")
]
NumCalibrationOption = Annotated[int, typer.Option(min=1, help="Draw so many of --calibration.")]
FirstOption = Annotated[
    int | None,
    typer.Option(min=0, help="Leave so many convolutions, from the input on, in f32; by default as few as pass."),
]
UncheckedOption = Annotated[
    bool, typer.Option("--unchecked", help="Write the bundle even where no engine runs that it could be checked on.")
]
TimingOption = Annotated[str, typer.Option(help="How long a frame takes and on what, in a sentence, for the card.")]
TrainingOption = Annotated[
    str, typer.Option(help="Command, machine, time and energy of the training, in a sentence, for the card.")
]
FailuresOption = Annotated[
    Path | None, typer.Option(exists=True, help="A Markdown file on what the model gets wrong, for the card.")
]
WorkingSizeOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="Side of the pictures that the model is at its best on; by default what it was scored on."
    ),
]


def export(
    checkpoint: CheckpointArgument = None,
    bundle: BundleArgument = None,
    name: Annotated[str, typer.Option(help="The model's name.")] = "default",
    version: Annotated[str, typer.Option(help="The model's version.")] = "1",
    data: Annotated[str, typer.Option(help="What it was trained on, in a sentence.")] = "",
    licence: LicenceOption = "Apache-2.0",
    timing: TimingOption = "",
    training: TrainingOption = "",
    failures: FailuresOption = None,
    working_size: WorkingSizeOption = None,
    ab_gain: Annotated[float, typer.Option(min=0, max=2, help="Factor on the network's ab.")] = 1.0,
    scores: ScoresOption = None,
    photos: PhotosOption = None,
    limit: LimitOption = 200,
    int8: Annotated[bool, typer.Option("--int8", help="Add a form in 8 bits, unless it loses too much.")] = False,
    calibration: CalibrationOption = None,
    num_calibration: NumCalibrationOption = 128,
    int8_first_f32: FirstOption = None,
    is_unchecked: UncheckedOption = False,
    engine: EngineOption = None,
    precision: PrecisionOption = "f32",
) -> None:
    """Export a checkpoint as a model bundle.

    Every engine that runs here must colour as torch does, and the INT8 form nearly as well as the f32 one; otherwise
    nothing is written. With --engine a GPU is looked for before anything else is done.
    """
    if (checkpoint is None or bundle is None) and (engine is None or checkpoint is not None):
        raise typer.BadParameter("give CHECKPOINT and BUNDLE, or --engine alone for the plan of the model that ships")
    if int8 and (photos is None or calibration is None):
        raise typer.BadParameter("--int8 needs --calibration (training photographs) and --photos (validation ones)")
    from kinema_core.bundle import load_bundle
    from kinema_core.engines.tensorrt import find_machine

    machine = find_machine(engine) if engine else None
    if checkpoint is None or bundle is None:
        assert machine is not None, "that --engine is given was seen above"
        _keep_plan(machine, load_bundle(), precision)
        return
    from kinema_trainer.evaluation.photo_set import read_photo_set
    from kinema_trainer.export.export import Checks, export_bundle
    from kinema_trainer.export.int8 import read_calibration
    from kinema_trainer.export.labels import Labels
    from kinema_trainer.export.quantize import PLANS, first_in_f32
    from kinema_trainer.training.checkpoints import load_trained_network

    evaluation: dict[str, Any] | None = json.loads(scores.read_text(encoding="utf-8")) if scores else None
    size = working_size or load_trained_network(checkpoint).recipe.score_size
    labels = Labels(
        name=name, version=version, data=data, licence=licence, timing=timing, training=training, working_size=size,
        failures=failures.read_text(encoding="utf-8") if failures else "",
    )  # fmt: skip
    with console.status("reading") as status:
        checks = Checks(
            photos=read_photo_set(photos, size=size, limit=limit) if photos else None,
            calibration=read_calibration(calibration, size, num_photos=num_calibration)
            if int8 and calibration else None,
            plans=PLANS if int8_first_f32 is None else (first_in_f32(int8_first_f32),),
            is_engine_needed=not is_unchecked,
        )  # fmt: skip
        written = export_bundle(
            checkpoint, bundle, labels, checks, ab_gain=ab_gain, evaluation=evaluation, on_step=status.update
        )
    for score, value in written.manifest.scores.items():
        if score.startswith(("parity.", "int8.")):
            console.print(f"{score}: {value:.4g}")
    console.print(f"bundle: {bundle} ({written.digest[:12]}), {', '.join(written.forms)}")
    if machine is not None:
        _keep_plan(machine, written, precision)


def _keep_plan(machine: "Machine", bundle: "Bundle", precision: "Precision") -> None:
    from kinema_core.engines.tensorrt import keep_plan

    with console.status("building"):
        result = keep_plan(machine, bundle, precision)
    console.print(f"plan: {result}")
