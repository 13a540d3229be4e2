"""Recipes small enough for tests."""

from dataclasses import replace

from kinema_trainer.data.pairs import DataConfig
from kinema_trainer.losses.pixel import PixelLossConfig
from kinema_trainer.models.lite0_unet import Lite0UNetConfig
from kinema_trainer.models.patch_gan import PatchGANConfig
from kinema_trainer.models.residual_unet import ResidualUNetConfig
from kinema_trainer.recipes.recipe import AdversarialConfig, OptimizerConfig, Recipe, Stage

TINY = Recipe(
    name="tiny",
    network=Lite0UNetConfig(channels=(8, 8, 8, 8, 8), num_blocks=(1, 1, 1, 1, 1)),
    is_pretrained=False,
    data=DataConfig(),
    stages=(Stage("generator", 4, 32), Stage("generator", 2, 64)),
    batch_size=2,
    optimizer=OptimizerConfig(
        learning_rate=1e-3, pretrained_rate=3e-4, weight_decay=0.02, gradient_clip=1.0, warmup_steps=2, decay_steps=3
    ),
    pixel=PixelLossConfig(kind="smooth_l1", weight=110, beta=10, chroma_weight=1),
    ema_decay=0.9,
    score_every=3,
    num_scored=2,
    score_size=64,
)
"""On a pretrained encoder, by a pixel loss."""

TINY_WGAN = replace(
    TINY,
    name="tiny_wgan",
    network=ResidualUNetConfig(channels=(4, 8), norm="instance", dropout=0.2),
    stages=(Stage("generator", 2, 32), Stage("critic", 2, 32), Stage("adversarial", 4, 32)),
    optimizer=OptimizerConfig(learning_rate=2e-4, betas=(0.5, 0.999)),
    pixel=PixelLossConfig(kind="l1", weight=100),
    adversarial=AdversarialConfig(
        kind="wgan_gp", critic=PatchGANConfig(channels=4, num_layers=1, norm="none"), critic_steps=2
    ),
)
"""Every stage of the cWGAN-GP pipeline."""

TINY_GAN = replace(
    TINY_WGAN,
    name="tiny_gan",
    stages=(Stage("adversarial", 4, 32),),
    adversarial=AdversarialConfig(kind="bce", critic=PatchGANConfig(channels=4, num_layers=1, norm="batch")),
)
"""A classifier for the other player."""
