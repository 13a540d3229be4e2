"""PatchGAN as a critic and as a classifier."""

from typing import Literal

import pytest
import torch
from torch import Tensor

from kinema_core.errors import InvalidInputError
from kinema_trainer.losses.adversarial import bce_discriminator_loss, discriminator_accuracy
from kinema_trainer.models.color_network import count_parameters
from kinema_trainer.models.patch_gan import PatchGAN, PatchGANConfig


def built(**config: int | str) -> PatchGAN:
    torch.manual_seed(0)
    return PatchGANConfig(**config).build()  # type: ignore[arg-type]  # a row of a table


def pictures(*shape: int) -> tuple[Tensor, Tensor]:
    batch, height, width = shape
    source = torch.Generator().manual_seed(1)
    lightness = torch.rand(batch, 1, height, width, generator=source) * 100
    return lightness, torch.randn(batch, 2, height, width, generator=source) * 20


@pytest.mark.parametrize(("num_layers", "reach"), [(1, 16), (2, 34), (3, 70)])
def test_a_score_sees_a_patch_of_the_stated_size(num_layers: int, reach: int) -> None:
    critic = built(channels=4, num_layers=num_layers).eval()
    lightness, ab = pictures(1, 160, 160)
    ab.requires_grad_()

    scores = critic(lightness, ab)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()

    assert ab.grad is not None
    seen = ab.grad[0].abs().sum(dim=0) > 0
    assert seen.any(dim=1).sum() == reach
    assert seen.any(dim=0).sum() == reach
    assert seen.sum() == reach**2


@pytest.mark.parametrize(("height", "width"), [(24, 24), (32, 33), (71, 90), (256, 64)])
def test_every_size_gives_a_map_of_scores(height: int, width: int) -> None:
    critic = built(channels=4)

    scores = critic(*pictures(2, height, width))

    assert scores.shape == (2, 1, height // 8 - 2, width // 8 - 2)


def test_small_pictures_need_fewer_layers() -> None:
    classifier = built(channels=4, num_layers=2, norm="batch").train()

    scores = classifier(*pictures(2, 32, 32))

    assert scores.shape == (2, 1, 6, 6)


def test_the_classifier_has_the_parameters_of_the_authors_code() -> None:
    """Theirs takes six channels and has 2,768,705; ours takes three."""
    classifier = built(norm="batch")

    assert count_parameters(classifier) == 2_768_705 - 3 * 64 * 16


def test_scores_of_lab_units_are_those_of_scaled_ab() -> None:
    critic = built(channels=4)
    lightness, ab = pictures(2, 32, 32)

    scores = critic(lightness, ab)

    assert torch.equal(scores, critic.score_scaled(lightness, critic.scale_ab(ab)))
    assert torch.equal(critic.scale_ab(torch.tensor([110.0])), torch.tensor([1.0]))


@pytest.mark.parametrize("norm", ["none", "instance"])
def test_a_critic_scores_each_picture_for_itself(norm: Literal["none", "instance"]) -> None:
    critic = built(channels=4, norm=norm).train()
    lightness, ab = pictures(3, 48, 48)

    together = critic(lightness, ab)
    alone = torch.cat([critic(lightness[i : i + 1], ab[i : i + 1]) for i in range(3)])

    critic.check_is_critic()
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_critic_with_batch_norm_is_refused() -> None:
    classifier = built(channels=4, norm="batch")

    with pytest.raises(InvalidInputError, match=r'norm: must be "none" or "instance".* got "batch"'):
        classifier.check_is_critic()


def test_no_layers_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="num_layers: must be 1 or more, got 0"):
        PatchGANConfig(num_layers=0)


def test_the_lightness_is_a_condition_of_the_score() -> None:
    critic = built(channels=4)
    lightness, ab = pictures(1, 32, 32)

    scores, others = (critic(x, ab) for x in (lightness, 100 - lightness))

    assert (scores - others).abs().max() > 0.01 * scores.std()


def test_a_classifier_learns_to_tell_colour_from_grey() -> None:
    classifier = built(channels=8, num_layers=2, norm="batch").train()
    lightness, ab = pictures(4, 32, 32)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=2e-3)

    for _ in range(15):
        real, fake = classifier(torch.cat((lightness, lightness)), torch.cat((ab, ab * 0))).chunk(2)
        optimizer.zero_grad()
        bce_discriminator_loss(real, fake).backward()  # type: ignore[no-untyped-call]  # untyped in torch
        optimizer.step()

    assert discriminator_accuracy(real, fake) > 0.9


def test_a_description_counts_the_scores_of_one_picture() -> None:
    """By hand: 2 x 16 operations a tap and an output, of each of the four layers, at 32 pixels and four channels."""
    critic = built(channels=4, num_layers=2)

    description = critic.describe(32)

    macs = 16 * (3 * 4 * 16**2 + 4 * 8 * 8**2 + 8 * 16 * 7**2 + 16 * 1 * 6**2)
    assert description.gflops == pytest.approx(2 * macs / 1e9)
    assert description.num_parameters == count_parameters(critic)
