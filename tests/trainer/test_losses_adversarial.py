"""Objectives of generator and critic."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kinema_trainer.losses.adversarial import (
    bce_discriminator_loss,
    bce_generator_loss,
    critic_loss,
    discriminator_accuracy,
    generator_loss,
    gradient_penalty,
    wasserstein_estimate,
)
from kinema_trainer.models.patch_gan import PatchGANConfig


class FormulaCritic:
    """Scores by a formula of lightness and scaled ab, and remembers what it was asked."""

    def __init__(self, formula: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.formula = formula
        self.asked: list[tuple[Tensor, Tensor]] = []

    def scale_ab(self, ab: Tensor) -> Tensor:
        return ab / 110

    def score_scaled(self, lightness: Tensor, scaled_ab: Tensor) -> Tensor:
        self.asked.append((lightness.detach(), scaled_ab.detach()))
        return self.formula(lightness, scaled_ab)


def batch(size: int = 3, side: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Return lightness, real ab and generated ab, float64."""
    source = torch.Generator().manual_seed(5)
    shape = (size, 2, side, side)
    real, fake = (torch.randn(shape, generator=source, dtype=torch.float64) * 30 for _ in range(2))
    return torch.rand(size, 1, side, side, generator=source, dtype=torch.float64) * 100, real, fake


def weighted_sum(weights: Tensor, ab: Tensor) -> Tensor:
    return (weights * ab).sum(dim=(1, 2, 3)).view(-1, 1, 1, 1)


def test_the_penalty_is_that_of_a_hand_computed_case() -> None:
    """The score w.s + q.s^2 / 2 has the gradient w + q s."""
    lightness, real, fake = batch()
    w = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    q = torch.linspace(-1, 1, 32, dtype=torch.float64).view(2, 4, 4)
    critic = FormulaCritic(lambda _, s: weighted_sum(w, s) + weighted_sum(q, s**2) / 2)

    penalty = gradient_penalty(critic, lightness, real, fake, generator=torch.Generator().manual_seed(7))

    epsilons = torch.rand(3, 1, 1, 1, generator=torch.Generator().manual_seed(7)).tolist()
    norms = []
    for i, [[[epsilon]]] in enumerate(epsilons):
        mixed = (epsilon * real[i] + (1 - epsilon) * fake[i]) / 110
        norms.append(math.sqrt(sum(g * g for g in (w + q * mixed).flatten().tolist())))
    assert penalty.loss.item() == pytest.approx(sum((n - 1) ** 2 for n in norms) / 3, rel=1e-12)
    assert penalty.mean_norm.item() == pytest.approx(sum(norms) / 3, rel=1e-12)


@pytest.mark.parametrize("num_patches", [1, 16])
def test_a_critic_of_slope_one_pays_nothing(num_patches: int) -> None:
    """Its score is linear with a weight of norm one, whether it comes as one number or as the mean of many patches."""
    lightness, real, fake = batch()
    w = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    w /= w.norm()
    one = FormulaCritic(lambda _, s: weighted_sum(w, s))
    many = FormulaCritic(lambda _, s: 16 * (w * s).sum(dim=1, keepdim=True))

    penalty = gradient_penalty(one if num_patches == 1 else many, lightness, real, fake)

    assert penalty.loss.item() == pytest.approx(0, abs=1e-24)
    assert penalty.mean_norm.item() == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(("slope", "expected"), [(0.0, 1.0), (3.0, 4.0)])
def test_a_critic_of_another_slope_pays_the_square_of_the_difference(slope: float, expected: float) -> None:
    lightness, real, fake = batch()
    w = torch.full((2, 4, 4), slope / math.sqrt(32), dtype=torch.float64, requires_grad=True)

    penalty = gradient_penalty(FormulaCritic(lambda _, s: weighted_sum(w, s)), lightness, real, fake)
    penalty.loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch

    assert penalty.loss.item() == pytest.approx(expected, rel=1e-12)
    assert w.grad is not None
    assert w.grad.isfinite().all()  # a norm has no slope at zero: torch takes 0 there


def test_each_picture_is_mixed_by_one_epsilon_of_its_own() -> None:
    lightness, real, fake = batch()
    critic = FormulaCritic(lambda _, s: weighted_sum(s, s))

    gradient_penalty(critic, lightness, real, fake)

    [(_, mixed)] = critic.asked
    shares = ((110 * mixed - fake) / (real - fake)).flatten(1)
    assert torch.allclose(shares, shares[:, :1].expand_as(shares), atol=1e-9)
    assert ((shares > 0) & (shares < 1)).all()
    assert len(set(shares[:, 0].tolist())) == 3


def test_the_lightness_is_neither_mixed_nor_differentiated() -> None:
    """The score sum(L x (a + b)) has the gradient L in ab, and (a + b) in L, which must not count."""
    lightness, real, fake = batch()
    critic = FormulaCritic(weighted_sum)

    penalty = gradient_penalty(critic, lightness, real, fake)

    assert torch.equal(critic.asked[0][0], lightness)
    norms = lightness.flatten(1).norm(dim=1) * math.sqrt(2)
    assert penalty.mean_norm.item() == pytest.approx(norms.mean().item(), rel=1e-12)
    assert penalty.loss.item() == pytest.approx(((norms - 1) ** 2).mean().item(), rel=1e-12)


def test_the_penalty_moves_the_critics_weights_as_finite_differences_do() -> None:
    torch.manual_seed(0)
    critic = PatchGANConfig(channels=4, num_layers=1).build().double()
    weights = list(critic.parameters())
    lightness, real, fake = batch(side=16)
    direction = [torch.randn_like(weight) for weight in weights]

    def penalty_after(step_size: float) -> Tensor:
        with torch.no_grad():
            for weight, step in zip(weights, direction, strict=True):
                weight.add_(step, alpha=step_size)
        return gradient_penalty(critic, lightness, real, fake, generator=torch.Generator().manual_seed(7)).loss

    gradients = torch.autograd.grad(penalty_after(0), weights, materialize_grads=True)
    slope = sum(float((gradient * step).sum()) for gradient, step in zip(gradients, direction, strict=True))

    numeric = (penalty_after(1e-6) - penalty_after(-2e-6)).item() / 2e-6
    assert abs(numeric) > 1e-5
    assert slope == pytest.approx(numeric, rel=1e-5)  # central differences of float64


def test_autocast_leaves_the_penalty_in_float32() -> None:
    torch.manual_seed(0)
    critic = PatchGANConfig(channels=4, num_layers=1).build()
    lightness, real, fake = (x.float() for x in batch(side=16))

    plain = gradient_penalty(critic, lightness, real, fake, generator=torch.Generator().manual_seed(7))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = gradient_penalty(critic, lightness, real, fake, generator=torch.Generator().manual_seed(7))
        halves = gradient_penalty(critic, lightness, real.bfloat16(), fake.bfloat16())

    assert mixed.loss.dtype == halves.loss.dtype == torch.float32
    assert torch.equal(mixed.loss, plain.loss)


def test_the_penalty_says_nothing_to_the_generator() -> None:
    lightness, real, fake = batch()
    fake.requires_grad_()
    w = torch.ones(2, 4, 4, dtype=torch.float64, requires_grad=True)

    gradient_penalty(FormulaCritic(lambda _, s: weighted_sum(w, s**2)), lightness, real, fake).loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch

    assert fake.grad is None


def test_wasserstein_losses_have_their_hand_values() -> None:
    real, fake = torch.tensor([[[[1.0, 3.0]]], [[[2.0, 6.0]]]]), torch.tensor([[[[0.5, -1.5]]], [[[0.0, -3.0]]]])

    losses = [loss.item() for loss in (critic_loss(real, fake), wasserstein_estimate(real, fake), generator_loss(fake))]

    assert losses == [-4.0, 4.0, 1.0]


def test_cross_entropies_have_their_hand_values() -> None:
    real, fake = torch.tensor([0.0, 2.0]), torch.tensor([-1.0, 3.0])

    discriminator, generator = bce_discriminator_loss(real, fake), bce_generator_loss(fake)

    on_real = (math.log(2) + math.log1p(math.exp(-2))) / 2
    on_fake = (math.log1p(math.exp(-1)) + math.log1p(math.exp(3))) / 2
    assert discriminator.item() == pytest.approx((on_real + on_fake) / 2, rel=1e-6)
    assert generator.item() == pytest.approx((math.log1p(math.exp(1)) + math.log1p(math.exp(-3))) / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [([1.0, 2.0], [-1.0, -2.0], 1.0), ([-1.0, 2.0], [-1.0, -2.0], 0.75), ([-1.0], [1.0], 0.0), ([0.0], [0.0], 0.5)],
)
def test_the_accuracy_is_the_part_of_patches_that_is_right(
    real: list[float], fake: list[float], expected: float
) -> None:
    accuracy = discriminator_accuracy(torch.tensor(real), torch.tensor(fake))

    assert accuracy.item() == expected


def test_a_critic_under_penalty_learns_a_distance() -> None:
    """On ab that all differ by one vector of length d, the best critic of slope one tells d."""
    torch.manual_seed(0)
    w = nn.Parameter(torch.zeros(2, 4, 4))
    critic = FormulaCritic(lambda _, s: weighted_sum(w, s))
    fake = torch.randn(8, 2, 4, 4) * 20
    shift = torch.full((2, 4, 4), 110.0)  # 1 in the critic's units: length sqrt(32)
    lightness = torch.zeros(8, 1, 4, 4)
    optimizer = torch.optim.SGD([w], lr=0.02)

    for _ in range(150):
        scores = [critic.score_scaled(lightness, critic.scale_ab(ab)) for ab in (fake + shift, fake)]
        penalty = gradient_penalty(critic, lightness, fake + shift, fake)
        optimizer.zero_grad()
        (critic_loss(*scores) + 10 * penalty.loss).backward()  # type: ignore[no-untyped-call]  # untyped in torch
        optimizer.step()

    # The penalty is soft: with weight k the slope settles at 1 + d / (2 k).
    distance = math.sqrt(32)
    assert wasserstein_estimate(*scores).item() == pytest.approx(distance * (1 + distance / 20), rel=1e-3)
