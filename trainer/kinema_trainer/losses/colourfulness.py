"""What a batch lacks in colourfulness: where colours are unknown, a pixel loss alone teaches pale ones."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema_trainer.losses.differentiable_rgb import lab_to_rgb

_MARGIN = 0.2
"""How far beyond the gamut a channel may go, 0..1 inside, before its colour counts for no more."""
_TINY = 1e-3
"""Keeps roots differentiable where a picture has no colour; of 255 squared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourfulnessConfig:
    """The colourfulness that is asked for."""

    part: float
    """Of the truth's, as the mean over a batch. With more, nothing is asked."""
    weight: float
    """Of the square of what lacks."""
    pool: int = 4
    """Colours are read from means over squares of about this side, in pixels of ab."""

    def __post_init__(self) -> None:
        if not 0 < self.part <= 1 or self.pool < 1:
            raise ValueError(f"part must be above 0 and at most 1, and pool at least 1, got {self}")


@dataclass(frozen=True, slots=True, eq=False)
class Shortfall:
    """What a batch has, and what that costs."""

    part: Tensor
    """Its colourfulness as a part of the truth's; a scalar."""
    loss: Tensor
    """weight * (what `part` lacks)^2; a scalar."""


def shortfall(lightness: Tensor, ab: Tensor, target: Tensor, config: ColourfulnessConfig) -> Shortfall:
    """Compare the colourfulness of a batch with the truth's.

    A factor on a finished network's ab reaches any colourfulness, too, but raises every picture alike. Where the mean
    over a batch is asked for, training puts it where it costs the pixel loss least.

    Args:
        lightness: (B, 1, H, W), L* 0..100.
        ab: predicted, (B, 2, H/stride, W/stride), Lab units.
        target: the truth, of the same shape.
        config: what is asked for.
    """
    size = (ab.shape[2] // config.pool, ab.shape[3] // config.pool)
    light, predicted, true = (F.adaptive_avg_pool2d(values, size) for values in (lightness, ab, target))
    wanted = colourfulness(lab_to_rgb(torch.cat([light, true], dim=1)).clamp(0, 1)).mean()
    there = colourfulness(lab_to_rgb(torch.cat([light, predicted], dim=1)).clamp(-_MARGIN, 1 + _MARGIN)).mean()
    part = there / wanted.clamp(min=1)
    return Shortfall(part.detach(), config.weight * F.relu(config.part - part) ** 2)


def colourfulness(rgb: Tensor) -> Tensor:
    """Return the colourfulness (B,) of sRGB (B, 3, H, W), 0..1, in the unit of `kinema_core.quality.colourfulness`.

    Source: Hasler and Süsstrunk, "Measuring Colourfulness in Natural Images", SPIE 5007, 2003.
    """
    red, green, blue = (255 * rgb).flatten(2).unbind(1)  # (B, H * W) each
    rg, yb = red - green, (red + green) / 2 - blue
    spread = (rg.var(1, correction=0) + yb.var(1, correction=0) + _TINY).sqrt()
    return spread + 0.3 * (rg.mean(1) ** 2 + yb.mean(1) ** 2 + _TINY).sqrt()
