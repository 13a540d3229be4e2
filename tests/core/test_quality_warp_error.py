"""Warp error against its definition."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError
from kinema_core.quality.warp_error import Motion, find_motion, warp_error

U8 = NDArray[np.uint8]
HEIGHT, WIDTH = 96, 128


def textured(shift: int = 0) -> U8:
    """(HEIGHT, WIDTH) of blurred noise, moved right by `shift` pixels."""
    noise = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH + 32)).astype(np.uint8)
    soft = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 0, 255, cv2.NORM_MINMAX)
    return np.ascontiguousarray(soft[:, 16 - shift : 16 - shift + WIDTH])


def still() -> Motion:
    return Motion(np.zeros((HEIGHT, WIDTH, 2), np.float32), np.ones((HEIGHT, WIDTH), np.bool_))


def test_a_change_of_a_tenth_everywhere_is_a_hundredth() -> None:
    dark, light = np.full((HEIGHT, WIDTH, 3), 100.0), np.full((HEIGHT, WIDTH, 3), 125.5)

    assert warp_error(dark, light, still()) == pytest.approx(0.01)
    assert warp_error(light, dark, still()) == pytest.approx(0.01)


def test_one_channel_of_three_counts_a_third() -> None:
    dark = np.full((HEIGHT, WIDTH, 3), 100.0)
    redder = dark + np.array([25.5, 0, 0])

    assert warp_error(dark, redder, still()) == pytest.approx(0.01 / 3)


def test_colour_that_moves_with_the_picture_costs_far_less_than_colour_that_stays_behind() -> None:
    grey, next_grey = textured(), textured(5)
    motion = find_motion(grey, next_grey)
    picture, moved = (np.dstack([plane] * 3) for plane in (grey, next_grey))

    followed, left_behind = warp_error(picture, moved, motion), warp_error(picture, picture, motion)

    assert motion.is_seen.mean() > 0.7
    assert followed < 0.02 * left_behind


def test_motion_is_found_where_there_is_some() -> None:
    motion = find_motion(textured(), textured(5))

    assert np.median(motion.flow[..., 0]) == pytest.approx(5, abs=0.2)
    assert np.median(motion.flow[..., 1]) == pytest.approx(0, abs=0.2)


def test_what_the_next_frame_hides_is_left_out() -> None:
    grey = textured()
    next_grey = grey.copy()
    next_grey[30:70, 40:90] = np.random.default_rng(4).integers(0, 256, (40, 50))

    motion = find_motion(grey, next_grey)

    assert motion.is_seen[:20].mean() > 0.95
    assert motion.is_seen[35:65, 45:85].mean() < 0.5


def test_only_seen_pixels_count() -> None:
    is_seen = np.zeros((HEIGHT, WIDTH), np.bool_)
    is_seen[:, :10] = True
    dark, changed = np.zeros((HEIGHT, WIDTH, 3)), np.zeros((HEIGHT, WIDTH, 3))
    changed[:, 10:] = 255

    assert warp_error(dark, changed, Motion(still().flow, is_seen)) == 0


def test_nothing_seen_twice_is_no_number() -> None:
    hidden = Motion(still().flow, np.zeros((HEIGHT, WIDTH), np.bool_))

    assert np.isnan(warp_error(np.zeros((HEIGHT, WIDTH, 3)), np.zeros((HEIGHT, WIDTH, 3)), hidden))


def test_pictures_of_another_size_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="picture"):
        warp_error(np.zeros((8, 8, 3)), np.zeros((8, 8, 3)), still())
    with pytest.raises(InvalidInputError, match="grey"):
        find_motion(np.zeros((32, 32), np.uint8), np.zeros((32, 33), np.uint8))
    with pytest.raises(InvalidInputError, match="grey"):
        find_motion(np.zeros((16, 64), np.uint8), np.zeros((16, 64), np.uint8))
