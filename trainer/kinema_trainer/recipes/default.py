"""The model that ships: a residual U-Net on a pretrained EfficientNet-Lite0, L* -> ab, pixel loss only.

Source: ours. Command: `kinema train default --data DIR --out DIR`.
"""

from dataclasses import dataclass, replace
from typing import Self

from kinema_trainer.models.residual_unet import ResidualUNetConfig


@dataclass(frozen=True, slots=True)
class DefaultRecipe:
    """Everything that decides the run's result, beside the data."""

    name: str = "default"
    network: ResidualUNetConfig = ResidualUNetConfig()
    seed: int = 20
    max_steps: int = 6800
    batch_size: int = 16
    crop_size: int = 128
    decay_steps: int = 3600
    """The last steps, in which the learning rate falls to zero along a straight line."""
    finish_steps: int = 900
    """The last steps, with larger crops."""
    finish_crop_size: int = 192
    warmup_steps: int = 300
    encoder_rate: float = 3e-4
    decoder_rate: float = 1e-3
    weight_decay: float = 0.02
    gradient_clip: float = 1.0
    ema_decay: float = 0.998
    beta: float = 10.0
    """Lab units within which the loss is quadratic."""
    chroma_weight: float = 1.0

    def with_max_steps(self, max_steps: int) -> Self:
        """Return a run that ends at `max_steps`, its phases in proportion."""
        part = max_steps / self.max_steps
        decay_steps, finish_steps = (max(1, round(n * part)) for n in (self.decay_steps, self.finish_steps))
        return replace(self, max_steps=max_steps, decay_steps=decay_steps, finish_steps=finish_steps)


RECIPE = DefaultRecipe()
