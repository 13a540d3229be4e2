"""Learned features of coloured pictures and of their originals, and the Fréchet distance between the sets."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from kinema_core.errors import InvalidInputError
from kinema_trainer.evaluation.photo_set import Rgb

F64: TypeAlias = NDArray[np.float64]


class FeatureSets:
    """One vector a picture, by method, and one an original."""

    def __init__(self, extract: Callable[[Rgb], F64]) -> None:
        """Take what turns a picture (S, S, 3) into its features, (D,)."""
        self._extract = extract
        self._truth: Rgb | None = None
        self._truths: list[F64] = []
        self._pictures: dict[str, list[F64]] = {}

    def add(self, method: str, picture: Rgb, truth: Rgb) -> None:
        """Take the features of a picture, and those of its original where it is not the last one's."""
        if truth is not self._truth:
            self._truth = truth
            self._truths.append(self._extract(truth))
        self._pictures.setdefault(method, []).append(self._extract(picture))

    def distances(self) -> dict[str, float]:
        """Return the Fréchet distance of each method's pictures from the originals.

        Raises:
            InvalidInputError: fewer than two photographs.
        """
        return {method: frechet_distance(np.stack(f), np.stack(self._truths)) for method, f in self._pictures.items()}


def frechet_distance(features: F64, truths: F64) -> float:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 sqrt(C1 C2)) of the means m and covariances C of two sets of features.

    Dowson and Landau, "The Fréchet Distance between Multivariate Normal Distributions", 1982, by torchmetrics, in
    float64. `features` is (N, D), `truths` is (M, D).

    Raises:
        InvalidInputError: fewer than two pictures in a set.
    """
    if min(len(features), len(truths)) < 2:
        raise InvalidInputError("photos", f"a Fréchet distance needs at least two photographs, got {len(features)}")
    metric = FrechetInceptionDistance(feature=_AsGiven(features.shape[1]))
    metric.update(torch.from_numpy(truths), real=True)
    metric.update(torch.from_numpy(features), real=False)
    return float(metric.compute())


class _AsGiven(nn.Module):
    """Hands on features that were extracted before: torchmetrics would extract those of the originals once a method."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, D) as it is."""
        return features
