"""Training runs."""

from pathlib import Path

import pytest
import torch

from kinema_core.errors import InvalidInputError
from kinema_trainer.losses import weighted_smooth_l1
from kinema_trainer.recipes.default import DefaultRecipe
from kinema_trainer.train import Progress, learning_rate_factor, new_state, train
from tests.trainer.photos import write_photos
from tests.trainer.recipes import TINY


def weights_after(checkpoint: Path) -> dict[str, torch.Tensor]:
    kept = torch.load(checkpoint, weights_only=True)
    return {**kept["network"], **{f"average.{name}": value for name, value in kept["average"].items()}}


class Killed(BaseException):
    """Stands for a run that is stopped from outside."""


@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one_bit_for_bit(tmp_path: Path, stop_at: int) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    write_photos(photos, 5)
    whole = train(TINY, data=photos, out=tmp_path / "whole", pretrained=False)

    def stop(at: Progress) -> None:
        if at.step == stop_at:
            raise Killed

    with pytest.raises(Killed):
        train(TINY, data=photos, out=tmp_path / "parts", pretrained=False, on_step=stop)
    parts = train(TINY, data=photos, out=tmp_path / "parts", pretrained=False, resume=True)

    expected, found = weights_after(whole), weights_after(parts)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


def test_a_run_is_not_written_over_without_being_asked_to(tmp_path: Path) -> None:
    write_photos(tmp_path, 2)
    short = TINY.with_max_steps(1)
    train(short, data=tmp_path, out=tmp_path / "run", pretrained=False)

    with pytest.raises(InvalidInputError, match="--resume"):
        train(short, data=tmp_path, out=tmp_path / "run", pretrained=False)


def test_one_batch_can_be_learnt_by_heart() -> None:
    """The usual check that gradients reach where they should."""
    state = new_state(TINY, pretrained=False)
    generator = torch.Generator().manual_seed(1)
    lightness = torch.rand(2, 1, 64, 64, generator=generator) * 100
    ab = torch.rand(2, 2, 2, 2, generator=generator).mul(80).sub(40).repeat_interleave(16, 2).repeat_interleave(16, 3)
    losses = []

    for _ in range(60):
        loss = weighted_smooth_l1(state.network(lightness), ab, beta=10, chroma_weight=1)
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        state.optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < 0.3 * losses[0]


def test_the_learning_rate_rises_stays_and_falls_to_nothing() -> None:
    recipe = DefaultRecipe(max_steps=100, decay_steps=20, warmup_steps=10)
    factors = [learning_rate_factor(step, recipe) for step in range(100)]

    assert factors[:10] == sorted(factors[:10])
    assert set(factors[9:81]) == {1.0}
    assert factors[80:] == sorted(factors[80:], reverse=True)
    assert factors[-1] == pytest.approx(1 / 20)


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
