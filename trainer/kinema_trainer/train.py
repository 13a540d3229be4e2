"""Train a generator with a pixel loss: the whole run, top to bottom.

Checkpoints hold everything that a step depends on (network, its average, optimizer, step), and a batch depends on the
seed and the step alone: a resumed run computes what an uninterrupted one would have computed.
"""

import csv
import dataclasses
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kinema_core.color import rgb_to_lab
from kinema_core.errors import InvalidInputError
from kinema_core.quality.psnr import psnr
from kinema_trainer.data import TrainingPhotos, decode_photo, read_shards, square_photo
from kinema_trainer.losses import weighted_smooth_l1
from kinema_trainer.models.residual_unet import ResidualUNet
from kinema_trainer.recipes.default import DefaultRecipe

log = logging.getLogger(__name__)

LAST = "last.pt"
CHECKPOINT_EVERY = 200
SCORE_EVERY = 1000
NUM_SCORED = 100
SCORED_SIZE = 256


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    step: int
    max_steps: int
    loss: float
    """Mean over the last 50 steps or so."""
    learning_rate: float
    seconds_per_step: float
    best_ab_psnr: float | None
    """Best score so far on the scored photographs, in dB; None before the first, or where there are none."""


@dataclass(slots=True)
class RunState:
    """What a checkpoint keeps."""

    network: ResidualUNet
    average: ResidualUNet
    """Exponential moving average of the network: what is scored and exported."""
    optimizer: torch.optim.Optimizer
    step: int = 0
    best_ab_psnr: float | None = None

    def save(self, path: Path, recipe: DefaultRecipe) -> None:
        """Write atomically: a kill in the middle leaves the checkpoint before."""
        partial = path.with_suffix(".partial")
        torch.save(
            {
                "recipe": dataclasses.asdict(recipe),
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "best_ab_psnr": self.best_ab_psnr,
            },
            partial,
        )
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Restore what `save` wrote."""
        kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(kept["network"])
        self.average.load_state_dict(kept["average"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.step, self.best_ab_psnr = kept["step"], kept["best_ab_psnr"]


def learning_rate_factor(step: int, recipe: DefaultRecipe) -> float:
    """Return the factor on both learning rates: a short rise, a long plateau, a straight fall to zero at the end.

    The plateau lets a run be ended early or prolonged on resume ("trapezoidal" schedule; Hägele et al., 2024).
    """
    rise = min(1.0, (step + 1) / recipe.warmup_steps)
    fall = min(1.0, (recipe.max_steps - step) / recipe.decay_steps)
    return min(rise, fall)


def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the average towards the network; buffers (BatchNorm statistics) are averages already and are copied."""
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)
        for statistic, latest in zip(average.buffers(), network.buffers(), strict=True):
            statistic.copy_(latest)


def new_state(recipe: DefaultRecipe, *, pretrained: bool = True) -> RunState:
    """Build the networks and the optimizer: the encoder learns at a lower rate, norms and biases do not decay."""
    torch.manual_seed(recipe.seed)
    network, average = ResidualUNet(recipe.network), ResidualUNet(recipe.network)
    if pretrained:
        network.encoder.load_imagenet_weights()
    average.load_state_dict(network.state_dict())
    average.eval().requires_grad_(requires_grad=False)
    groups = []
    for rate, is_encoder in ((recipe.encoder_rate, True), (recipe.decoder_rate, False)):
        named = [p for name, p in network.named_parameters() if name.startswith("encoder.") == is_encoder]
        for decay, is_matrix in ((recipe.weight_decay, True), (0.0, False)):
            params = [p for p in named if (p.ndim > 1) == is_matrix]
            groups.append({"params": params, "lr": rate, "initial_lr": rate, "weight_decay": decay})
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
    return RunState(network, average, torch.optim.AdamW(groups, fused=True))


def score(network: nn.Module, photos: dict[str, bytes]) -> tuple[float, float]:
    """Colorize square 256-pixel photographs; return ab-PSNR in dB and mean chroma as a part of the truth's."""
    psnrs, chroma, true_chroma = [], 0.0, 0.0
    for name, encoded in photos.items():
        lab = rgb_to_lab(square_photo(decode_photo(name, encoded), SCORED_SIZE)).astype(np.float32)
        lightness = torch.from_numpy(np.ascontiguousarray(lab[..., 0]))[None, None]
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            ab = network(lightness)
        ab = nn.functional.interpolate(ab.float(), scale_factor=2, mode="bilinear")[0].permute(1, 2, 0).numpy()
        psnrs.append(psnr(ab, lab[..., 1:]))
        chroma += float(np.linalg.norm(ab, axis=-1).mean())
        true_chroma += float(np.linalg.norm(lab[..., 1:], axis=-1).mean())
    return float(np.mean(psnrs)), chroma / true_chroma


def train(
    recipe: DefaultRecipe,
    *,
    data: Path,
    out: Path,
    resume: bool = False,
    on_step: Callable[[Progress], None] | None = None,
    pretrained: bool = True,
) -> Path:
    """Run `recipe` and return the path of the last checkpoint.

    Args:
        recipe: what to do.
        data: a folder of shards (`val-*` are kept for scoring, never for training) or of photographs.
        out: checkpoints and `log.csv` go here.
        resume: go on from the last checkpoint in `out`.
        on_step: told after every step.
        pretrained: start the encoder from the ImageNet weights.

    Raises:
        InvalidInputError: `out` holds a run already and `resume` is False, or there is nothing to train on.
    """
    checkpoint = out / LAST
    if checkpoint.exists() and not resume:
        raise InvalidInputError("out", f"{out} holds a run already: add --resume to go on, or choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    photos = TrainingPhotos(data, seed=recipe.seed)
    held_out = _scored_photos(data)
    state = new_state(recipe, pretrained=pretrained)
    if checkpoint.exists():
        state.load(checkpoint)
    else:
        state.save(checkpoint, recipe)  # from here on, whatever ends the run leaves something to go on from
    finish_at = recipe.max_steps - recipe.finish_steps

    state.network.train()
    loss_mean, seconds_mean, started = None, None, time.monotonic()
    try:
        while state.step < recipe.max_steps:
            is_finish = state.step >= finish_at
            steps = range(state.step, recipe.max_steps if is_finish else max(finish_at, state.step + 1))
            crop_size = recipe.finish_crop_size if is_finish else recipe.crop_size
            for batch in photos.batches(steps, batch_size=recipe.batch_size, crop_size=crop_size):
                loss, rate = _train_step(state, recipe, batch.lightness, batch.ab)

                now = time.monotonic()
                loss_mean = loss if loss_mean is None else 0.98 * loss_mean + 0.02 * loss
                seconds_mean = now - started if seconds_mean is None else 0.95 * seconds_mean + 0.05 * (now - started)
                started = now
                if state.step % SCORE_EVERY == 0 or state.step == recipe.max_steps:
                    _score_and_log(state, held_out, out / "log.csv", loss_mean, rate)
                if state.step % CHECKPOINT_EVERY == 0:
                    state.save(checkpoint, recipe)
                if on_step:
                    on_step(Progress(state.step, recipe.max_steps, loss_mean, rate, seconds_mean, state.best_ab_psnr))
    finally:
        state.save(checkpoint, recipe)
    return checkpoint


def _train_step(state: RunState, recipe: DefaultRecipe, lightness: Any, ab: Any) -> tuple[float, float]:
    factor = learning_rate_factor(state.step, recipe)
    for group in state.optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    x: Tensor = torch.from_numpy(lightness).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        predicted = state.network(x)
    loss = weighted_smooth_l1(
        predicted.float(), torch.from_numpy(ab), beta=recipe.beta, chroma_weight=recipe.chroma_weight
    )
    state.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
    nn.utils.clip_grad_norm_(state.network.parameters(), recipe.gradient_clip)
    state.optimizer.step()
    state.step += 1
    # A young average would remember the start: let it forget faster at first.
    update_average(state.average, state.network, min(recipe.ema_decay, (1 + state.step) / (10 + state.step)))
    return loss.item(), recipe.decoder_rate * factor


def _scored_photos(data: Path) -> dict[str, bytes]:
    shards = sorted(data.glob("val*.tar")) if data.is_dir() else []
    held_out = {name: encoded for shard in shards for name, encoded in read_shards(shard).items()}
    stride = max(1, len(held_out) // NUM_SCORED)
    return {name: held_out[name] for name in sorted(held_out)[::stride]}


def _score_and_log(state: RunState, held_out: dict[str, bytes], path: Path, loss: float, rate: float) -> None:
    ab_psnr, chroma_part = score(state.average, held_out) if held_out else (math.nan, math.nan)
    if held_out and (state.best_ab_psnr is None or ab_psnr > state.best_ab_psnr):
        state.best_ab_psnr = ab_psnr
    is_new = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.writer(stream)
        if is_new:
            writer.writerow(("step", "loss", "learning_rate", "ab_psnr_db", "chroma_part"))
        writer.writerow((state.step, f"{loss:.5f}", f"{rate:.3g}", f"{ab_psnr:.4f}", f"{chroma_part:.4f}"))
    log.info("scored", extra={"step": state.step, "ab_psnr_db": ab_psnr, "chroma_part": chroma_part})
