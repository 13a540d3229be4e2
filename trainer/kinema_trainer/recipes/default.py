"""The model that ships: a residual U-Net on a pretrained EfficientNet-Lite0, L* -> ab, pixel loss only.

Source: ours.

Command: `kinema train default --data DIR --out DIR`, then `kinema export DIR/last.pt BUNDLE --ab-gain 0.8`.

Hardware and time: two cores of an AMD EPYC (AVX-512, bf16) that did other work as well, 83 minutes; alone, a step
takes 0.47 s at 128 px. 11,758 photographs, 108,800 crops.

Score: on 500 validation photographs at 256 px, PSNR 23.11 dB, CIEDE2000 10.57, colourfulness 0.52 of the truth's. Grey
has 22.12 and 11.29, the mean ab 22.55 and 11.58. The gain was chosen on 100 of those photographs, by their ab-PSNR and
chroma: at a gain of 0.6, 0.8 and 1.0 they have 27.17, 27.03 and 26.66 dB (grey 25.97, mean ab 26.55), and 0.50, 0.67
and 0.84 of the truth's mean chroma. The loss counts colourful pixels for more, so unscaled the network overshoots.
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
