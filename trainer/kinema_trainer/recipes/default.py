"""The model that ships: a residual U-Net on a pretrained EfficientNet-Lite0, L* -> ab, pixel loss only.

Source: ours.

Command: `kinema train default --data DIR --out DIR`, then `kinema export DIR/last.pt BUNDLE --ab-gain 0.8`.

Hardware and time: two cores of an AMD EPYC (AVX-512, bf16) that did other work as well, 83 minutes; alone, a step
takes 0.47 s at 128 px. 11,758 photographs, 108,800 crops.

Score: on 500 validation photographs at 256 px, PSNR 23.11 dB, CIEDE2000 10.57, colourfulness 0.52 of the truth's. Grey
has 22.12 and 11.29, the mean ab 22.55 and 11.58. The gain was chosen on 100 of those photographs, by their ab-PSNR and
chroma: at a gain of 0.6, 0.8 and 1.0 they have 27.17, 27.03 and 26.66 dB (grey 25.97, mean ab 26.55), and 0.50, 0.67
and 0.84 of the truth's mean chroma. The loss counts colourful pixels for more, so unscaled the network overshoots.
That run was by the loop before this one: the same losses and rates, other random numbers, and a simpler film.
"""

from kinema_trainer.data.pairs import DataConfig
from kinema_trainer.losses.pixel import PixelLossConfig
from kinema_trainer.models.lite0_unet import Lite0UNetConfig
from kinema_trainer.recipes.recipe import OptimizerConfig, Recipe, Stage

RECIPE = Recipe(
    name="default",
    network=Lite0UNetConfig(),
    data=DataConfig(luma_rate=0.3, film_rate=0.4),
    stages=(Stage("generator", 5900, 128), Stage("generator", 900, 192)),
    batch_size=16,
    optimizer=OptimizerConfig(
        learning_rate=1e-3,
        pretrained_rate=3e-4,
        weight_decay=0.02,
        gradient_clip=1.0,
        warmup_steps=300,
        decay_steps=3600,
    ),
    pixel=PixelLossConfig(kind="smooth_l1", weight=110, beta=10, chroma_weight=1),
    ema_decay=0.998,
    precision="bf16-mixed",
)
