"""What decides a run's result, beside the data: one frozen value, kept in every checkpoint."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Discriminator, TypeAdapter, ValidationError

from kinema_core.errors import InvalidInputError
from kinema_trainer.data.pairs import DataConfig
from kinema_trainer.losses.colourfulness import ColourfulnessConfig
from kinema_trainer.losses.perceptual import PerceptualLossConfig
from kinema_trainer.losses.pixel import PixelLossConfig
from kinema_trainer.models.attention_unet import AttentionUNetConfig
from kinema_trainer.models.lite0_unet import Lite0UNetConfig
from kinema_trainer.models.patch_gan import PatchGANConfig
from kinema_trainer.models.pix2pix_unet import Pix2PixUNetConfig
from kinema_trainer.models.residual_unet import ResidualUNetConfig

NetworkConfig: TypeAlias = Annotated[
    Lite0UNetConfig | ResidualUNetConfig | Pix2PixUNetConfig | AttentionUNetConfig, Discriminator("kind")
]

StageKind: TypeAlias = Literal["generator", "critic", "adversarial"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run: the generator alone by its pixel losses, the critic alone, or both against each other."""

    kind: StageKind
    num_steps: int
    crop_size: int
    """Side of the training pictures, in pixels."""

    def __post_init__(self) -> None:
        if self.num_steps < 1 or self.crop_size < 1:
            raise ValueError(f"a stage has at least one step on pictures of at least one pixel, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """Adam of the generator. The learning rate rises, stays, and falls along a straight line to zero at the end."""

    learning_rate: float
    pretrained_rate: float | None = None
    """Of what starts from pretrained weights; the same as the rest if None."""
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    """Decoupled (AdamW); norms and biases do not decay."""
    gradient_clip: float | None = None
    """Largest norm of the gradient."""
    warmup_steps: int = 1
    decay_steps: int = 0
    """The last steps of the run, in which the rate falls."""

    def __post_init__(self) -> None:
        if self.warmup_steps < 1 or self.decay_steps < 0 or self.learning_rate < 0:
            raise ValueError(f"warmup_steps must be 1 or more, decay_steps and learning_rate 0 or more, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdversarialConfig:
    """The other player, and the weight of what it says."""

    kind: Literal["wgan_gp", "bce"]
    """Wasserstein critic with gradient penalty (Gulrajani et al., 2017), or a classifier by binary cross-entropy."""
    critic: PatchGANConfig
    weight: float = 1.0
    """Of the generator's adversarial loss."""
    penalty_weight: float = 10.0
    """Of the gradient penalty; for "wgan_gp"."""
    critic_steps: int = 1
    """Critic updates to one of the generator, each on a batch of its own."""
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)

    def __post_init__(self) -> None:
        if self.critic_steps < 1:
            raise ValueError(f"critic_steps must be at least 1, got {self.critic_steps}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A run."""

    name: str
    network: NetworkConfig
    is_pretrained: bool = True
    """Start from the weights learnt elsewhere, where the network has such."""
    data: DataConfig
    stages: tuple[Stage, ...]
    batch_size: int
    optimizer: OptimizerConfig
    pixel: PixelLossConfig
    perceptual: PerceptualLossConfig | None = None
    colourfulness: ColourfulnessConfig | None = None
    adversarial: AdversarialConfig | None = None
    accumulate: int = 1
    """Parts that a batch is computed in, one after the other, to save memory; must divide it."""
    ema_decay: float = 0.999
    """Of the average of the generator's weights, which is what is scored and exported."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    seed: int = 20
    score_every: int = 1000
    """Steps between two scores on held-out photographs."""
    num_scored: int = 100
    score_size: int = 256
    """Side of the scored pictures, in pixels."""
    patience: int | None = None
    """The run ends after so many scores without a better one; never if None."""
    keep_every_epochs: int = 10
    """Passes over the photographs between two checkpoints that are kept for good."""

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("a recipe has at least one stage")
        counts = ("batch_size", "accumulate", "score_every", "num_scored", "score_size", "keep_every_epochs")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be at least 0 and below 1, got {self.ema_decay}")
        if self.adversarial is None and any(stage.kind != "generator" for stage in self.stages):
            raise ValueError("a critic or adversarial stage needs `adversarial`")
        if self.batch_size % self.accumulate:
            raise ValueError(f"accumulate must divide batch_size ({self.batch_size}), got {self.accumulate}")

    @property
    def max_steps(self) -> int:
        """Steps of the whole run."""
        return sum(stage.num_steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """Return the stage that step `step` (from 0) belongs to, and how many of that stage come before it.

        Steps after the end belong to the last stage.
        """
        first = 0
        for stage in self.stages[:-1]:
            if step < first + stage.num_steps:
                return stage, step - first
            first += stage.num_steps
        return self.stages[-1], step - first

    def crop_size_at(self, step: int) -> int:
        """Return the side of the pictures of step `step`, in pixels."""
        return self.stage_at(step)[0].crop_size

    def with_max_steps(self, max_steps: int) -> Self:
        """Return a run of about `max_steps` steps, its stages and its learning rate's phases in proportion."""
        part = max_steps / self.max_steps
        stages = tuple(replace(stage, num_steps=max(1, round(stage.num_steps * part))) for stage in self.stages)
        warmup, decay = (round(n * part) for n in (self.optimizer.warmup_steps, self.optimizer.decay_steps))
        optimizer = replace(self.optimizer, warmup_steps=max(1, warmup), decay_steps=decay)
        return replace(self, stages=stages, optimizer=optimizer)


_ADAPTER: TypeAdapter[Recipe] = TypeAdapter(Recipe)


def recipe_to_json(recipe: Recipe) -> dict[str, Any]:
    """Return `recipe` as plain JSON values."""
    record: dict[str, Any] = _ADAPTER.dump_python(recipe, mode="json")
    return record


def recipe_from_json(record: Mapping[str, Any]) -> Recipe:
    """Return the recipe that `recipe_to_json` wrote.

    Raises:
        InvalidInputError: a value is unknown, of a wrong type or out of its range.
    """
    try:
        recipe = _ADAPTER.validate_python(dict(record))
    except ValidationError as err:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in err.errors(include_url=False)
        )
        raise InvalidInputError("recipe", problems) from err
    known = {key for key, _ in _leaves(recipe_to_json(recipe))}
    if unknown := sorted({key for key, _ in _leaves(dict(record))} - known):
        raise InvalidInputError("recipe", f"has no {', '.join(unknown)}; it has: {', '.join(sorted(known))}")
    return recipe


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """Return `recipe` with settings such as "network.is_residual=false" or "optimizer.betas=[0,0.9]" changed.

    A value is JSON, or else text.

    Raises:
        InvalidInputError: not KEY=VALUE, an unknown key, or a value that the recipe does not take.
    """
    record = recipe_to_json(recipe)
    for setting in settings:
        path, separator, text = setting.partition("=")
        if not separator:
            raise InvalidInputError("set", f"must be KEY=VALUE, got {setting!r}")
        *parents, last = path.strip().split(".")
        place: Any = record
        for part in parents:
            place = _child(place, part, path, record)
        _child(place, last, path, record)
        place[int(last) if isinstance(place, list) else last] = _value(text)
    return recipe_from_json(record)


def differences(one: Recipe, other: Recipe) -> list[str]:
    """List where two recipes differ, as "key: one's value, other's value"."""
    mine, theirs = (dict(_leaves(recipe_to_json(recipe))) for recipe in (one, other))
    keys = sorted(mine.keys() | theirs.keys())
    return [f"{key}: {mine.get(key)}, {theirs.get(key)}" for key in keys if mine.get(key) != theirs.get(key)]


def _child(place: Any, part: str, path: str, record: dict[str, Any]) -> Any:
    if isinstance(place, dict) and part in place:
        return place[part]
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return place[int(part)]
    known = ", ".join(key for key, _ in _leaves(record))
    raise InvalidInputError("set", f"{path!r} is no setting of this recipe; it has: {known}")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        children = [(str(i), child) for i, child in enumerate(value)]
    else:
        yield path, value
        return
    for key, child in children:
        yield from _leaves(child, f"{path}.{key}" if path else key)
