"""Folding changes weights and modules, never the function."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from kinema_trainer.export.fold import fold_norms
from kinema_trainer.models.attention_unet import AttentionUNetConfig
from kinema_trainer.models.color_network import ColorNetwork
from kinema_trainer.models.lite0_unet import Lite0UNetConfig
from kinema_trainer.models.pix2pix_unet import Pix2PixUNetConfig
from kinema_trainer.models.residual_unet import ResidualUNetConfig
from tests.trainer.networks import enliven, random_lightness

MAX_AB_DIFFERENCE = 2e-3
"""Lab units: float32 sums in another order, over some fifty layers, on ab up to 500."""


class Hostile(ColorNetwork):
    """Convolutions and norms registered side by side, with something else between or beside them in the pass."""

    size_multiple = 2
    output_stride = 1

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Conv2d(4, 2, 1)


class PreActivation(Hostile):
    """The convolution's output is needed beside the norm."""

    def forward(self, lightness: Tensor) -> Tensor:
        h = self.conv(lightness / 50 - 1)
        ab: Tensor = self.head(h + torch.relu(self.norm(h)))
        return ab


class NormOfSum(Hostile):
    """The norm follows a sum."""

    def forward(self, lightness: Tensor) -> Tensor:
        x = lightness / 50 - 1
        ab: Tensor = self.head(torch.relu(self.norm(self.conv(x) + x)))
        return ab


class NormAfterActivation(Hostile):
    """The norm follows a ReLU."""

    def forward(self, lightness: Tensor) -> Tensor:
        ab: Tensor = self.head(self.norm(torch.relu(self.conv(lightness / 50 - 1))))
        return ab


class SharedConvolution(Hostile):
    """The convolution runs twice, and the norm behind one of its runs."""

    def forward(self, lightness: Tensor) -> Tensor:
        x = lightness / 50 - 1
        ab: Tensor = self.head(torch.relu(self.norm(self.conv(x))) + self.conv(-x))
        return ab


class Plain(Hostile):
    """What can be folded."""

    def forward(self, lightness: Tensor) -> Tensor:
        ab: Tensor = self.head(torch.relu(self.norm(self.conv(lightness / 50 - 1))))
        return ab


def norms(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize(
    "build",
    [
        Lite0UNetConfig(channels=(8, 8, 8, 8, 8), num_blocks=(1, 1, 1, 1, 1)).build,
        ResidualUNetConfig(channels=(4, 8)).build,
        ResidualUNetConfig(channels=(4, 8), is_residual=False).build,
        Pix2PixUNetConfig(channels=(4, 8, 8)).build,
        AttentionUNetConfig(channels=(8, 8, 8, 8)).build,
        Plain,
    ],
    ids=["lite0", "residual", "plain U-Net", "pix2pix", "attention", "plain"],
)
def test_every_norm_of_our_networks_is_folded_and_the_function_stays(build: Callable[[], ColorNetwork]) -> None:
    torch.manual_seed(3)
    network = enliven(build())

    folded = fold_norms(network)

    assert norms(network)
    assert not norms(folded)
    with torch.no_grad():
        expected = network(random_lightness())
        torch.testing.assert_close(folded(random_lightness()), expected, atol=MAX_AB_DIFFERENCE, rtol=0)
    assert expected.std() > 0.01


@pytest.mark.parametrize("build", [PreActivation, NormOfSum, NormAfterActivation, SharedConvolution])
def test_a_norm_that_does_not_belong_to_the_convolution_before_it_stays(build: Callable[[], ColorNetwork]) -> None:
    torch.manual_seed(3)
    network = enliven(build(), head_scale=1)

    folded = fold_norms(network)

    assert len(norms(folded)) == 1
    with torch.no_grad():
        torch.testing.assert_close(folded(random_lightness()), network(random_lightness()))


def test_spectral_norm_becomes_a_plain_weight() -> None:
    torch.manual_seed(3)
    network = Plain()
    conv = parametrizations.spectral_norm(network.conv)
    enliven(network, head_scale=1)

    folded = fold_norms(network)

    assert parametrize.is_parametrized(conv)
    assert not any(parametrize.is_parametrized(module) for module in folded.modules())
    assert not norms(folded)
    with torch.no_grad():
        torch.testing.assert_close(folded(random_lightness()), network(random_lightness()))


def test_the_network_itself_is_left_alone() -> None:
    network = enliven(Plain())
    before = {name: value.clone() for name, value in network.state_dict().items()}

    fold_norms(network)

    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
