"""What a run keeps, and how it goes on from there.

`last.pt` holds all that a step depends on. A kept checkpoint holds the averaged generator alone: `best.pt` that with
the best score, `epoch-0010.pt` that after ten epochs, `average.pt` that at the end of the run, or of a part of it. All
are read with `weights_only=True`: a checkpoint runs no code.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError  # only named: torch raises it for what is no checkpoint
from typing import Any

import torch
from torch import nn, optim

from kinema_core.errors import InvalidInputError
from kinema_trainer.models.color_network import ColorNetwork
from kinema_trainer.recipes.recipe import Recipe, differences, recipe_from_json, recipe_to_json

LAST = "last.pt"
BEST = "best.pt"
AVERAGE = "average.pt"


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetwork:
    """What an export takes from a checkpoint."""

    network: ColorNetwork
    """The averaged generator, in evaluation mode."""
    recipe: Recipe
    step: int


@dataclass(slots=True)
class Best:
    """The best score so far."""

    ab_psnr: float | None = None
    """In dB; None before the first score."""
    step: int = 0


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        InvalidInputError: the file is none.
    """
    try:
        kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        recipe_to_json(recipe_from_json(kept["recipe"]))
        _ = kept["step"], kept["average"]
    except (OSError, RuntimeError, KeyError, TypeError, UnpicklingError, EOFError, InvalidInputError) as err:
        raise InvalidInputError("checkpoint", f"{path} is not a checkpoint of `kinema train`: {err}") from err
    return kept


def write_checkpoint(path: Path, kept: dict[str, Any]) -> None:
    """Write atomically: a kill in the middle leaves the checkpoint before."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        torch.save(kept, file)
        file.flush()
        os.fsync(file.fileno())  # a power cut must not leave a name without its content
    partial.replace(path)


def averaged(recipe: Recipe, step: int, average: nn.Module) -> dict[str, Any]:
    """Return what a kept checkpoint holds."""
    return {"recipe": recipe_to_json(recipe), "step": step, "average": average.state_dict()}


def whole_run(
    recipe: Recipe, step: int, photos: str, best: Best, networks: dict[str, nn.Module],
    optimizers: list[optim.Optimizer],
) -> dict[str, Any]:  # fmt: skip
    """Return what `last.pt` holds: `photos` names what is trained on, `networks` are all parts, by name."""
    return {
        "recipe": recipe_to_json(recipe),
        "step": step,
        "photos": photos,
        "best": {"ab_psnr": best.ab_psnr, "step": best.step},
        **{name: network.state_dict() for name, network in networks.items()},
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }


def load_trained_network(path: Path) -> TrainedNetwork:
    """Return the averaged generator of a checkpoint.

    Raises:
        InvalidInputError: the file is no checkpoint, or its weights do not fit its recipe.
    """
    kept = read_checkpoint(path)
    recipe = recipe_from_json(kept["recipe"])
    network = recipe.network.build()
    try:
        network.load_state_dict(kept["average"])
    except RuntimeError as err:
        raise InvalidInputError("checkpoint", f"{path}: the weights do not fit the recipe: {err}") from err
    return TrainedNetwork(network.eval(), recipe, kept["step"])


def check_is_same_run(kept: dict[str, Any], recipe: Recipe, photos: str) -> None:
    """Check that a checkpoint may be gone on from.

    Raises:
        InvalidInputError: it holds another recipe, knows other photographs, or is one that was kept for export alone.
    """
    if "optimizers" not in kept:
        raise InvalidInputError("resume", f"only {LAST} can be gone on from; this checkpoint holds the average alone")
    if changed := differences(recipe_from_json(kept["recipe"]), recipe):
        raise InvalidInputError(
            "resume",
            "a run goes on with the recipe it began with; what differs (the run's, the one asked for): "
            + "; ".join(changed),
        )
    if kept["photos"] != photos:
        raise InvalidInputError(
            "resume",
            "the photographs are not those that the run began with; bring those back, or begin a new run with "
            "--start-from and another --out",
        )  # fmt: skip
