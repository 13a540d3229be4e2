"""Telling pictures in colour from monochrome ones, whatever their tint."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.color import lab_to_rgb, rgb_to_lab, rgb_to_ycbcr
from kinema_core.frames import ColorRange, ColorTags, Matrix
from kinema_core.media.photos import read_photo
from kinema_core.steering.own_colour import (
    COLOUR_RESIDUAL,
    HYSTERESIS,
    ColourShots,
    frame_residual,
    is_colour_photo,
    photo_residual,
)

FOOTAGE = Path(__file__).resolve().parents[2] / "demo" / "footage"
PHOTOS = ["astronaut", "chelsea", "china", "coffee", "flower", "raccoon"]

TONES = {
    "grey": ((0, 0), (0, 0)),
    "sepia": ((8, 22), (8, 22)),
    "split tone": ((5, -25), (10, 35)),
    "cyanotype": ((-5, -35), (-5, -20)),
    "green tint": ((-16, 12), (-16, 12)),
}
"""ab of shadows and of highlights."""


def photo(name: str) -> NDArray[np.uint8]:
    return read_photo(FOOTAGE / f"{name}.jpg")


def toned(rgb: NDArray[np.uint8], tone: str) -> NDArray[np.uint8]:
    lightness = rgb_to_lab(rgb)[..., :1]
    level = lightness / 100
    shadows, highlights = (np.array(ab, np.float32) for ab in TONES[tone])
    ab = (shadows * (1 - level) + highlights * level) * np.sqrt(4 * level * (1 - level))
    codes: NDArray[np.uint8] = np.rint(lab_to_rgb(np.concatenate([lightness, ab], axis=2)).clip(0, 1) * 255).astype(
        np.uint8
    )
    return codes


@pytest.mark.parametrize("name", PHOTOS)
def test_a_colour_photo_is_in_colour(name: str) -> None:
    assert is_colour_photo(photo(name))


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("name", PHOTOS)
def test_a_toned_copy_of_it_is_not(name: str, tone: str) -> None:
    assert not is_colour_photo(toned(photo(name), tone))


@pytest.mark.parametrize("name", PHOTOS)
def test_noise_in_the_chroma_of_a_tinted_picture_is_no_colour(name: str) -> None:
    noise = np.random.default_rng(0).normal(0, 6, (*photo(name).shape[:2], 2))
    ycc = cv2.cvtColor(toned(photo(name), "sepia"), cv2.COLOR_RGB2YCrCb).astype(float)
    ycc[..., 1:] += noise
    noisy = cv2.cvtColor(ycc.round().clip(0, 255).astype(np.uint8), cv2.COLOR_YCrCb2RGB)

    assert not is_colour_photo(np.asarray(noisy, np.uint8))


@pytest.mark.parametrize("matrix", Matrix)
@pytest.mark.parametrize("color_range", ColorRange)
@pytest.mark.parametrize("tone", [None, "sepia"])
def test_a_frame_is_judged_as_the_photo_that_it_shows(
    tone: str | None, color_range: ColorRange, matrix: Matrix
) -> None:
    rgb, tags = photo("coffee"), ColorTags(matrix, color_range)
    rgb = rgb if tone is None else toned(rgb, tone)

    # 0.6: chroma is halved and interpolated, and codes are rounded.
    assert frame_residual(*rgb_to_ycbcr(rgb, tags), tags) == pytest.approx(photo_residual(rgb), abs=0.6)


def test_a_10_bit_frame_is_judged_alike() -> None:
    rgb = photo("china")

    eight, ten = (frame_residual(*rgb_to_ycbcr(rgb, tags), tags) for tags in (ColorTags(), ColorTags(bit_depth=10)))

    assert eight == pytest.approx(ten, abs=0.3)  # codes are rounded


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (3, 70)])
def test_tiny_and_black_pictures_are_not_in_colour(shape: tuple[int, int]) -> None:
    assert not is_colour_photo(np.full((*shape, 3), (200, 10, 10), np.uint8))  # one colour is a tint
    assert photo_residual(np.zeros((*shape, 3), np.uint8)) == 0
    luma, chroma = np.full(shape, 16, np.uint8), np.full(((shape[0] + 1) // 2, (shape[1] + 1) // 2), 90, np.uint8)
    assert frame_residual(luma, chroma, chroma, ColorTags()) == 0


def verdicts(residuals: list[float], cuts: set[int]) -> list[bool]:
    shots = ColourShots()
    return [shots.is_colour(residual, is_cut=index in cuts) for index, residual in enumerate(residuals)]


def test_the_verdict_changes_at_cuts() -> None:
    colour, grey = 3 * COLOUR_RESIDUAL, 0.2 * COLOUR_RESIDUAL

    found = verdicts([colour] * 3 + [grey] * 3 + [colour] * 3, {3, 6})

    assert found == [True] * 3 + [False] * 3 + [True] * 3


@pytest.mark.parametrize("starts_above", [True, False])
def test_a_shot_near_the_threshold_does_not_flicker(starts_above: bool) -> None:
    rng = np.random.default_rng(0)
    first = COLOUR_RESIDUAL * (1.1 if starts_above else 0.9)
    residuals = [first, *(COLOUR_RESIDUAL * (1 + rng.uniform(-0.3, 0.3, 100))).tolist()]

    assert set(verdicts(residuals, set())) == {starts_above}


def test_a_colour_shot_that_fades_in_from_black_is_found() -> None:
    residuals = [0.0] * 10 + [3 * HYSTERESIS * COLOUR_RESIDUAL] * 20

    found = verdicts(residuals, set())

    assert found[0] is False
    assert found[-1] is True
    assert sorted(found) == found  # it changes once
