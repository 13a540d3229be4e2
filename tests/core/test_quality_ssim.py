"""SSIM against scikit-image, and its laws."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from kinema_core.errors import InvalidInputError
from kinema_core.quality.ssim import ssim

U8 = NDArray[np.uint8]


def random_picture(seed: int, height: int = 24, width: int = 31) -> U8:
    """Return smooth waves with noise on them, so that all three terms of SSIM count."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(height)[:, None, None] / 3 + np.arange(width)[None, :, None] / 5 + rng.uniform(0, 6, 3))
    return np.clip(128 + 80 * waves + rng.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)


@given(seed=st.integers(0, 1000), height=st.integers(11, 40), width=st.integers(11, 40))
@settings(max_examples=25)
def test_it_is_scikit_images_with_the_papers_window(seed: int, height: int, width: int) -> None:
    picture, truth = random_picture(seed, height, width), random_picture(seed + 1, height, width)

    expected = structural_similarity(  # type: ignore[no-untyped-call]  # scikit-image has no types
        picture, truth, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )

    assert ssim(picture, truth) == pytest.approx(expected, abs=1e-10)  # float64, cancellation in the variances


@given(seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_a_picture_is_wholly_similar_to_itself_and_less_to_any_other(seed: int) -> None:
    picture, other = random_picture(seed), random_picture(seed + 1)

    assert ssim(picture, picture) == pytest.approx(1, abs=1e-12)
    assert -1 <= ssim(picture, other) < 1


def test_it_is_the_same_both_ways() -> None:
    picture, other = random_picture(0), random_picture(1)

    assert ssim(picture, other) == ssim(other, picture)


def test_more_noise_is_less_similar() -> None:
    truth = random_picture(0).astype(np.float64)
    noise = np.random.default_rng(1).normal(0, 1, truth.shape)

    similarities = [ssim(truth + strength * noise, truth) for strength in (0, 2, 8, 32)]

    assert similarities == sorted(similarities, reverse=True)
    assert similarities[-1] < 0.9


def test_flat_pictures_are_compared_by_their_means_alone() -> None:
    grey, lighter = np.full((16, 16, 3), 100, np.uint8), np.full((16, 16, 3), 120, np.uint8)
    c1 = (0.01 * 255) ** 2

    assert ssim(grey, lighter) == pytest.approx((2 * 100 * 120 + c1) / (100**2 + 120**2 + c1))


def test_rgb_is_the_mean_of_its_channels() -> None:
    picture, truth = random_picture(0), random_picture(1)

    channels = [ssim(picture[..., i], truth[..., i]) for i in range(3)]

    assert ssim(picture, truth) == pytest.approx(np.mean(channels), rel=1e-12)


def test_uint8_is_measured_as_its_values_in_float64() -> None:
    picture, truth = random_picture(0), random_picture(1)

    assert ssim(picture, truth) == ssim(picture.astype(np.float64), truth.astype(np.float64))


@pytest.mark.parametrize("shape", [(10, 40, 3), (40, 10, 3), (24, 31), (24, 32, 3)])
def test_pictures_that_are_too_small_or_unlike_in_shape_are_refused(shape: tuple[int, ...]) -> None:
    truth = np.zeros((24, 31, 3)) if min(shape[:2]) > 10 else np.zeros(shape)

    with pytest.raises(InvalidInputError, match="image"):
        ssim(np.zeros(shape), truth)


def test_a_photo_takes_a_fraction_of_a_second() -> None:
    picture, truth = random_picture(0, 256, 256), random_picture(1, 256, 256)

    started = time.process_time()
    ssim(picture, truth)

    assert time.process_time() - started < 0.5  # 0.02 s on the machine it was written on; a loop would take seconds
