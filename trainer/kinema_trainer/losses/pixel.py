"""Objectives that compare pixel with pixel."""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from kinema_trainer.models.color_network import AB_SCALE


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLossConfig:
    """The pixel part of the generator's objective."""

    kind: Literal["l1", "smooth_l1", "log_mse"]
    weight: float
    """Of the loss in the papers' unit, which is ab / 110: so the 100 of pix2pix is a 100 here. "log_mse" has
    no unit."""
    beta: float = 10.0
    """Lab units within which Smooth L1 is quadratic, and "log_mse" is content."""
    chroma_weight: float = 0.0
    """How much more colourful pixels count; 0 gives the plain mean. Not for "log_mse"."""

    def loss(self, ab: Tensor, target: Tensor) -> Tensor:
        """Return the weighted loss of (B, 2, H, W), Lab units, as a scalar."""
        if self.kind == "log_mse":
            return log_mse(ab, target, beta=self.beta) * self.weight
        beta = self.beta if self.kind == "smooth_l1" else 0.0  # at 0 Smooth L1 is L1
        return weighted_smooth_l1(ab, target, beta=beta, chroma_weight=self.chroma_weight) * (self.weight / AB_SCALE)


def log_mse(ab: Tensor, target: Tensor, *, beta: float) -> Tensor:
    """Mean over pictures of the logarithm of the squared error: the peak signal-to-noise ratio, but for a factor.

    The plain mean is ruled by the pictures that nobody could colour (a shirt of any colour, flowers): there it teaches
    the safe middle. A logarithm asks every picture for the same part of its error, so that what can be known is learnt
    to the end.

    Args:
        ab: (B, 2, H, W), Lab units.
        target: the same shape, Lab units.
        beta: root mean square error, in Lab units, below which a picture counts for less and less.
    """
    squared = (ab - target).square().mean(dim=(1, 2, 3))  # (B,)
    loss: Tensor = (squared + beta**2).log().mean()
    return loss


def weighted_smooth_l1(ab: Tensor, target: Tensor, *, beta: float, chroma_weight: float) -> Tensor:
    """Smooth L1 on ab, colourful pixels counted for more.

    Most of a photograph is nearly grey, so a plain mean teaches grey (Zhang, Isola and Efros, "Colorful Image
    Colorization", ECCV 2016, rebalance for the same reason). A pixel of chroma C weighs 1 + chroma_weight * C / 50; the
    weights are divided by their mean.

    Args:
        ab: (B, 2, H, W), Lab units.
        target: the same shape, Lab units.
        beta: Lab units within which the loss is quadratic.
        chroma_weight: 0 gives the plain loss.
    """
    per_pixel = F.smooth_l1_loss(ab, target, beta=beta, reduction="none").mean(dim=1)  # (B, H, W)
    weights = 1 + chroma_weight * target.norm(dim=1) / 50
    loss: Tensor = (per_pixel * weights).sum() / weights.sum()
    return loss
