"""Objectives."""

import torch.nn.functional as F
from torch import Tensor


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
