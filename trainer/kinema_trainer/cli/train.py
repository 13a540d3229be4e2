"""`kinema train`."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

if TYPE_CHECKING:  # importing these takes seconds, and --help needs none of them
    from kinema_trainer.data.training_set import TrainingSet
    from kinema_trainer.recipes.recipe import Recipe
    from kinema_trainer.training.callbacks import Progress as StepProgress

RECIPES = "default, cwgan_gp_resunet, pix2pix_cifar10 or attention_unet_perceptual"
"""For the help text: the list itself needs torch to import."""

SHOWN = ("loss", "critic_loss", "wasserstein", "gradient_norm", "discriminator_accuracy", "learning_rate")
"""What the progress line tells, where it is measured."""

console = Console()


def train(
    recipe: Annotated[str, typer.Argument(help=f"{RECIPES}.")],
    data: Annotated[Path, typer.Option(exists=True, help="Tar shards, photographs or CIFAR-10; val* is only scored.")],
    out: Annotated[Path | None, typer.Option(help="Checkpoints and records go here.  [default: runs/RECIPE]")] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Shrink or stretch the recipe to so many steps.", show_default=False)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe, as network.is_residual=false; repeatable."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from last.pt in OUT, where there is one.")] = False,
    start_from: Annotated[
        Path | None, typer.Option(exists=True, help="Begin with the generator of this checkpoint, or bundle.")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Processes, one a device; two and more train by DDP.")] = 1,
    num_workers: Annotated[int, typer.Option(min=0, help="Processes that make batches, for each device.")] = 1,
    max_minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after so long, in a state to go on from.", show_default=False)
    ] = None,
    find_rate: Annotated[
        bool, typer.Option("--find-rate", help="Try rising learning rates, print a good one, and end.")
    ] = False,
) -> None:
    """Train a model. Ctrl-C ends the step in hand and leaves a checkpoint that --resume goes on from."""
    from kinema_trainer.recipes import load_recipe
    from kinema_trainer.recipes.recipe import override
    from kinema_trainer.training.callbacks import End
    from kinema_trainer.training.run import Machine
    from kinema_trainer.training.run import train as run

    _quiet_lightning()
    chosen = override(load_recipe(recipe), settings or [])
    chosen = chosen.with_max_steps(max_steps) if max_steps else chosen
    out = out or Path("runs") / recipe
    if find_rate:
        _find_rate(chosen, data, num_workers, accelerator)
        return
    machine = Machine(
        accelerator=accelerator, devices=devices, num_workers=num_workers, max_minutes=max_minutes
    )  # fmt: skip
    with _Bar(recipe, chosen.max_steps) as bar:
        result = run(
            chosen, data=data, out=out, machine=machine, resume=resume, start_from=start_from,
            on_photos=bar.show_photos, on_progress=bar.show,
        )  # fmt: skip
    if not result.is_first_process:
        return
    best = "" if result.best.ab_psnr is None else f"; best ab-PSNR {result.best.ab_psnr:.2f} dB at {result.best.step}"
    console.print(f"{result.end.value} at step {result.step} of {chosen.max_steps}{best}")
    console.print(f"checkpoint: {result.checkpoint}")
    if result.end in {End.INTERRUPTED, End.OUT_OF_TIME}:
        console.print("go on with the same command and --resume")
    if result.end is End.INTERRUPTED:
        raise typer.Exit(130)


class _Bar:
    """The live view of a run: a bar, the time left, the losses of late and the best score so far."""

    def __init__(self, name: str, max_steps: int) -> None:
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=12),
            # On a narrow terminal the losses give way, not how far the run is and how long it will take.
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=2 * len(str(max_steps)) + 1)),
            TimeRemainingColumn(elapsed_when_finished=True, table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("{task.fields[shown]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
        )
        self.progress = Progress(*columns, console=console, refresh_per_second=2, speed_estimate_period=600)
        self.task: TaskID = self.progress.add_task(name, total=max_steps, shown="loading photographs")

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def show_photos(self, photos: "TrainingSet") -> None:
        """Show how many photographs there are."""
        console.print(f"{len(photos.photos)} photographs to train on, {len(photos.validation)} to score on")
        self.progress.update(self.task, shown="first steps")

    def show(self, at: "StepProgress") -> None:
        """Show how far the run is."""
        names = [name for name in SHOWN if name in at.means]
        shown = "  ".join(f"{name.replace('_', ' ')} {at.means[name]:.3g}" for name in names)
        best = "" if at.best_ab_psnr is None else f"best {at.best_ab_psnr:.2f} dB  "
        self.progress.update(self.task, completed=at.step, shown=f"{best}{at.stage}  {shown}")


def _find_rate(recipe: "Recipe", data: Path, num_workers: int, accelerator: str) -> None:
    from kinema_trainer.training.rate_finder import find_rate

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("finding a rate", total=None)
        found = find_rate(
            recipe,
            data,
            num_workers=num_workers,
            accelerator=accelerator,
            on_step=lambda done, of: progress.update(task, completed=done, total=of),
        )
    table = Table("learning rate", "loss")
    for rate, loss in found.shown():
        table.add_row(f"{rate:.2e}", f"{loss:.4f}")
    console.print(table)
    console.print(f"the loss falls fastest at {found.suggestion:.2e}; use it with --set optimizer.learning_rate=...")


def _quiet_lightning() -> None:
    """Silence PyTorch Lightning where it speaks of what Kinema does itself: workers, bars, logs, checkpoints."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", module="lightning_fabric")
