"""pix2pix on CIFAR-10: a U-Net against a PatchGAN classifier, L* -> ab at 32 x 32.

Source: pix2pix (Isola et al., CVPR 2017) made small for CIFAR-10, as several papers did (for one, Nazeri, Ng and
Ebrahimi, "Image Colorization using Generative Adversarial Networks", 2018): U-Net, PatchGAN with a sigmoid, binary
cross-entropy, L1 x 100, Adam at 2e-4 with betas 0.5 and 0.999, grey pictures dropped. One such paper reports 31.33 dB
and an SSIM of 0.99; docs/reproduction.md says what those figures can and cannot mean.

Command: `kinema train pix2pix_cifar10 --data DIR --out DIR`, where DIR holds train.npz and test.npz.

Hardware and time: two cores of an AMD EPYC (AVX-512, bf16) that did other work as well, 39 minutes for 7,320 steps (20
epochs of the 46,843 pictures with a mean chroma of 4 or more). In that run the classifier's rate did not fall.

Score: on 1,988 of the 10,000 test pictures PSNR 23.53 dB, SSIM 0.939, CIEDE2000 11.67, colourfulness 0.93 of the
truth's; on 1,976 of the training ones 24.67 dB and 0.945. Grey has 24.62 dB, 0.952 and 10.49 on the test pictures.
"""

from kinema_trainer.data.pairs import DataConfig
from kinema_trainer.losses.pixel import PixelLossConfig
from kinema_trainer.models.patch_gan import PatchGANConfig
from kinema_trainer.models.pix2pix_unet import Pix2PixUNetConfig
from kinema_trainer.recipes.recipe import AdversarialConfig, OptimizerConfig, Recipe, Stage

RECIPE = Recipe(
    name="pix2pix_cifar10",
    network=Pix2PixUNetConfig(channels=(32, 64, 128, 256, 256)),
    data=DataConfig(whole_pictures=True, min_chroma=4.0),
    stages=(Stage("adversarial", 7320, 32),),
    batch_size=128,
    optimizer=OptimizerConfig(learning_rate=2e-4, betas=(0.5, 0.999), decay_steps=2700),
    pixel=PixelLossConfig(kind="l1", weight=100),
    adversarial=AdversarialConfig(
        kind="bce",
        critic=PatchGANConfig(channels=32, num_layers=2, norm="batch"),
        learning_rate=2e-4,
        betas=(0.5, 0.999),
    ),
    precision="bf16-mixed",
    score_every=366,
    num_scored=1000,
    score_size=32,
    keep_every_epochs=10,
)
