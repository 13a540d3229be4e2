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
    max_steps: int = 7200
    batch_size: int = 16
    crop_size: int = 128
    finish_steps: int = 1500
    """The last steps: larger crops, and the learning rate falls to zero along a straight line."""
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
        """Return a run that ends at `max_steps`; a short one keeps a fifth of its steps for the finish."""
        return replace(self, max_steps=max_steps, finish_steps=min(self.finish_steps, max(1, max_steps // 5)))


RECIPE = DefaultRecipe()
