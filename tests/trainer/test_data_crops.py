"""Squares cut from photographs."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinema_core.color import rgb_to_lab
from kinema_trainer.data.crops import AffineConfig, random_affine, random_crop, random_flip, square_photo
from tests.trainer.photos import make_photo

WILD = AffineConfig(rotation_degrees=30, scale=0.3, shear_degrees=15, translation=0.2)


def red_ramp() -> NDArray[np.uint8]:
    """(150, 200, 3): the more light, the more red."""
    rgb = np.zeros((150, 200, 3), np.uint8)
    rgb[..., 0] = np.linspace(0, 255, 200).astype(np.uint8)
    return rgb


@pytest.mark.parametrize("seed", range(8))
def test_lightness_and_ab_move_together(seed: int) -> None:
    """In a picture whose a* follows its lightness, it still does after every augmentation of place."""
    rng = np.random.default_rng(seed)

    crop = random_flip(random_crop(random_affine(red_ramp(), WILD, rng), 64, rng, min_crop=0.4), rng)

    lab = rgb_to_lab(crop)
    assert np.corrcoef(lab[..., 0].ravel(), lab[..., 1].ravel())[0, 1] > 0.95


@given(st.integers(0, 2**32), st.integers(2, 90), st.integers(2, 90), st.floats(0.05, 1))
def test_a_crop_has_the_wanted_size_whatever_the_photograph(seed: int, height: int, width: int, least: float) -> None:
    photo = np.full((height, width, 3), 77, np.uint8)

    crop = random_crop(photo, 32, np.random.default_rng(seed), min_crop=least)

    assert crop.shape == (32, 32, 3)
    assert (crop == 77).all()


def test_the_largest_crop_of_a_square_is_the_square() -> None:
    photo = make_photo(1, 48, 48)

    crop = random_crop(photo, 48, np.random.default_rng(0), min_crop=1)

    np.testing.assert_array_equal(crop, photo)


def test_half_of_the_photographs_are_mirrored() -> None:
    photo = make_photo(1, 16, 16)

    flips = [random_flip(photo, np.random.default_rng(seed)) for seed in range(200)]

    is_mirrored = [np.array_equal(flip, photo[:, ::-1]) for flip in flips]
    assert all(m or np.array_equal(flip, photo) for m, flip in zip(is_mirrored, flips, strict=True))
    assert 70 < sum(is_mirrored) < 130  # 4 standard deviations of a fair coin


def test_an_affine_map_of_no_extent_is_none() -> None:
    photo = make_photo(2)

    np.testing.assert_array_equal(random_affine(photo, AffineConfig(), np.random.default_rng(0)), photo)
    assert AffineConfig().is_off
    assert not WILD.is_off


def test_an_affine_map_turns_about_the_centre_by_no_more_than_its_limit() -> None:
    photo = np.zeros((101, 101, 3), np.uint8)
    cv2.circle(photo, (50, 50), 3, (255, 255, 255), -1)
    cv2.circle(photo, (90, 50), 3, (255, 0, 0), -1)

    turned = [
        random_affine(photo, AffineConfig(rotation_degrees=20), np.random.default_rng(seed)) for seed in range(20)
    ]

    angles = [np.degrees(np.arctan2(*(np.argwhere(reds(t)).mean(axis=0) - 50))) for t in turned]
    assert all(t[50, 50, 1] == 255 for t in turned)
    assert max(np.abs(angles)) < 21
    assert max(np.abs(angles)) > 10


def test_beyond_its_edges_a_picture_is_mirrored_not_black() -> None:
    white = np.full((40, 60, 3), 255, np.uint8)

    assert random_affine(white, WILD, np.random.default_rng(3)).min() == 255


def test_a_square_is_cut_from_the_middle() -> None:
    wide: NDArray[np.uint8] = np.zeros((50, 150, 3), np.uint8)
    wide[:, 50:100] = 200

    assert (square_photo(wide, 32) == 200).all()
    assert cv2.mean(square_photo(wide, 64))[0] == pytest.approx(200, abs=1)


@pytest.mark.parametrize("limits", [{"scale": -0.1}, {"shear_degrees": 90.0}])
def test_limits_without_a_meaning_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="affine limits"):
        AffineConfig(**limits)


def reds(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (rgb[..., 0] > 128) & (rgb[..., 1] < 64)
