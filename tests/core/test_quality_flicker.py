"""Flicker, seen along the motion."""

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError
from kinema_core.quality.flicker import FlickerMeter

F32 = NDArray[np.float32]


def picture(shift: float = 0.0, change: float = 0.0) -> F32:
    """Make Lab of soft shapes whose ab go with their lightness, `shift` to the right; a is `change` more everywhere."""
    noise = np.random.default_rng(1).normal(0, 1, (54, 96 + 40)).astype(np.float32)
    shapes = cv2.GaussianBlur(noise, (0, 0), 3)
    shapes /= shapes.std()
    move = np.array([[1.0, 0, shift - 20], [0, 1, 0]])
    moved = cv2.warpAffine(shapes, move, (96, 54), flags=cv2.INTER_CUBIC)
    return np.dstack((50 + 15 * moved, 10 * moved + change, -5 * moved)).astype(np.float32)


def test_a_uniform_change_of_colour_is_the_flicker() -> None:
    meter = FlickerMeter()

    meter.measure(picture(), is_cut=True)

    assert meter.measure(picture(change=3), is_cut=False) == pytest.approx(3, rel=0.01)


def test_colours_that_move_with_what_they_colour_flicker_little() -> None:
    moving, still = FlickerMeter(), FlickerMeter()
    moving.measure(picture(), is_cut=True)
    still.measure(picture(), is_cut=True)

    seen = moving.measure(picture(shift=2), is_cut=False)

    unmoved = float(np.sqrt(np.square(picture(shift=2) - picture())[..., 1:].sum(axis=2).mean()))
    assert seen < 0.3 * unmoved  # what is left is interpolation and what the flow misses
    assert still.measure(picture(), is_cut=False) < 1e-3


def test_exposure_that_flickers_is_no_flicker_of_colour() -> None:
    meter = FlickerMeter()
    meter.measure(picture(), is_cut=True)
    darker = picture(change=2)
    darker[..., 0] *= 0.9

    assert meter.measure(darker, is_cut=False) == pytest.approx(2, rel=0.15)  # the flow follows brightness a little


def test_what_is_hidden_or_new_has_no_part_in_it() -> None:
    meter = FlickerMeter()
    meter.measure(picture(), is_cut=True)
    covered = picture()
    covered[20:30, 40:55] = 95, 60, 60

    assert meter.measure(covered, is_cut=False) < 3  # of 60; the rim of what covers it moves the flow


def test_nothing_is_measured_across_a_cut_or_before_the_second_frame() -> None:
    meter = FlickerMeter()

    found = [meter.measure(picture(change=n), is_cut=is_cut) for n, is_cut in enumerate((False, True, False))]

    assert [math.isnan(value) for value in found] == [True, True, False]


def test_another_size_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="must be"):
        FlickerMeter().measure(np.zeros((54, 96, 2), np.float32), is_cut=False)
