"""Objectives that compare pixel with pixel."""

import math

import pytest
import torch

from kinema_trainer.losses.pixel import PixelLossConfig, log_mse, weighted_smooth_l1


def test_l1_of_weight_100_is_the_papers() -> None:
    """pix2pix: 100 times the mean absolute difference of ab / 110."""
    target = torch.zeros(1, 2, 2, 2)
    ab = target.clone()
    ab[0, 0, 0, 0], ab[0, 1, 1, 1] = 22.0, -11.0

    loss = PixelLossConfig(kind="l1", weight=100).loss(ab, target)

    assert loss.item() == pytest.approx(100 * (22 + 11) / 8 / 110)


@pytest.mark.parametrize(("difference", "expected"), [(4.0, 0.5 * 4**2 / 10), (30.0, 30 - 10 / 2)])
def test_smooth_l1_is_quadratic_within_beta_and_linear_beyond(difference: float, expected: float) -> None:
    target = torch.zeros(1, 2, 2, 2)

    loss = PixelLossConfig(kind="smooth_l1", weight=110, beta=10).loss(target + difference, target)

    assert loss.item() == pytest.approx(expected)


def test_the_loss_is_zero_at_the_target_and_weighs_colour_more_than_grey() -> None:
    grey, colour = torch.zeros(1, 2, 4, 4), torch.full((1, 2, 4, 4), 40.0)
    target = torch.cat((grey, colour), dim=3)
    off_in_grey, off_in_colour = target.clone(), target.clone()
    off_in_grey[..., :4] += 20
    off_in_colour[..., 4:] += 20

    def loss(ab: torch.Tensor, chroma_weight: float) -> float:
        return weighted_smooth_l1(ab, target, beta=10, chroma_weight=chroma_weight).item()

    assert loss(target, 1) == 0
    assert loss(off_in_grey, 0) == pytest.approx(loss(off_in_colour, 0))
    assert loss(off_in_colour, 1) > 1.5 * loss(off_in_grey, 1)


def test_log_mse_asks_every_picture_for_the_same_part_of_its_error() -> None:
    target = torch.zeros(2, 2, 4, 4)
    ab = torch.cat((torch.full((1, 2, 4, 4), 8.0), torch.full((1, 2, 4, 4), 40.0))).requires_grad_()

    loss = PixelLossConfig(kind="log_mse", weight=10 / math.log(10), beta=0).loss(ab, target)
    (slope,) = torch.autograd.grad(loss, ab)

    assert loss.item() == pytest.approx((20 * math.log10(8) + 20 * math.log10(40)) / 2)  # decibels
    relative = (slope * ab.detach()).sum(dim=(1, 2, 3))
    assert relative[0].item() == pytest.approx(relative[1].item())


def test_log_mse_is_content_within_beta() -> None:
    target = torch.zeros(1, 2, 4, 4)

    at_target, near = (log_mse(target + difference, target, beta=2).item() for difference in (0.0, 0.2))

    assert at_target == pytest.approx(math.log(4))
    assert near - at_target == pytest.approx(0.01, abs=1e-3)
