"""FID and Inception score, with Inception weights that the user has.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017, and Salimans
et al., "Improved Techniques for Training GANs", 2016. The weights are the 2015 Inception network that both papers used,
as the TorchScript file `inception-2015-12-05.pt` that comes with StyleGAN2-ADA's PyTorch release. It takes uint8
pictures of any size and scales them itself; `return_features=True` gives the 2048 features of the FID,
`no_output_bias=True` the class probabilities of the Inception score. The scores' arithmetic is torchmetrics'.

Both were made for tens of thousands of pictures. On a few hundred the FID is far too high, for the covariance of 2048
features cannot be estimated from them: compare it only with FIDs of the very same photographs.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torchmetrics.image.inception import InceptionScore

from kinema_trainer.evaluation.feature_sets import F64, FeatureSets
from kinema_trainer.evaluation.photo_set import Rgb
from kinema_trainer.evaluation.torchscript import call_torchscript, describe_file, load_torchscript, to_batch

FIELD: Final = "inception_weights"
EXPECTED: Final = "inception-2015-12-05.pt of StyleGAN2-ADA's PyTorch release"
MAX_SPLITS: Final = 10
"""As in the paper; fewer where there are fewer than 20 photographs."""


class InceptionScores:
    """FID against the originals, and Inception score."""

    def __init__(self, weights: Path) -> None:
        """Load the network and try it once.

        Raises:
            InvalidInputError: the file is not the network described above.
        """
        self._network = load_torchscript(weights, FIELD, EXPECTED)
        self.description = f"FID and Inception score: {describe_file(weights)}"
        self._sets = FeatureSets(self._features)
        self._log_probabilities: dict[str, list[Tensor]] = {}
        trial = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
        for option in ("return_features", "no_output_bias"):
            call_torchscript(self._network, trial, FIELD, EXPECTED, **{option: True})

    def add(self, method: str, picture: Rgb, truth: Rgb) -> Mapping[str, float]:
        """Take a picture (S, S, 3) and, once, its original; of one picture there is no score."""
        self._sets.add(method, picture, truth)
        probabilities = call_torchscript(self._network, to_batch(picture), FIELD, EXPECTED, no_output_bias=True)
        # torchmetrics takes the softmax: that of log p is p again. The smallest float keeps log 0 away.
        log_probabilities = probabilities.double().clamp_min(torch.finfo(torch.float64).tiny).log()
        self._log_probabilities.setdefault(method, []).append(log_probabilities)
        return {}

    def finish(self) -> Mapping[str, Mapping[str, float]]:
        """Return the scores by method.

        Raises:
            InvalidInputError: fewer than two photographs.
        """
        distances = self._sets.distances()
        return {
            method: {"fid": distances[method], **inception_score(torch.cat(log_probabilities))}
            for method, log_probabilities in self._log_probabilities.items()
        }

    def _features(self, rgb: Rgb) -> F64:
        output = call_torchscript(self._network, to_batch(rgb), FIELD, EXPECTED, return_features=True)
        features: F64 = output[0].double().numpy()
        return features


def inception_score(log_probabilities: Tensor) -> dict[str, float]:
    """Return the Inception score and its standard deviation over splits, for (N, classes), N at least 2.

    Which pictures share a split is drawn from a fixed seed.
    """
    splits = max(2, min(MAX_SPLITS, len(log_probabilities) // 2))
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore", UserWarning)  # that it keeps the features of every picture: so do we
        torch.manual_seed(0)
        metric = InceptionScore(feature=torch.nn.Identity(), splits=splits)
        metric.update(log_probabilities)
        mean, deviation = metric.compute()
    return {"inception_score": float(mean), "inception_score_std": float(deviation)}
