"""Colourfulness as it is scored, and what lacks of it."""

import numpy as np
import pytest
import torch

from kinema_core.quality.colourfulness import colourfulness as scored
from kinema_trainer.losses.colourfulness import ColourfulnessConfig, colourfulness, shortfall

ASKED = ColourfulnessConfig(part=0.6, weight=100.0, pool=1)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Lightness (4, 1, 16, 16) and ab (4, 2, 8, 8) inside the gamut."""
    generator = torch.Generator().manual_seed(3)
    lightness = 40 + 20 * torch.rand(4, 1, 16, 16, generator=generator)
    return lightness, 30 * torch.rand(4, 2, 8, 8, generator=generator) - 15


def test_it_is_the_score() -> None:
    rgb = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))

    found = colourfulness(rgb)

    expected = [scored(255 * np.moveaxis(picture.numpy(), 0, 2)) for picture in rgb]
    assert found.tolist() == pytest.approx(expected, rel=1e-4)


def test_nothing_is_asked_of_a_batch_that_has_enough() -> None:
    lightness, target = batch()

    found = shortfall(lightness, 0.7 * target, target, ASKED)

    assert found.part.item() == pytest.approx(0.7, abs=0.05)
    assert found.loss.item() == 0


def test_what_lacks_counts_squared_and_asks_for_more_colour() -> None:
    lightness, target = batch()
    ab = (0.3 * target).requires_grad_()

    found = shortfall(lightness, ab, target, ASKED)
    (slope,) = torch.autograd.grad(found.loss, ab)

    assert found.loss.item() == pytest.approx(100 * (0.6 - found.part.item()) ** 2, rel=1e-5)
    assert (slope * ab.detach()).sum().item() < 0


def test_grey_has_a_slope_without_nan() -> None:
    lightness, target = batch()
    ab = torch.zeros_like(target).requires_grad_()

    (slope,) = torch.autograd.grad(shortfall(lightness, ab, target, ASKED).loss, ab)

    assert torch.isfinite(slope).all()


@pytest.mark.parametrize("wrong", [{"part": 0.0}, {"part": 1.1}, {"pool": 0}])
def test_what_cannot_be_asked_for_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="part must be above 0"):
        ColourfulnessConfig(**({"part": 0.5, "weight": 1.0} | wrong))  # type: ignore[arg-type]  # on purpose
