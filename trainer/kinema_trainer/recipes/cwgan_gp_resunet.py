"""Conditional WGAN-GP: a residual U-Net against a 70x70 PatchGAN critic, L* -> ab.

Source: pix2pix (Isola et al., CVPR 2017) with the Wasserstein critic and gradient penalty of Gulrajani et al. (NeurIPS
2017) in place of its classifier, and residual blocks in the U-Net ("Image Colorization using Pix2Pix with cWGAN and
Residual U-Net Architecture"). From there: 256 x 256, L1 x 100, penalty x 10, Adam at 2e-4 with betas 0.5 and 0.999,
five critic steps to one of the generator, horizontal flips, a checkpoint every ten epochs, PyTorch Lightning.

Ours: the generator learns by L1 alone first, then the critic alone, and only then both play; the average of the
generator's weights is what is scored. The paper plays from the first step:
`--set 'stages=[{"kind": "adversarial", "num_steps": 100000, "crop_size": 256}]'`.

Weight of the adversarial loss: 0.001. The papers' code asks for slope one of the sum over the critic's 30 x 30 patches
and lets the generator have their mean, which is then 900 times as flat; ours asks it of the mean (`gradient_penalty`).
1 / 900 gives the generator the papers' balance of L1 and critic; at 1 the critic is the stronger by far.

Command: `kinema train cwgan_gp_resunet --data DIR --out DIR`

Hardware and time: not run at this size. Two cores of an AMD EPYC (AVX-512, bf16) that did other work as well ran half
the widths on 128 px crops, batches of 8: 687 steps of the first stage in 8 minutes, 100 critic steps and 715
adversarial ones (143 of the generator) at a weight of 1 in 9. docs/reproduction.md has the commands.

Score: of that small run, on 167 validation photographs at 256 px: after the first stage PSNR 22.63 dB, CIEDE2000 11.33,
colourfulness 0.29 of the truth's; after the last 21.69, 14.09 and 0.42. Grey has 21.90 and 11.52.
"""

from kinema_trainer.data.pairs import DataConfig
from kinema_trainer.losses.pixel import PixelLossConfig
from kinema_trainer.models.patch_gan import PatchGANConfig
from kinema_trainer.models.residual_unet import ResidualUNetConfig
from kinema_trainer.recipes.recipe import AdversarialConfig, OptimizerConfig, Recipe, Stage

RECIPE = Recipe(
    name="cwgan_gp_resunet",
    network=ResidualUNetConfig(),
    data=DataConfig(min_crop=0.6),
    stages=(Stage("generator", 20_000, 256), Stage("critic", 1_000, 256), Stage("adversarial", 10_000, 256)),
    batch_size=16,
    optimizer=OptimizerConfig(learning_rate=2e-4, betas=(0.5, 0.999)),
    pixel=PixelLossConfig(kind="l1", weight=100),
    adversarial=AdversarialConfig(
        kind="wgan_gp",
        weight=0.001,
        critic=PatchGANConfig(),
        penalty_weight=10,
        critic_steps=5,
        learning_rate=2e-4,
        betas=(0.5, 0.999),
    ),
    precision="bf16-mixed",
    keep_every_epochs=10,
)
