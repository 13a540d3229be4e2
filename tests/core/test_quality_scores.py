"""The scores of photographs are the metrics of their definitions, put together without a wrap or a wrong sign."""

import dataclasses
import math

import colour
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import color as skimage_color
from skimage.metrics import peak_signal_noise_ratio

from kinema_core.errors import InvalidInputError
from kinema_core.quality.colourfulness import colourfulness
from kinema_core.quality.scores import PhotoScores, photo_scores, set_scores
from kinema_core.quality.ssim import ssim

U8 = NDArray[np.uint8]


@pytest.fixture(scope="module")
def truth() -> U8:
    """Return a small picture in many colours."""
    y, x = np.mgrid[0:1:32j, 0:1:40j]
    channels = (x, y, 0.5 + 0.5 * np.sin(9 * x * y))
    picture: U8 = np.round(20 + 210 * np.stack(channels, axis=-1)).astype(np.uint8)
    return picture


@pytest.fixture(scope="module")
def grey(truth: U8) -> U8:
    """Return the same without its colours."""
    lightness_only = skimage_color.rgb2lab(truth) * (1, 0, 0)
    picture: U8 = np.round(skimage_color.lab2rgb(lightness_only) * 255).astype(np.uint8)
    return picture


def test_each_score_is_its_metric(truth: U8, grey: U8) -> None:
    scores = photo_scores(grey, truth)

    # skimage's sRGB to XYZ matrix has three places fewer than ours, and its white point four digits.
    lab, truth_lab = skimage_color.rgb2lab(grey), skimage_color.rgb2lab(truth)
    error = lab - truth_lab
    psnr = peak_signal_noise_ratio(truth, grey)  # type: ignore[no-untyped-call]  # scikit-image has no types
    assert scores.psnr == pytest.approx(psnr)
    assert scores.ssim == ssim(grey, truth)
    assert scores.delta_e == pytest.approx(colour.delta_E(lab, truth_lab, method="CIE 2000").mean(), abs=0.01)
    assert scores.ab_psnr == pytest.approx(10 * math.log10(255**2 / np.mean(error[..., 1:] ** 2)), abs=0.01)
    assert scores.colourfulness == colourfulness(grey)
    assert scores.truth_colourfulness == colourfulness(truth)
    assert (scores.a_error, scores.b_error) == pytest.approx(tuple(error[..., 1:].mean(axis=(0, 1))), abs=0.02)


def test_the_original_itself_has_nothing_wrong(truth: U8) -> None:
    scores = photo_scores(truth, truth)

    assert scores.psnr == scores.ab_psnr == math.inf
    assert scores.ssim == pytest.approx(1)
    assert scores.delta_e == scores.a_error == scores.b_error == 0
    assert scores.colourfulness == scores.truth_colourfulness > 0


@pytest.mark.parametrize(
    ("cast", "field", "sign"),
    [
        ((0, -20, 0), "a_error", 1),
        ((-20, 0, -20), "a_error", -1),
        ((0, 0, -20), "b_error", 1),
        ((-20, -20, 0), "b_error", -1),
    ],
    ids=["magenta", "green", "yellow", "blue"],
)
def test_a_cast_shows_in_the_sign_of_its_error(truth: U8, cast: tuple[int, int, int], field: str, sign: int) -> None:
    tinted = (truth.astype(int) + cast).astype(np.uint8)

    assert getattr(photo_scores(tinted, truth), field) * sign > 1


def scores_of(**values: float) -> PhotoScores:
    return dataclasses.replace(PhotoScores(*[1.0] * 8), **values)


def test_a_set_has_the_means_of_its_photographs() -> None:
    photos = [scores_of(psnr=20, delta_e=5, a_error=-3), scores_of(psnr=30, delta_e=8, a_error=1)]

    scores = set_scores(photos)

    assert (scores.num_photos, scores.psnr, scores.delta_e, scores.a_error) == (2, 25, 6.5, -1)


def test_the_difference_in_colourfulness_is_between_means_not_a_mean_of_differences() -> None:
    photos = [
        scores_of(colourfulness=10, truth_colourfulness=40),
        scores_of(colourfulness=60, truth_colourfulness=50),
    ]

    assert set_scores(photos).delta_colourfulness == abs(35 - 45)


def test_a_set_of_none_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least one"):
        set_scores([])


@pytest.mark.parametrize(
    "rgb",
    [
        np.zeros((32, 40, 3)),
        np.zeros((40, 32, 3), np.uint8),
        np.zeros((32, 40), np.uint8),
        np.zeros((32, 40, 4), np.uint8),
    ],
    ids=["float", "other size", "grey", "with alpha"],
)
def test_what_is_no_8_bit_rgb_of_the_originals_size_is_refused(rgb: U8, truth: U8) -> None:
    with pytest.raises(InvalidInputError, match="uint8"):
        photo_scores(rgb, truth)
