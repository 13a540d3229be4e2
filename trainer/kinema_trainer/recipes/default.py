"""The model that ships: a residual U-Net on a pretrained EfficientNet-Lite0, L* -> ab, pixel loss only.

Source: ours.

Command: `kinema train default --data DIR --out DIR --set
'data.source_rates={"imagenet-samples":4,"imagen":3,"intel-scenes":0.5,"animal-pose":1.5}'`, then
`kinema export DIR/average.pt BUNDLE --version 2 --ab-gain 1.12 --int8 --int8-first-f32 9`. The folders are those of the
photographs at hand; what has thousands of kinds of things is drawn more often, what has the same six scenes less.

Hardware and time: two cores of an AMD EPYC (AVX-512, bf16) that did other work as well, 85 minutes. 11,758 photographs,
96,000 crops.

Score: on 500 validation photographs at 256 px, PSNR 23.31 dB, CIEDE2000 10.08, colourfulness 0.61 of the truth's. Grey
has 22.12 and 11.29, the mean ab 22.55 and 11.58. The gain was chosen on every third of those photographs, so that the
colourfulness is 0.6: there PSNR is 23.56 dB (grey 21.90, mean ab 22.55). By gains of 0.67, 0.9, 1 and 1.12 all 500 have
23.59, 23.59, 23.48 and 23.31 dB, and 0.37, 0.49, 0.55 and 0.61 of the colourfulness.
"""

from kinema_trainer.data.pairs import DataConfig
from kinema_trainer.losses.pixel import PixelLossConfig
from kinema_trainer.models.lite0_unet import Lite0UNetConfig
from kinema_trainer.recipes.recipe import OptimizerConfig, Recipe, Stage

RECIPE = Recipe(
    name="default",
    network=Lite0UNetConfig(num_frozen=5, dropout=0.3),
    data=DataConfig(min_crop=0.5, luma_rate=0.3, film_rate=0.3),
    stages=(Stage("generator", 5200, 192), Stage("generator", 800, 256)),
    batch_size=16,
    optimizer=OptimizerConfig(
        learning_rate=7e-4,
        pretrained_rate=5e-5,
        weight_decay=0.02,
        gradient_clip=5.0,
        warmup_steps=200,
        decay_steps=4000,
    ),
    pixel=PixelLossConfig(kind="log_mse", weight=5, beta=2),
    ema_decay=0.998,
    precision="bf16-mixed",
)
