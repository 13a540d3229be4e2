"""What happens in a step: the Lightning module of every recipe.

Optimization is manual, for two players take turns. A step depends on the recipe, the step's number, the weights and the
optimizers' states, and on nothing else: each step seeds torch's generator from its number.
"""

import copy
from typing import Any

import pytorch_lightning as lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema_core.errors import InvalidInputError
from kinema_trainer.losses import adversarial as players
from kinema_trainer.losses.colourfulness import shortfall
from kinema_trainer.losses.perceptual import PerceptualLoss
from kinema_trainer.models.color_network import ColorNetwork
from kinema_trainer.recipes.recipe import Recipe
from kinema_trainer.training.optimizers import (
    critic_optimizer,
    generator_optimizer,
    learning_rate_factor,
    set_learning_rate,
)


class Colorization(lightning.LightningModule):
    """A generator, its average and, in adversarial recipes, a critic.

    Args:
        recipe: what to do.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.recipe = recipe
        torch.manual_seed(recipe.seed)
        self.network: ColorNetwork = recipe.network.build()
        if recipe.is_pretrained:
            self.network.load_pretrained_weights()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from its stubs
        self.average = copy.deepcopy(self.network).eval().requires_grad_(requires_grad=False)
        """Exponential moving average of the generator: what is scored and exported."""
        self.critic = recipe.adversarial.critic.build() if recipe.adversarial else None
        if self.critic and recipe.adversarial and recipe.adversarial.kind == "wgan_gp":
            self.critic.check_is_critic()
        self._outside: dict[str, PerceptualLoss] = {}
        """The frozen judge of perceptual losses: kept from parameters() and checkpoints, for it never changes."""
        if recipe.perceptual:
            self._outside["perceptual"] = PerceptualLoss(recipe.perceptual)
        self.step = 0
        """Steps done; PyTorch Lightning counts something else (updates of any optimizer)."""
        self.measured: dict[str, float | Tensor] = {}
        """What the last step measured, by name."""
        check_sizes(recipe, self.network)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return the generator's optimizer and, if there is one, the critic's."""
        optimizers: list[torch.optim.Optimizer] = [generator_optimizer(self.network, self.recipe.optimizer)]
        if self.critic is not None:
            assert self.recipe.adversarial is not None
            optimizers.append(critic_optimizer(self.critic, self.recipe.adversarial))
        return optimizers

    def on_fit_start(self) -> None:
        """Bring the judge to the device that the rest is on."""
        for judge in self._outside.values():
            judge.to(self.device)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:  # noqa: ARG002  # Lightning's
        """Do one step on lightness (B, 1, S, S) and ab (B, 2, S/stride, S/stride)."""
        torch.manual_seed((self.recipe.seed * 1_000_003 + self.step) * 1009 + self.global_rank)
        stage, step_of_stage = self.recipe.stage_at(self.step)
        self.measured = {}
        if stage.kind != "generator":
            self._update_critic(*batch)
        if stage.kind == "generator":
            self._update_generator(*batch, is_adversarial=False)
        elif stage.kind == "adversarial":
            assert self.recipe.adversarial is not None
            if (step_of_stage + 1) % self.recipe.adversarial.critic_steps == 0:
                self._update_generator(*batch, is_adversarial=True)
        self.step += 1

    def _optimizer(self, index: int) -> Any:
        optimizers: Any = self.optimizers()
        return optimizers[index] if isinstance(optimizers, list) else optimizers

    def _update_generator(self, lightness: Tensor, ab: Tensor, *, is_adversarial: bool) -> None:
        recipe, optimizer = self.recipe, self._optimizer(0)
        factor = learning_rate_factor(self.step, recipe.max_steps, recipe.optimizer)
        self.measured["learning_rate"] = set_learning_rate(optimizer.optimizer, factor)
        if self.critic is not None:
            self.critic.requires_grad_(requires_grad=False)
        optimizer.zero_grad()
        for part in zip(lightness.chunk(recipe.accumulate), ab.chunk(recipe.accumulate), strict=True):
            self.manual_backward(self._generator_loss(*part, is_adversarial=is_adversarial) / recipe.accumulate)
        if recipe.optimizer.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), recipe.optimizer.gradient_clip)
        optimizer.step()
        if self.critic is not None:
            self.critic.requires_grad_(requires_grad=True)
        # A young average would remember the start: let it forget faster at first.
        update_average(self.average, self.network, min(recipe.ema_decay, (2 + self.step) / (11 + self.step)))

    def _generator_loss(self, lightness: Tensor, ab: Tensor, *, is_adversarial: bool) -> Tensor:
        recipe = self.recipe
        predicted = self.network(lightness).float()
        pixel = recipe.pixel.loss(predicted, ab)
        parts = {"pixel": pixel}
        if recipe.perceptual and recipe.perceptual.weight:
            parts["perceptual"] = recipe.perceptual.weight * self._outside["perceptual"](lightness, predicted, ab)
        if recipe.colourfulness:
            found = shortfall(lightness, predicted, ab, recipe.colourfulness)
            parts["shortfall"] = found.loss
            self._measure({"colourfulness": found.part})
        if is_adversarial:
            assert self.critic is not None
            assert recipe.adversarial is not None
            scores = self.critic(self._lightness_at_ab(lightness), predicted).float()
            is_wasserstein = recipe.adversarial.kind == "wgan_gp"
            loss = players.generator_loss(scores) if is_wasserstein else players.bce_generator_loss(scores)
            parts["adversarial"] = recipe.adversarial.weight * loss
        total = torch.stack(list(parts.values())).sum()
        self._measure(parts | {"loss": total})
        return total

    def _update_critic(self, lightness: Tensor, ab: Tensor) -> None:
        optimizer = self._optimizer(1)
        set_learning_rate(
            optimizer.optimizer, learning_rate_factor(self.step, self.recipe.max_steps, self.recipe.optimizer)
        )
        optimizer.zero_grad()
        accumulate = self.recipe.accumulate
        for part in zip(lightness.chunk(accumulate), ab.chunk(accumulate), strict=True):
            self.manual_backward(self._critic_loss(*part) / accumulate)
        optimizer.step()

    def _critic_loss(self, lightness: Tensor, ab: Tensor) -> Tensor:
        assert self.critic is not None
        assert self.recipe.adversarial is not None
        with torch.no_grad():
            fake_ab = self.network(lightness).float()
        # Autocast keeps the weights that it has cast; those cast here would cut the generator's turn off its gradients.
        torch.clear_autocast_cache()
        lightness = self._lightness_at_ab(lightness)
        # A pass for each, as in pix2pix: the generator's turn has no real, so BatchNorm must not see them mixed.
        real, fake = self.critic(lightness, ab).float(), self.critic(lightness, fake_ab).float()
        if self.recipe.adversarial.kind == "bce":
            loss = players.bce_discriminator_loss(real, fake)
            self._measure({"critic_loss": loss, "discriminator_accuracy": players.discriminator_accuracy(real, fake)})
            return loss
        penalty = players.gradient_penalty(self.critic, lightness, ab, fake_ab)
        loss = players.critic_loss(real, fake) + self.recipe.adversarial.penalty_weight * penalty.loss
        estimate = players.wasserstein_estimate(real, fake)
        self._measure({"critic_loss": loss, "wasserstein": estimate, "gradient_norm": penalty.mean_norm})
        return loss

    def _measure(self, found: dict[str, Tensor]) -> None:
        """Take down what a part of the batch has; a step's number is the mean over its parts."""
        for name, value in found.items():
            self.measured[name] = self.measured.get(name, 0.0) + value.detach() / self.recipe.accumulate

    def _lightness_at_ab(self, lightness: Tensor) -> Tensor:
        """Return lightness at the size of ab, for the critic."""
        stride = self.network.output_stride
        return F.avg_pool2d(lightness, stride) if stride > 1 else lightness


def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the average towards the network; buffers (BatchNorm statistics) are averages already and are copied."""
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)  # no public name
        for statistic, latest in zip(average.buffers(), network.buffers(), strict=True):
            statistic.copy_(latest)


def check_sizes(recipe: Recipe, network: ColorNetwork) -> None:
    """Check that the network takes the recipe's pictures.

    Raises:
        InvalidInputError: it does not.
    """
    for name, size in (*(("crop_size", stage.crop_size) for stage in recipe.stages), ("score_size", recipe.score_size)):
        if size % network.size_multiple:
            raise InvalidInputError(name, f"must be a multiple of {network.size_multiple} for this network, got {size}")


def check_trains(recipe: Recipe, world_size: int) -> None:
    """Check what only shows beside the machine.

    Raises:
        InvalidInputError: the batch cannot be shared out evenly.
    """
    if recipe.batch_size % (world_size * recipe.accumulate):
        raise InvalidInputError(
            "batch_size",
            f"must be a multiple of devices x accumulate ({world_size} x {recipe.accumulate}), got {recipe.batch_size}",
        )
