"""The trainer's commands: `kinema train`, `export`, `evaluate` and `models`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from kinema_core.bundle import list_bundles, load_bundle
from kinema_core.engines.select import open_engine
from kinema_core.errors import InvalidInputError
from kinema_trainer.evaluate import Evaluation, evaluate_photos

console = Console()

EngineOption = Annotated[str, typer.Option(help="auto, openvino or onnxruntime.")]
ModelOption = Annotated[Path | None, typer.Option(help="A bundle's folder; the default model if absent.")]


def train(
    recipe: Annotated[str, typer.Argument(help="The recipe: default.")],
    data: Annotated[Path, typer.Option(exists=True, help="Tar shards (val-* are only scored) or photographs.")],
    out: Annotated[Path, typer.Option(help="Checkpoints and log.csv go here.")] = Path("runs/default"),
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="End the run at this step; the recipe's if absent.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in OUT.")] = False,
) -> None:
    """Train a model. Ctrl-C leaves a checkpoint that --resume goes on from."""
    from kinema_trainer.recipes.default import RECIPE
    from kinema_trainer.train import Progress as StepProgress
    from kinema_trainer.train import train as run

    if recipe != RECIPE.name:
        raise InvalidInputError("recipe", f"must be {RECIPE.name!r}, got {recipe!r}")
    chosen = RECIPE.with_max_steps(max_steps) if max_steps else RECIPE
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("loss {task.fields[loss]}  rate {task.fields[rate]}  best ab-PSNR {task.fields[best]}"),
    )
    with Progress(*columns, console=console, refresh_per_second=1) as progress:
        task = progress.add_task(recipe, total=chosen.max_steps, loss="-", rate="-", best="-")

        def show(at: StepProgress) -> None:
            best = "-" if at.best_ab_psnr is None else f"{at.best_ab_psnr:.2f} dB"
            progress.update(
                task, completed=at.step, loss=f"{at.loss:.3f}", rate=f"{at.learning_rate:.1e}", best=best
            )  # fmt: skip

        try:
            checkpoint = run(chosen, data=data, out=out, resume=resume, on_step=show)
        except KeyboardInterrupt as err:
            console.print(f"interrupted; go on from {out} with --resume")
            raise typer.Exit(130) from err
    console.print(f"checkpoint: {checkpoint}")


def export(
    checkpoint: Annotated[Path, typer.Argument(exists=True, help="A checkpoint of `kinema train`.")],
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder; must not be there yet.")],
    name: Annotated[str, typer.Option(help="The model's name.")] = "default",
    version: Annotated[str, typer.Option(help="The model's version.")] = "1",
    data: Annotated[str, typer.Option(help="What it was trained on, in a sentence.")] = "",
    licence: Annotated[str, typer.Option(help="The licence of the weights, as an SPDX expression.")] = "Apache-2.0",
    ab_gain: Annotated[float, typer.Option(min=0, max=2, help="Factor on the network's ab.")] = 1.0,
    scores: Annotated[
        Path | None, typer.Option(exists=True, help="What `kinema evaluate --json` wrote of this model, for its card.")
    ] = None,
) -> None:
    """Export a checkpoint as a model bundle."""
    from kinema_trainer.export import export_bundle

    evaluation = json.loads(scores.read_text()) if scores else None
    export_bundle(
        checkpoint, bundle, name=name, version=version, data=data, licence=licence, ab_gain=ab_gain,
        evaluation=evaluation,
    )  # fmt: skip
    console.print(f"bundle: {bundle} ({load_bundle(bundle).digest[:12]})")


def evaluate(
    photos: Annotated[Path, typer.Option(exists=True, help="A folder of photographs or tar shards, or one tar.")],
    model: ModelOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every score here.")] = None,
    size: Annotated[int, typer.Option(min=32, help="The central square is scaled to this side, in pixels.")] = 256,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only so many photographs, evenly spread.")] = None,
    grid: Annotated[Path | None, typer.Option(help="Write a picture of grey, colour and original here.")] = None,
    engine: EngineOption = "auto",
) -> None:
    """Colorize grey versions of colour photographs and compare with the originals."""
    bundle = load_bundle(model)
    chosen = open_engine(bundle, engine)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("evaluating", total=None)
        result = evaluate_photos(
            photos, chosen.engine, bundle, size=size, limit=limit, grid=grid,
            on_photo=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    console.print(_score_table(result))
    for name in result.skipped:
        console.print(f"skipped, not a readable picture: {name}")
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(dataclasses.asdict(result), indent=1) + "\n")
        console.print(f"scores: {json_file}")


def models() -> None:
    """List the model bundles that come with Kinema."""
    table = Table("model", "version", "parameters", "size", "PSNR", "CIEDE2000", "digest")
    for folder in list_bundles():
        bundle = load_bundle(folder)
        manifest = bundle.manifest
        scores = (f"{manifest.scores[name]:.2f}" if name in manifest.scores else "-" for name in ("psnr", "delta_e"))
        table.add_row(
            manifest.name, manifest.version, f"{manifest.num_parameters / 1e6:.1f} M", f"{manifest.working_size} px",
            *scores, bundle.digest[:12],
        )  # fmt: skip
    console.print(table)


def _score_table(result: Evaluation) -> Table:
    table = Table("score", title=f"{result.num_photos} photographs at {result.size} px")
    for method in result.methods:
        table.add_column(method, justify="right")
    by_method = [dataclasses.asdict(scores) for scores in result.methods.values()]
    for score in by_method[0]:
        if score != "num_photos":
            table.add_row(score, *(f"{scores[score]:.3f}" for scores in by_method))
    return table
