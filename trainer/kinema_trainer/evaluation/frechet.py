"""The paired Fréchet distance on EfficientNet-Lite0 features: for machines where no Inception weights are at hand.

It is NOT the FID. Heusel et al. (2017) compare Inception features of many generated pictures with those of other, real
ones. Here the features are those of EfficientNet-Lite0, trained on ImageNet: its deepest map (320 channels), averaged
over the picture. And the sets are paired: coloured photographs against their own originals. The numbers have another
scale than FIDs and may be compared only with each other, on the same photographs: like the FID's, they rise as the
photographs get fewer. 0 means the same mean and covariance. The arithmetic, in float64, is torchmetrics'.
"""

from collections.abc import Mapping

import torch

from kinema_core.errors import InvalidInputError
from kinema_trainer.evaluation.feature_sets import F64, FeatureSets
from kinema_trainer.evaluation.photo_set import Rgb
from kinema_trainer.models.efficientnet_lite0 import EfficientNetLite0Encoder

LITE0_FRECHET = "lite0_frechet"
SIZE_MULTIPLE = 32


class Lite0Frechet:
    """Compares sets of pictures by their EfficientNet-Lite0 features."""

    def __init__(self) -> None:
        """Load the packaged weights.

        Raises:
            ModuleNotFoundError: the package with the weights is not installed (it comes with the `train` extra).
        """
        self.description = "paired Fréchet distance: EfficientNet-Lite0 with its packaged ImageNet weights; not the FID"
        self._encoder = EfficientNetLite0Encoder(in_channels=3).eval()
        self._encoder.load_imagenet_weights()
        self._sets = FeatureSets(self._extract)

    def add(self, method: str, picture: Rgb, truth: Rgb) -> Mapping[str, float]:
        """Take the features of a picture (S, S, 3) and, once, those of its original; of one picture there is no score.

        Raises:
            InvalidInputError: S is no multiple of 32.
        """
        if picture.shape[0] % SIZE_MULTIPLE:
            raise InvalidInputError(
                "size", f"must be a multiple of {SIZE_MULTIPLE} for the Lite0 distance, got {picture.shape[0]}"
            )
        self._sets.add(method, picture, truth)
        return {}

    def finish(self) -> Mapping[str, Mapping[str, float]]:
        """Return each method's distance from the originals.

        Raises:
            InvalidInputError: fewer than two photographs.
        """
        return {method: {LITE0_FRECHET: distance} for method, distance in self._sets.distances().items()}

    @torch.inference_mode()
    def _extract(self, rgb: Rgb) -> F64:
        picture = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255  # (1, 3, S, S)
        deepest = self._encoder(picture)[-1]  # (1, 320, S/32, S/32)
        features: F64 = deepest.mean(dim=(2, 3))[0].double().numpy()
        return features
