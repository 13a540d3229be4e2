"""What generator and critic want of each other: Wasserstein with gradient penalty, or binary cross-entropy.

Scores are those of `PatchGAN`, (B, 1, h, w), higher for more real; every mean runs over the batch and all patches.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Critic(Protocol):
    """What the gradient penalty needs of a critic."""

    def scale_ab(self, ab: Tensor) -> Tensor:
        """Take ab (B, 2, H, W) from Lab units to the critic's own."""

    def score_scaled(self, lightness: Tensor, scaled_ab: Tensor) -> Tensor:
        """Score L* (B, 1, H, W) with scaled ab (B, 2, H, W)."""


@dataclass(frozen=True, slots=True, eq=False)
class GradientPenalty:
    """How far the critic is from slope one."""

    loss: Tensor
    """Mean of (norm - 1)^2, a scalar that leads back to the critic's weights; not yet weighed."""
    mean_norm: Tensor
    """Mean of the gradients' norms, a scalar, detached; about 1 where the critic does well."""


def critic_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Return what a Wasserstein critic minimizes, without the penalty (Arjovsky, Chintala and Bottou, ICML 2017)."""
    return fake_scores.mean() - real_scores.mean()


def wasserstein_estimate(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Return the critic's estimate of the distance between real and generated pictures; detached."""
    return (real_scores.mean() - fake_scores.mean()).detach()


def generator_loss(fake_scores: Tensor) -> Tensor:
    """Return what the generator of a Wasserstein critic minimizes."""
    return -fake_scores.mean()


def gradient_penalty(
    critic: Critic, lightness: Tensor, real_ab: Tensor, fake_ab: Tensor, *, generator: torch.Generator | None = None
) -> GradientPenalty:
    """Measure the critic's slope between real and generated pictures (Gulrajani et al., NeurIPS 2017, algorithm 1).

    One epsilon a sample mixes real and generated ab; lightness, the condition, stays as it is, and the gradient is
    taken in ab alone, one norm a sample over its channels and pixels. Two things the paper leaves open:

    - A PatchGAN has many scores a picture. Their mean is what `critic_loss` separates, so its slope is what must be 1.
      Their sum, which is widespread, would ask for a slope of 1 / num_patches and starve the generator.
    - ab is in the critic's own units (`scale_ab`), where numbers are of the order of one, as the paper's are. In Lab
      units the same penalty would ask for a critic that is 110 times as steep.

    All is computed in float32 at least, under autocast too: bfloat16 is too coarse for a gradient of a gradient.

    Args:
        critic: its weights get the penalty's gradient.
        lightness: (B, 1, H, W), L* 0..100.
        real_ab: (B, 2, H, W), Lab units.
        fake_ab: the same shape, Lab units; no gradient flows back into it.
        generator: draws the epsilons, on the CPU, so that every device sees the same; torch's own if None.
    """
    with torch.autocast(real_ab.device.type, enabled=False):
        lightness, real, fake = (_at_least_float32(x.detach()) for x in (lightness, real_ab, fake_ab))
        real, fake = critic.scale_ab(real), critic.scale_ab(fake)
        epsilon = torch.rand(len(real), 1, 1, 1, generator=generator).to(real)
        mixed = (epsilon * real + (1 - epsilon) * fake).requires_grad_()
        scores = critic.score_scaled(lightness, mixed).flatten(1).mean(dim=1)  # (B,): one score a picture
        (gradient,) = torch.autograd.grad(scores.sum(), mixed, create_graph=True)  # (B, 2, H, W)
        norms = gradient.flatten(1).norm(dim=1)  # (B,)
        return GradientPenalty(((norms - 1) ** 2).mean(), norms.detach().mean())


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def bce_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return what a classifier minimizes: the mean of its two cross-entropies, halved as in pix2pix's section 3.3."""
    real = F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits))
    fake = F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
    return (real + fake) / 2


def bce_generator_loss(fake_logits: Tensor) -> Tensor:
    """Return what its generator minimizes: the cross-entropy of "real" (the non-saturating form, Goodfellow 2014)."""
    return F.binary_cross_entropy_with_logits(fake_logits, torch.ones_like(fake_logits))


def discriminator_accuracy(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the part of all patches, 0..1, that the classifier gets right; a logit of 0 says "generated"."""
    return ((real_logits > 0).float().mean() + (fake_logits <= 0).float().mean()) / 2
