"""A recipe small enough for tests."""

import dataclasses

from kinema_trainer.models.residual_unet import ResidualUNetConfig
from kinema_trainer.recipes.default import RECIPE

TINY = dataclasses.replace(
    RECIPE,
    network=ResidualUNetConfig(channels=(8, 8, 8, 8, 8), num_blocks=(1, 1, 1, 1, 1)),
    max_steps=6, decay_steps=3, finish_steps=2, warmup_steps=2, batch_size=2, crop_size=32, finish_crop_size=64,
)  # fmt: skip
