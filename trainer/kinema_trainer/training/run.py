"""A training run, from the recipe and the photographs to `last.pt`."""

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from lightning_fabric.utilities.warnings import PossibleUserWarning
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor
from torch.utils.data import DataLoader

from kinema_core.bundle import load_bundle
from kinema_core.errors import InvalidInputError
from kinema_trainer.data.pairs import PairDataset, SampleKey, StepSampler, start_worker
from kinema_trainer.data.training_set import TrainingSet, read_training_set
from kinema_trainer.export.unfold import unfold_onnx_weights
from kinema_trainer.recipes.recipe import Recipe
from kinema_trainer.training.callbacks import (
    End,
    GoOn,
    KeepCheckpoints,
    KeepRecord,
    Progress,
    Run,
    StopGently,
    is_out_of_patience,
)
from kinema_trainer.training.checkpoints import LAST, Best, check_is_same_run, load_trained_network, read_checkpoint
from kinema_trainer.training.colorization import Colorization, check_trains
from kinema_trainer.training.scoring import held_out_squares

_NUM_FIRST_BATCHES = 10
"""On which a bundle's norms are made anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a run may use. None of it changes the recipe."""

    accelerator: str = "auto"
    """PyTorch Lightning's: "auto", "cpu" or "gpu"."""
    devices: int = 1
    """Processes, one a device; more than one train by DDP."""
    num_workers: int = 1
    """Processes that make batches, for each device; 0 makes them between the steps."""
    max_minutes: float | None = None
    """Stop behind the first step after so long since the start, in a state to go on from."""
    checkpoint_seconds: float = 120.0
    """Between two writings of `last.pt`."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a run."""

    checkpoint: Path
    step: int
    end: End
    best: Best
    is_first_process: bool
    """False in all but one of the processes of a run on several devices."""


def train(
    recipe: Recipe,
    *,
    data: Path,
    out: Path,
    machine: Machine | None = None,
    resume: bool = False,
    start_from: Path | None = None,
    on_photos: Callable[[TrainingSet], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Run `recipe`, or go on with it.

    Args:
        recipe: what to do.
        data: a folder of tar shards, of photographs or of CIFAR-10; its validation part is scored, never trained on.
        out: checkpoints, log.csv, grids and TensorBoard files go here.
        machine: what to use.
        resume: go on from `last.pt` in `out`, where there is one.
        start_from: begin with the averaged generator of this checkpoint, or with this bundle (of the same network).
        on_photos: told what there is to train on.
        on_progress: told behind each step, on the first process.

    Raises:
        InvalidInputError: `out` holds a run and `resume` is False, it holds a run of another recipe, there is nothing
            to train on, or the batch cannot be shared out.
    """
    started = time.monotonic()
    machine = machine or Machine()
    check_trains(recipe, machine.devices)
    checkpoint = out / LAST
    if checkpoint.exists() and not resume:
        raise InvalidInputError("out", f"{out} holds a run already: add --resume to go on, or choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    module = Colorization(recipe)
    photos = read_training_set(data, min_chroma=recipe.data.min_chroma)
    kept = _go_on_from(checkpoint, module, photos) if checkpoint.exists() else None
    if start_from and not kept:
        _start_from(module, start_from, photos)
    run = Run(
        folder=out,
        steps_per_epoch=len(photos.photos) / recipe.batch_size,
        held_out=held_out_squares(photos.validation, num_photos=recipe.num_scored, size=recipe.score_size),
        photos=photos.digest,
        checkpoint_seconds=machine.checkpoint_seconds,
        on_progress=on_progress,
    )
    if on_photos and int(os.environ.get("LOCAL_RANK", "0")) == 0:
        on_photos(photos)
    is_first = True
    if kept and is_out_of_patience(recipe, module.step, Best(**kept["best"])):
        run.end, run.best = End.OUT_OF_PATIENCE, Best(**kept["best"])
    elif module.step < recipe.max_steps:
        deadline = None if machine.max_minutes is None else started + machine.max_minutes * 60
        callbacks = [GoOn(run, kept), KeepRecord(run), KeepCheckpoints(run), StopGently(run, deadline)]
        trainer = _trainer(recipe, machine, callbacks)
        with _without_lightning_advice():
            trainer.fit(module, datamodule=_Batches(photos, module, machine))
        is_first = trainer.is_global_zero
    return Result(checkpoint, module.step, run.end, run.best, is_first)


def _go_on_from(checkpoint: Path, module: Colorization, photos: TrainingSet) -> dict[str, Any]:
    """Return what the checkpoint holds, the module's step set; the rest goes back once the optimizers exist."""
    kept = read_checkpoint(checkpoint)
    check_is_same_run(kept, module.recipe, photos.digest)
    module.step = kept["step"]
    return kept


def _start_from(module: Colorization, path: Path, photos: TrainingSet) -> None:
    if path.is_dir():
        unfold_onnx_weights(load_bundle(path).onnx, module.network, _first_pictures(module, photos))
        module.average.load_state_dict(module.network.state_dict())
        return
    start = load_trained_network(path)
    if start.recipe.network != module.recipe.network:
        raise InvalidInputError("start_from", f"{path} holds {start.recipe.network}, not {module.recipe.network}")
    module.network.load_state_dict(start.network.state_dict())
    module.average.load_state_dict(start.network.state_dict())


def _first_pictures(module: Colorization, photos: TrainingSet) -> list[Tensor]:
    """Return lightness (B, 1, S, S) of some batches, of those that the run begins with."""
    dataset, recipe = pair_dataset(photos, module), module.recipe
    keys = [SampleKey(index, recipe.crop_size_at(0)) for index in range(_NUM_FIRST_BATCHES * recipe.batch_size)]
    return list(torch.split(torch.stack([dataset[key][0] for key in keys]), recipe.batch_size))


def _trainer(recipe: Recipe, machine: Machine, callbacks: list[lightning.Callback]) -> lightning.Trainer:
    """Return PyTorch Lightning's trainer with its own checkpoints, logs and bars off: the callbacks do that here."""
    strategy: Any = "auto"
    if machine.devices > 1:
        strategy = DDPStrategy(
            find_unused_parameters=recipe.adversarial is not None
        )  # each player's turn leaves one out
    return lightning.Trainer(
        accelerator=machine.accelerator, devices=machine.devices, strategy=strategy, precision=recipe.precision,
        max_epochs=1, callbacks=callbacks, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, sync_batchnorm=machine.devices > 1 and machine.accelerator != "cpu",
        use_distributed_sampler=False, num_sanity_val_steps=0,
    )  # fmt: skip


@contextlib.contextmanager
def _without_lightning_advice() -> Iterator[None]:
    """Leave out warnings that are not for our users: advice on workers, and a deprecation inside the library itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PossibleUserWarning)
        warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
        yield


class _Batches(lightning.LightningDataModule):
    """Asks for the loader once the processes of a run know their ranks."""

    def __init__(self, photos: TrainingSet, module: Colorization, machine: Machine) -> None:
        super().__init__()
        self.photos, self.module, self.machine = photos, module, machine

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return the batches that are left of the run."""
        assert self.trainer is not None
        recipe = self.module.recipe
        dataset = pair_dataset(self.photos, self.module)
        return batch_loader(
            dataset, self.module, self.machine, last_step=recipe.max_steps, rank=self.trainer.global_rank
        )


def pair_dataset(photos: TrainingSet, module: Colorization) -> PairDataset:
    """Return the pairs that `module`'s recipe learns from."""
    recipe = module.recipe
    return PairDataset(
        photos.photos, recipe.data, seed=recipe.seed, output_stride=module.network.output_stride, chroma=photos.chroma
    )


def batch_loader(
    dataset: PairDataset, module: Colorization, machine: Machine, *, last_step: int, rank: int = 0
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return the batches of the steps from the module's own to `last_step`, as process `rank` gets them."""
    sampler = StepSampler(
        module.recipe.crop_size_at, first_step=module.step, last_step=last_step,
        batch_size=module.recipe.batch_size, rank=rank, world_size=machine.devices,
    )  # fmt: skip
    return DataLoader(
        dataset, batch_sampler=sampler, num_workers=machine.num_workers, worker_init_fn=start_worker,
        pin_memory=torch.cuda.is_available(),
    )  # fmt: skip
