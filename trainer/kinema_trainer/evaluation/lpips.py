"""LPIPS, with weights that the user has.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018. torchmetrics' LPIPS
takes its backbone from torchvision, and the backbone's weights from the network. The file used here holds everything:
`vgg16.pt`, the TorchScript that comes with StyleGAN2-ADA's PyTorch release. With `return_lpips=True` it takes pictures
0-255 and gives the weighted features whose squared Euclidean distance is the LPIPS of VGG16.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from kinema_trainer.evaluation.photo_set import Rgb
from kinema_trainer.evaluation.torchscript import call_torchscript, describe_file, load_torchscript, to_batch

FIELD: Final = "lpips_weights"
EXPECTED: Final = "vgg16.pt of StyleGAN2-ADA's PyTorch release"


class Lpips:
    """LPIPS of every picture beside its original: 0 for equal ones, about 1 for very unlike ones."""

    def __init__(self, weights: Path) -> None:
        """Load the network and try it once.

        Raises:
            InvalidInputError: the file is not the network described above.
        """
        self._network = load_torchscript(weights, FIELD, EXPECTED)
        self.description = f"LPIPS: {describe_file(weights)}"
        self._truth: Rgb | None = None
        self._truth_features = self._features(torch.zeros(1, 3, 64, 64))

    def add(self, method: str, picture: Rgb, truth: Rgb) -> Mapping[str, float]:  # noqa: ARG002  # the seam's
        """Score a picture (S, S, 3), S at least 32, beside its original."""
        if truth is not self._truth:
            self._truth, self._truth_features = truth, self._features(to_batch(truth).float())
        difference = self._features(to_batch(picture).float()) - self._truth_features
        return {"lpips": float(difference.double().square().sum())}

    def finish(self) -> Mapping[str, Mapping[str, float]]:
        """Return nothing: the score of a set is the mean of its pictures'."""
        return {}

    def _features(self, picture: Tensor) -> Tensor:
        return call_torchscript(self._network, picture, FIELD, EXPECTED, resize_images=False, return_lpips=True)
