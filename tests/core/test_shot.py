"""A shot smoothed both ways."""

import numpy as np
import pytest

from kinema_core.errors import InvalidInputError
from kinema_core.temporal.shot import smooth_shot
from kinema_core.temporal.stabilizer import Stabilizer
from tests.core.test_stabilizer import F32, HEIGHT, WIDTH, flickering_ab, texture


def flat(colour: float) -> F32:
    return np.full((HEIGHT, WIDTH, 2), colour, np.float32)


def test_both_ways_flicker_less_than_one() -> None:
    rng = np.random.default_rng(3)
    lightness = [texture(i) for i in range(30)]
    ab = [flickering_ab(rng) for _ in lightness]
    stabilizer = Stabilizer(0.5)

    causal = [stabilizer.smooth(seen, colour, is_cut=False) for seen, colour in zip(lightness, ab, strict=True)]
    both = smooth_shot(lightness, ab, 0.5)

    steps = [np.abs(np.diff([frame.mean(axis=(0, 1)) for frame in clip], axis=0)).mean() for clip in (causal, both)]
    assert steps[1] < 0.8 * steps[0]


def test_a_step_in_colour_is_met_half_way_without_delay() -> None:
    lightness, ab = [texture()] * 20, [flat(0)] * 10 + [flat(40)] * 10

    smoothed = [float(frame.mean()) for frame in smooth_shot(lightness, ab, 0.5)]

    assert smoothed[9] + smoothed[10] == pytest.approx(smoothed[0] + smoothed[-1], abs=0.5)  # as far on either side
    assert smoothed[10] - smoothed[9] < 10
    assert smoothed == sorted(smoothed)


def test_played_backwards_a_shot_gives_the_same_colours() -> None:
    rng = np.random.default_rng(3)
    lightness, ab = [texture(i) for i in range(8)], [flickering_ab(rng) for _ in range(8)]

    forwards, backwards = smooth_shot(lightness, ab, 0.5), smooth_shot(lightness[::-1], ab[::-1], 0.5)

    for one, other in zip(forwards, backwards[::-1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_strength_zero_and_a_single_frame_are_left_alone() -> None:
    ab = [flat(12)]

    assert smooth_shot([texture()], ab, 0)[0] is ab[0]
    np.testing.assert_allclose(smooth_shot([texture()], ab, 1)[0], ab[0], rtol=1e-6)


def test_as_many_lightnesses_as_colours_are_needed() -> None:
    with pytest.raises(InvalidInputError, match="lightness"):
        smooth_shot([texture()], [], 0.5)
