"""Attention U-Net with a perceptual loss: a pretrained encoder, self-attention in the decoder, L* -> ab.

Source: the attention U-Net colorization papers, after DeOldify (Antic, 2018) and SAGAN (Zhang et al., ICML 2019):
Smooth L1, a weighted perceptual loss over several layers, 0.01 x adversarial by binary cross-entropy, random affine
maps, random removal of pixels. They report a PSNR of about 25 dB on photographs of their own. Their perceptual loss
looks through VGG; ours through EfficientNet-Lite0, whose weights come with a package.

Command: `kinema train attention_unet_perceptual --data DIR --out DIR`

Hardware and time: not run at this length. Two cores of an AMD EPYC (AVX-512, bf16) that did other work as well did 598
steps of 16 crops of 128 px in 10 minutes; docs/reproduction.md has the command.

Score: of that short run, on 167 validation photographs at 256 px, PSNR 22.86 dB, CIEDE2000 10.94, colourfulness 0.44 of
the truth's. Grey has 21.90 and 11.52.
"""

from kinema_trainer.data.crops import AffineConfig
from kinema_trainer.data.pairs import DataConfig
from kinema_trainer.losses.perceptual import PerceptualLossConfig
from kinema_trainer.losses.pixel import PixelLossConfig
from kinema_trainer.models.attention_unet import AttentionUNetConfig
from kinema_trainer.models.patch_gan import PatchGANConfig
from kinema_trainer.recipes.recipe import AdversarialConfig, OptimizerConfig, Recipe, Stage

RECIPE = Recipe(
    name="attention_unet_perceptual",
    network=AttentionUNetConfig(),
    data=DataConfig(
        min_crop=0.5,
        affine=AffineConfig(rotation_degrees=10, scale=0.1, shear_degrees=5, translation=0.05),
        pixel_removal=0.1,
    ),
    stages=(Stage("generator", 12_000, 224), Stage("adversarial", 4_000, 224)),
    batch_size=16,
    optimizer=OptimizerConfig(
        learning_rate=1e-3,
        pretrained_rate=1e-4,
        weight_decay=0.01,
        gradient_clip=1.0,
        warmup_steps=300,
        decay_steps=6000,
    ),
    pixel=PixelLossConfig(kind="smooth_l1", weight=1, beta=10),
    perceptual=PerceptualLossConfig(weight=0.001),  # about as large a gradient as that of the pixel loss
    adversarial=AdversarialConfig(
        kind="bce", critic=PatchGANConfig(norm="batch"), weight=0.01, learning_rate=2e-4, betas=(0.5, 0.999)
    ),
    precision="bf16-mixed",
)
