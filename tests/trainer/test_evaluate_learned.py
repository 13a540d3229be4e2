"""Scores that compare learned features. The networks that the user would bring are stand-ins of known arithmetic."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kinema_core.errors import InvalidInputError
from kinema_trainer.evaluation.evaluate import MODEL, PictureScorer
from kinema_trainer.evaluation.feature_sets import frechet_distance
from kinema_trainer.evaluation.frechet import LITE0_FRECHET, Lite0Frechet
from kinema_trainer.evaluation.inception import InceptionScores, inception_score
from kinema_trainer.evaluation.lpips import Lpips
from tests.trainer.evaluations import write_file
from tests.trainer.photos import make_photo


class MeanColour(nn.Module):
    """Features are the mean of each channel, as vgg16.pt and inception-2015-12-05.pt are called."""

    def forward(
        self,
        img: Tensor,
        resize_images: bool = True,  # noqa: ARG002  # the published networks' interface
        return_lpips: bool = False,  # noqa: ARG002
        return_features: bool = False,  # noqa: ARG002
        no_output_bias: bool = False,
    ) -> Tensor:
        mean = img.float().mean(dim=(2, 3)) / 255
        if no_output_bias:
            return mean.softmax(dim=1)
        return mean


class OtherNetwork(nn.Module):
    """Takes a picture and no options."""

    def forward(self, img: Tensor) -> Tensor:
        return img.float()


def save_torchscript(network: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit, as in what is tested
        torch.jit.script(network).save(path)  # type: ignore[no-untyped-call]  # torch has no types here
    return path


def flat(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((64, 64, 3), (red, green, blue), np.uint8)


def finish(scorer: PictureScorer, pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    for picture, truth in pairs:
        scorer.add(MODEL, picture, truth)
    return dict(scorer.finish()[MODEL])


def test_the_frechet_distance_of_a_shifted_set_is_the_shift_squared() -> None:
    features = np.random.default_rng(0).normal(0, 1, (40, 5))
    shift = np.array([3.0, 0, -4, 0, 0])

    # torchmetrics takes the eigenvalues of a product of covariances: some 1e-7 is left of nothing.
    assert frechet_distance(features + shift, features) == pytest.approx(25, abs=1e-5)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-5)


def test_the_frechet_distance_of_scaled_sets_is_that_of_their_deviations() -> None:
    """Of normal distributions on a line it is (m1 - m2)^2 + (s1 - s2)^2."""
    line = np.random.default_rng(0).normal(2, 1, (50, 1))

    distance = frechet_distance(3 * line, line)

    assert distance == pytest.approx((2 * line.mean()) ** 2 + (2 * line.std(ddof=1)) ** 2, rel=1e-9)


def test_the_frechet_distance_is_symmetric_and_needs_no_more_pictures_than_features() -> None:
    one, other = np.random.default_rng(0).normal(0, 1, (2, 6, 20))

    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one), rel=1e-6)


def test_one_photograph_has_no_frechet_distance() -> None:
    with pytest.raises(InvalidInputError, match="needs at least two photographs, got 1"):
        frechet_distance(np.zeros((1, 3)), np.zeros((1, 3)))


def test_the_lite0_distance_of_the_originals_is_zero_and_of_grey_ones_is_not() -> None:
    truths = [make_photo(seed, 64, 64) for seed in range(3)]
    greys = [truth.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8) for truth in truths]

    same = finish(Lite0Frechet(), [(truth.copy(), truth) for truth in truths])
    grey = finish(Lite0Frechet(), list(zip(greys, truths, strict=True)))

    assert same[LITE0_FRECHET] == pytest.approx(0, abs=1e-3)
    assert grey[LITE0_FRECHET] > 1


def test_the_lite0_distance_refuses_a_size_that_its_network_does_not_take() -> None:
    photo = make_photo(0, 48, 48)

    with pytest.raises(InvalidInputError, match="size: must be a multiple of 32"):
        Lite0Frechet().add(MODEL, photo, photo)


def test_lpips_is_the_squared_distance_of_the_networks_features(tmp_path: Path) -> None:
    lpips = Lpips(save_torchscript(MeanColour(), tmp_path / "vgg16.pt"))

    scores = lpips.add(MODEL, flat(51, 0, 102), flat(0, 0, 0))

    assert scores["lpips"] == pytest.approx(0.2**2 + 0.4**2, rel=1e-6)
    assert lpips.add(MODEL, flat(9, 8, 7), flat(9, 8, 7))["lpips"] == 0
    assert lpips.finish() == {}
    assert "vgg16.pt, SHA-256" in lpips.description


def test_the_fid_is_the_frechet_distance_of_the_networks_features(tmp_path: Path) -> None:
    scorer = InceptionScores(save_torchscript(MeanColour(), tmp_path / "inception.pt"))
    truths = [flat(10, 20, 30), flat(60, 20, 30), flat(10, 90, 50)]

    scores = finish(scorer, [(truth + np.uint8(51), truth) for truth in truths])

    assert scores["fid"] == pytest.approx(3 * 0.2**2, abs=1e-6)
    assert 1 <= scores["inception_score"] < 3  # three classes
    assert "inception.pt, SHA-256" in scorer.description


def test_the_inception_score_counts_the_classes_that_are_told_apart() -> None:
    """Pictures that are surely of k classes, equally often, score k; pictures of no clear class score 1."""
    certain = torch.eye(4).clamp_min(1e-12).log()
    unsure = torch.full((4, 4), 0.25).log()

    # Four pictures make two splits of two: two classes in each.
    assert inception_score(certain) == pytest.approx({"inception_score": 2, "inception_score_std": 0}, abs=1e-5)
    assert inception_score(unsure) == pytest.approx({"inception_score": 1, "inception_score_std": 0}, abs=1e-5)


def test_the_inception_score_leaves_torchs_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)

    torch.manual_seed(3)
    first = inception_score(torch.full((5, 3), 1 / 3).log())

    assert torch.equal(torch.rand(4), expected)
    assert first == inception_score(torch.full((5, 3), 1 / 3).log())


@pytest.mark.parametrize(("scorer", "field"), [(Lpips, "lpips_weights"), (InceptionScores, "inception_weights")])
def test_a_file_of_another_kind_is_refused_and_the_right_one_named(
    scorer: type[Lpips] | type[InceptionScores], field: str, tmp_path: Path
) -> None:
    no_network = write_file(tmp_path / "weights.pt", b"not a network")
    other_network = save_torchscript(OtherNetwork(), tmp_path / "other.pt")

    for path, problem in (
        (no_network, "is not a TorchScript file"),
        (other_network, "does not take"),
        (tmp_path / "missing.pt", "is not a TorchScript file"),
    ):
        with pytest.raises(InvalidInputError, match=rf"{field}: .*{problem}.*of StyleGAN2-ADA's PyTorch release"):
            scorer(path)
