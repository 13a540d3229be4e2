"""Find a learning rate: raise it step by step, watch the loss.

Source: the learning-rate range test of Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017. The
suggestion is where the smoothed loss falls fastest against the logarithm of the rate. PyTorch Lightning's own finder
does not work with manual optimization.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kinema_core.errors import InvalidInputError
from kinema_trainer.data.training_set import read_training_set
from kinema_trainer.recipes.recipe import Recipe
from kinema_trainer.training.colorization import Colorization
from kinema_trainer.training.optimizers import generator_optimizer, set_learning_rate
from kinema_trainer.training.run import Machine, batch_loader, pair_dataset

LOWEST, HIGHEST = 1e-6, 1.0
SMOOTHING = 0.9
SKIPPED = 10
"""The first means are of few batches, and move by chance alone."""
DIVERGED = 4.0
"""The test ends where the smoothed loss is so many times its least."""


@dataclass(frozen=True, slots=True)
class RateSearch:
    """What the test found."""

    rates: list[float]
    losses: list[float]
    """Smoothed, at each rate."""
    suggestion: float

    def shown(self, num_rows: int = 12) -> list[tuple[float, float]]:
        """Return some (rate, loss) pairs, evenly spread."""
        chosen = np.linspace(0, len(self.rates) - 1, min(num_rows, len(self.rates))).round().astype(int)
        return [(self.rates[i], self.losses[i]) for i in chosen]


def find_rate(
    recipe: Recipe,
    data: Path,
    *,
    num_steps: int = 100,
    num_workers: int = 0,
    accelerator: str = "auto",
    on_step: Callable[[int, int], None] | None = None,
) -> RateSearch:
    """Train the generator by its pixel loss while the learning rate rises from 1e-6 to 1.

    Pretrained weights keep their share of the rate. `accelerator` is "auto", "cpu" or "gpu".

    Raises:
        InvalidInputError: there is nothing to train on, or the loss was never a number.
    """
    module = Colorization(recipe)
    module.network.train()
    optimizer = generator_optimizer(module.network, recipe.optimizer)
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    photos = read_training_set(data, min_chroma=recipe.data.min_chroma)
    machine = Machine(num_workers=num_workers)
    device = torch.device("cuda" if torch.cuda.is_available() and accelerator != "cpu" else "cpu")
    module.to(device)
    for step, (lightness, ab) in enumerate(
        batch_loader(pair_dataset(photos, module), module, machine, last_step=num_steps)
    ):
        rate = LOWEST * (HIGHEST / LOWEST) ** (step / max(1, num_steps - 1))
        set_learning_rate(optimizer, rate / recipe.optimizer.learning_rate)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16-mixed"):
            predicted = module.network(lightness.to(device))
        loss = recipe.pixel.loss(predicted.float(), ab.to(device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        if recipe.optimizer.gradient_clip is not None:
            nn.utils.clip_grad_norm_(module.network.parameters(), recipe.optimizer.gradient_clip)
        optimizer.step()
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss.item()
        smoothed = mean / (1 - SMOOTHING ** (step + 1))
        if not math.isfinite(smoothed) or (losses and smoothed > DIVERGED * min(losses)):
            break
        rates.append(rate)
        losses.append(smoothed)
        if on_step:
            on_step(step + 1, num_steps)
    if len(losses) < SKIPPED + 3:
        raise InvalidInputError("recipe", "the loss left all bounds at the lowest rates: there is no rate to suggest")
    slopes = np.gradient(np.array(losses), np.log(rates))[SKIPPED:]
    return RateSearch(rates, losses, rates[SKIPPED + int(np.argmin(slopes))])
