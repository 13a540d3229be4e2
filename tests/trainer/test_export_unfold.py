"""Unfolding is folding backwards."""

import pytest
import torch

from kinema_core.errors import InvalidInputError
from kinema_trainer.export.onnx_file import export_onnx
from kinema_trainer.export.unfold import unfold_onnx_weights
from kinema_trainer.models.lite0_unet import Lite0UNet, Lite0UNetConfig
from kinema_trainer.recipes.recipe import Recipe
from tests.trainer.networks import SMALL, lively_network, random_lightness
from tests.trainer.recipes import TINY

MAX_AB_DIFFERENCE = 2e-3
"""Lab units: float32 sums in another order, over some fifty layers."""


@pytest.mark.parametrize("recipe", [TINY, SMALL], ids=lambda recipe: recipe.name)
def test_an_exported_model_becomes_a_network_that_computes_the_same(recipe: Recipe) -> None:
    exported = lively_network(recipe).eval()
    network = recipe.network.build()

    unfold_onnx_weights(export_onnx(exported), network, [random_lightness()])

    with torch.no_grad():
        given, expected = (each.eval()(random_lightness(96, 64)) for each in (network, exported))
    assert expected.abs().max() > 1
    torch.testing.assert_close(given, expected, atol=MAX_AB_DIFFERENCE, rtol=1e-4)


def test_in_training_its_norms_do_hardly_change_what_it_computes_on_such_pictures() -> None:
    exported = lively_network(TINY).eval()
    network = TINY.network.build()
    pictures = random_lightness()

    unfold_onnx_weights(export_onnx(exported), network, [pictures])

    with torch.no_grad():
        given, expected = network.train()(pictures), exported(pictures)
    torch.testing.assert_close(given, expected, atol=MAX_AB_DIFFERENCE, rtol=1e-2)


def test_what_is_frozen_stays_so() -> None:
    network = Lite0UNet(Lite0UNetConfig(channels=(8, 8, 8, 8, 8), num_blocks=(1, 1, 1, 1, 1), num_frozen=2)).train()
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}

    unfold_onnx_weights(export_onnx(lively_network(TINY)), network, [random_lightness()])

    assert frozen == {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen
    assert network.training


def test_another_network_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="does not hold the weights of Lite0UNet"):
        unfold_onnx_weights(export_onnx(lively_network(SMALL)), TINY.network.build(), [random_lightness()])
