"""What happens between steps: checkpoints, scores, the record, progress, a gentle stop."""

import enum
import math
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as lightning
import torch

from kinema_trainer.recipes.recipe import Recipe
from kinema_trainer.training.checkpoints import AVERAGE, BEST, LAST, Best, averaged, whole_run, write_checkpoint
from kinema_trainer.training.colorization import Colorization
from kinema_trainer.training.record import Record, RunningMeans
from kinema_trainer.training.scoring import HeldOut, quick_score

RECORD_EVERY = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    step: int
    max_steps: int
    stage: str
    means: dict[str, float]
    """What steps of late measured, averaged."""
    best_ab_psnr: float | None
    """Best score so far on the held-out photographs, in dB; None before the first, or where there are none."""


class End(enum.Enum):
    """Why a run is over."""

    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    OUT_OF_TIME = "out of time"
    OUT_OF_PATIENCE = "no better score for long"


@dataclass(slots=True)
class Run:
    """What the callbacks share."""

    folder: Path
    steps_per_epoch: float
    held_out: HeldOut | None
    photos: str = ""
    """Names the set that is trained on."""
    checkpoint_seconds: float = 120.0
    """Between two writings of `last.pt`."""
    on_progress: Callable[[Progress], None] | None = None
    best: Best = field(default_factory=Best)
    end: End = End.FINISHED
    record: Record | None = None
    """Opened on the first process alone."""


class GoOn(lightning.Callback):
    """Put everything back as the checkpoint has it, and open the record.

    Args:
        run: of these callbacks.
        kept: what `last.pt` holds; None for a new run.
    """

    def __init__(self, run: Run, kept: dict[str, Any] | None) -> None:
        self.run = run
        self.kept = kept

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Restore networks, step and optimizers, which exist from here on."""
        assert isinstance(pl_module, Colorization)
        if self.kept:
            for name in ("network", "average", "critic"):
                if name in self.kept:
                    getattr(pl_module, name).load_state_dict(self.kept[name])
            for optimizer, state in zip(trainer.optimizers, self.kept["optimizers"], strict=True):
                optimizer.load_state_dict(state)
            self.run.best = Best(**self.kept["best"])
            self.kept = None
        pl_module.network.train()
        if trainer.is_global_zero:
            self.run.record = Record(self.run.folder, from_step=pl_module.step)


class KeepRecord(lightning.Callback):
    """Write down, score, and tell how far the run is."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.means = RunningMeans()
        self.since = time.monotonic()
        self.steps_since = 0
        self.shown: dict[str, float] = {}

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Look at what the step measured."""
        assert isinstance(pl_module, Colorization)
        self.means.add(pl_module.measured)
        self.steps_since += 1
        step, recipe = pl_module.step, pl_module.recipe
        is_scored = step % recipe.score_every == 0 or step == recipe.max_steps
        if step % RECORD_EVERY == 0 or is_scored:
            self._write(trainer, pl_module, is_scored=is_scored)
        if trainer.is_global_zero and self.run.on_progress:
            stage = recipe.stage_at(step - 1)[0].kind
            progress = Progress(step, recipe.max_steps, stage, self.shown, self.run.best.ab_psnr)
            self.run.on_progress(progress)
        if is_scored and is_out_of_patience(recipe, step, self.run.best):
            trainer.should_stop = True
            self.run.end = End.OUT_OF_PATIENCE

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002  # Lightning's
        """Close the record."""
        if self.run.record:
            self.run.record.close()

    def on_exception(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        exception: BaseException,  # noqa: ARG002  # Lightning's
    ) -> None:
        """Close the record all the same."""
        self.on_train_end(trainer, pl_module)

    def _write(self, trainer: lightning.Trainer, module: Colorization, *, is_scored: bool) -> None:
        row = {
            name: float(trainer.strategy.reduce(torch.tensor(mean, device=module.device), reduce_op="mean"))
            for name, mean in self.means.take().items()
        }
        self.shown = dict(row)
        row["steps_per_second"] = self.steps_since / max(time.monotonic() - self.since, 1e-9)
        if is_scored and self.run.held_out is not None:
            row |= self._score(trainer, module, self.run.held_out)
        self.since, self.steps_since = time.monotonic(), 0
        if self.run.record:
            stage = module.recipe.stage_at(module.step - 1)[0].kind
            self.run.record.write(module.step, {"epoch": module.step / self.run.steps_per_epoch, "stage": stage, **row})

    def _score(self, trainer: lightning.Trainer, module: Colorization, held_out: HeldOut) -> dict[str, float]:
        """Score on the first process, and tell the others: their BatchNorm statistics may differ a little."""
        found = {"ab_psnr": 0.0, "chroma_part": 0.0}
        if trainer.is_global_zero:
            score = quick_score(module.average, held_out)
            found = {"ab_psnr": score.ab_psnr, "chroma_part": score.chroma_part}
            if self.run.record:
                self.run.record.write_pictures(module.step, held_out, score)
        found = trainer.strategy.broadcast(found)
        best = self.run.best
        if math.isfinite(found["ab_psnr"]) and (best.ab_psnr is None or found["ab_psnr"] > best.ab_psnr):
            best.ab_psnr, best.step = found["ab_psnr"], module.step
            if trainer.is_global_zero:
                write_checkpoint(self.run.folder / BEST, averaged(module.recipe, module.step, module.average))
        return found


def is_out_of_patience(recipe: Recipe, step: int, best: Best) -> bool:
    """Tell whether the scores have not become better for too long; a critic's stage leaves them as they are."""
    if recipe.patience is None or best.ab_psnr is None or recipe.stage_at(step - 1)[0].kind == "critic":
        return False
    return step - best.step >= recipe.patience * recipe.score_every


class KeepCheckpoints(lightning.Callback):
    """Write `last.pt` now and then and at the end, and an averaged generator every few epochs for good."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.saved_at = time.monotonic()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save the start: from here on, whatever ends the run leaves something to go on from."""
        self._save(trainer, pl_module)

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Save, where it is time."""
        assert isinstance(pl_module, Colorization)
        if time.monotonic() - self.saved_at > self.run.checkpoint_seconds:
            self._save(trainer, pl_module)
        kept_every = pl_module.recipe.keep_every_epochs * self.run.steps_per_epoch
        kept, kept_before = pl_module.step // kept_every, (pl_module.step - 1) // kept_every
        if kept > kept_before and trainer.is_global_zero:
            path = self.run.folder / f"epoch-{int(kept) * pl_module.recipe.keep_every_epochs:04d}.pt"
            write_checkpoint(path, averaged(pl_module.recipe, pl_module.step, pl_module.average))

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Save the end, and the averaged generator as it is then."""
        assert isinstance(pl_module, Colorization)
        self._save(trainer, pl_module)
        if trainer.is_global_zero:
            write_checkpoint(self.run.folder / AVERAGE, averaged(pl_module.recipe, pl_module.step, pl_module.average))

    def _save(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        assert isinstance(module, Colorization)
        if trainer.is_global_zero:
            networks: dict[str, torch.nn.Module] = {"network": module.network, "average": module.average}
            if module.critic is not None:
                networks["critic"] = module.critic
            kept = whole_run(module.recipe, module.step, self.run.photos, self.run.best, networks, trainer.optimizers)
            write_checkpoint(self.run.folder / LAST, kept)
        self.saved_at = time.monotonic()


class StopGently(lightning.Callback):
    """End the run behind the step in hand on SIGINT, SIGTERM or when its time is up: so nothing is half done.

    A second SIGINT ends it at once.

    Args:
        run: of these callbacks.
        deadline: of `time.monotonic`; None for no end.
    """

    def __init__(self, run: Run, deadline: float | None) -> None:
        self.run = run
        self.deadline = deadline
        self.end: End | None = None
        self.previous: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002  # Lightning's
        """Listen."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.previous[number] = signal.signal(number, self._ask)

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:  # noqa: ARG002  # Lightning's
        """Stop, if any of the processes was asked to or is late."""
        if self.end is None and self.deadline is not None and time.monotonic() > self.deadline:
            self.end = End.OUT_OF_TIME
        if trainer.strategy.reduce_boolean_decision(self.end is not None, all=False):
            trainer.should_stop = True
            if self.run.end is End.FINISHED:
                self.run.end = self.end or End.INTERRUPTED  # None: another process was asked

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002  # Lightning's
        """Listen no more."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}

    def on_exception(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        exception: BaseException,  # noqa: ARG002  # Lightning's
    ) -> None:
        """Listen no more."""
        self.on_train_end(trainer, pl_module)

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # a signal handler's
        if self.end is End.INTERRUPTED and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.end = End.INTERRUPTED
