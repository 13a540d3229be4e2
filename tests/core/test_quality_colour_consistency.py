"""CDC against its definition."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError
from kinema_core.quality.colour_consistency import colour_consistency, colour_histogram

U8 = NDArray[np.uint8]


def consistency(frames: list[U8]) -> float:
    return colour_consistency([colour_histogram(frame) for frame in frames])


def flat(code: int) -> U8:
    return np.full((4, 6, 3), code, np.uint8)


def test_a_frozen_clip_scores_nothing() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(np.uint8)

    assert consistency([frame] * 6) == 0


def test_frames_without_a_colour_in_common_score_the_most_there_is() -> None:
    assert consistency([flat(code) for code in range(6)]) == pytest.approx(math.log(2))


def test_every_other_frame_counts_at_distance_one_alone() -> None:
    blinking = [flat(10), flat(200)] * 4

    assert consistency(blinking) == pytest.approx(math.log(2) / 3)


def test_one_channel_of_three_counts_a_third() -> None:
    frames = [flat(50) for _ in range(8)]
    for index, frame in enumerate(frames):
        frame[..., 2] = index

    assert consistency(frames) == pytest.approx(math.log(2) / 3)


def test_half_the_pixels_changing_is_the_divergence_of_the_definition() -> None:
    half = flat(50)
    half[:2] = 60
    # p = (1, 0), q = (1/2, 1/2), m = (3/4, 1/4)
    expected = (math.log(4 / 3) + 0.5 * math.log(2 / 3) + 0.5 * math.log(2)) / 2

    assert consistency([flat(50), half] * 4) == pytest.approx(expected / 3)


def test_where_pixels_lie_does_not_count() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (64, 3)).astype(np.uint8)

    assert consistency([rng.permutation(pixels).reshape(8, 8, 3) for _ in range(6)]) == 0


def test_a_clip_too_short_and_a_picture_that_is_not_rgb_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="histograms"):
        consistency([flat(1)] * 4)
    with pytest.raises(InvalidInputError, match="rgb"):
        colour_histogram(np.zeros((4, 4), np.uint8))
