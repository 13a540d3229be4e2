"""Networks that say something, and checkpoints of them, without training."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from kinema_trainer.models.color_network import ColorNetwork
from kinema_trainer.models.residual_unet import ResidualUNetConfig
from kinema_trainer.recipes.recipe import Recipe
from kinema_trainer.training.checkpoints import averaged, write_checkpoint
from tests.trainer.recipes import TINY

SMALL = replace(TINY, name="small", network=ResidualUNetConfig(channels=(4, 8)))
"""With a network of some thousand weights."""


def enliven(network: ColorNetwork, head_scale: float = 0.1) -> ColorNetwork:
    """Give norms statistics worth folding, and the head weights that do not say grey."""
    generator = torch.Generator().manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
    head = network.head
    assert isinstance(head, nn.Conv2d | nn.ConvTranspose2d)
    head.weight.data.normal_(0, head_scale, generator=generator)
    return network.eval()


def lively_network(recipe: Recipe = TINY) -> ColorNetwork:
    torch.manual_seed(3)
    return enliven(recipe.network.build())


def write_lively_checkpoint(path: Path, recipe: Recipe = TINY) -> Path:
    write_checkpoint(path, averaged(recipe, 7, lively_network(recipe)))
    return path


def random_lightness(height: int = 64, width: int = 96) -> torch.Tensor:
    """(2, 1, height, width), L* 0-100."""
    return torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(2)) * 100
