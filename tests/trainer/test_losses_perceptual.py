"""The perceptual loss and the colours that it looks at."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema_core.color import lab as reference
from kinema_core.errors import InvalidInputError
from kinema_trainer.losses.differentiable_rgb import lab_to_rgb
from kinema_trainer.losses.perceptual import PerceptualLoss, PerceptualLossConfig, imagenet_features


class Pyramid(nn.Module):
    """A judge that looks at the picture itself, halved again and again."""

    def forward(self, rgb: Tensor) -> list[Tensor]:
        maps = [rgb]
        for _ in range(4):
            maps.append(F.avg_pool2d(maps[-1], 2))
        return maps


@pytest.fixture(scope="module")
def judge() -> PerceptualLoss:
    return PerceptualLoss()


def every_lab() -> Tensor:
    """Return (1, 3, 1, N), float64: the whole range of L*, a and b, far outside the gamut too, and black and white."""
    levels = torch.linspace(0, 100, 21, dtype=torch.float64)
    chroma = torch.linspace(-110, 110, 23, dtype=torch.float64)
    return torch.cartesian_prod(levels, chroma, chroma).T[None, :, None, :]


def colouring(side: int, seed: int) -> Tensor:
    coarse = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(seed)) * 25
    return F.interpolate(coarse, size=side, mode="bilinear")


def lightness(side: int) -> Tensor:
    return torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(9)) * 100


def test_colours_are_those_of_the_core() -> None:
    lab = every_lab()

    rgb = lab_to_rgb(lab)

    expected = reference.lab_to_rgb(lab[0, :, 0].T.numpy())
    assert np.abs(rgb[0, :, 0].T.numpy() - expected).max() < 1e-12


def test_colours_inside_the_gamut_come_back() -> None:
    rgb = torch.rand(1, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    lab = torch.from_numpy(reference.rgb_to_lab(rgb[0].permute(1, 2, 0).numpy())).permute(2, 0, 1)[None]

    returned = lab_to_rgb(lab)

    assert (returned - rgb).abs().max() < 1e-6  # sRGB's two pieces do not quite meet


def test_every_colour_has_a_finite_gradient_in_every_channel() -> None:
    lab = every_lab().requires_grad_()

    gradients = [torch.autograd.grad(lab_to_rgb(lab)[:, c].sum(), lab)[0] for c in range(3)]

    for gradient in gradients:
        assert gradient.isfinite().all()
        assert gradient.abs().amax(dim=1).min() > 0  # a colour outside the gamut still knows the way


def test_the_gradient_of_the_colours_is_the_numeric_one() -> None:
    lab = torch.tensor([[50.0, 20, -30], [0, 0, 0], [3, 1, 1], [80, -110, 110], [100, 0, 0]], dtype=torch.float64)

    assert torch.autograd.gradcheck(lab_to_rgb, (lab[..., None, None].requires_grad_(),))


def test_autocast_leaves_colours_in_float32() -> None:
    lab = every_lab().float()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        rgb = lab_to_rgb(lab)

    assert torch.equal(rgb, lab_to_rgb(lab))
    assert rgb.dtype == torch.float32


def test_the_loss_is_the_weighted_sum_over_layers() -> None:
    config = PerceptualLossConfig(layer_weights=(3.0, 0.5, 0.0, 0.0, 0.0))
    lightness_map, predicted, target = lightness(16), colouring(16, 1), colouring(16, 2)

    loss = PerceptualLoss(config, Pyramid())(lightness_map, predicted, target)

    def picture(ab: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return reference.lab_to_rgb(torch.cat((lightness_map, ab), dim=1)[0].permute(1, 2, 0).double().numpy())

    difference = picture(predicted) - picture(target)
    halved = difference.reshape(8, 2, 8, 2, 3).mean(axis=(1, 3))
    assert loss.item() == pytest.approx(3 * np.abs(difference).mean() + 0.5 * np.abs(halved).mean(), rel=1e-5)


def test_the_same_colours_cost_nothing(judge: PerceptualLoss) -> None:
    ab = colouring(64, 1)

    loss = judge(lightness(64), ab, ab.clone())

    assert loss.item() == 0


def test_colours_on_the_way_to_the_truth_cost_less(judge: PerceptualLoss) -> None:
    truth = colouring(64, 1)

    losses = [judge(lightness(64), share * truth, truth).item() for share in (0.0, 0.5, 0.9)]

    assert losses == sorted(losses, reverse=True)
    assert losses[0] > 0


def test_lightness_is_averaged_to_the_size_of_ab() -> None:
    full, predicted, target = lightness(32), colouring(16, 1), colouring(16, 2)
    loss = PerceptualLoss(features=Pyramid())

    halved = full.reshape(1, 1, 16, 2, 16, 2).mean(dim=(3, 5))

    assert loss(full, predicted, target).item() == pytest.approx(loss(halved, predicted, target).item(), rel=1e-6)


@pytest.mark.parametrize(("level", "chroma"), [(0.0, 0.0), (0.0, 110.0), (100.0, -110.0), (50.0, 300.0)])
def test_every_prediction_has_a_finite_gradient(judge: PerceptualLoss, level: float, chroma: float) -> None:
    predicted = torch.full((1, 2, 64, 64), chroma, requires_grad=True)

    judge(torch.full((1, 1, 64, 64), level), predicted, colouring(64, 1)).backward()

    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()
    assert predicted.grad.any()


def test_the_judge_never_changes() -> None:
    loss = PerceptualLoss(features=imagenet_features().train()).train()
    before = {name: value.clone() for name, value in loss.state_dict().items()}

    loss(lightness(64), colouring(64, 1).requires_grad_(), colouring(64, 2)).backward()

    assert not any(parameter.requires_grad for parameter in loss.parameters())
    assert all(torch.equal(value, before[name]) for name, value in loss.state_dict().items())


def test_a_weight_for_each_layer_is_asked_for() -> None:
    with pytest.raises(InvalidInputError, match="layer_weights: must be 5 numbers"):
        PerceptualLossConfig(layer_weights=(1.0, 2.0))
