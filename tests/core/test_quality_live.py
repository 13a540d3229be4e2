"""What a live watch reads off colours, and that it reads nothing where there is nothing to read."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.color import lab_to_rgb
from kinema_core.quality.colourfulness import colourfulness
from kinema_core.quality.live import SAMPLE_EVERY, LiveQuality, Reading

F32 = NDArray[np.float32]
HEIGHT, WIDTH = 32, 48


def ramp() -> F32:
    """Make lightness (2H, 2W) with contrast."""
    return np.tile(np.linspace(20, 80, 2 * WIDTH, dtype=np.float32), (2 * HEIGHT, 1))


def flat(a: float, b: float) -> F32:
    """Make ab (H, W, 2) of one colour."""
    return np.tile(np.array([a, b], np.float32), (HEIGHT, WIDTH, 1))


def readings(lightness: list[F32], ab: list[F32], cuts: frozenset[int] = frozenset({0})) -> list[Reading]:
    quality = LiveQuality()
    found = [
        quality.measure(seen, colors, is_cut=number in cuts)
        for number, (seen, colors) in enumerate(zip(lightness, ab, strict=True))
    ]
    assert [number for number, reading in enumerate(found) if reading] == list(range(0, len(found), SAMPLE_EVERY))
    return [reading for reading in found if reading]


def test_grey_has_no_colourfulness_and_colour_has_that_of_its_rgb() -> None:
    (grey,) = readings([ramp()], [flat(0, 0)])
    (colored,) = readings([ramp()], [flat(20, -10)])

    small = ramp().reshape(HEIGHT // 2, 4, WIDTH // 2, 4).mean((1, 3), dtype=np.float32)
    lab = np.dstack((small, flat(20, -10)[::2, ::2]))
    expected = colourfulness(lab_to_rgb(lab).clip(0, 1) * 255)
    assert grey.colourfulness == pytest.approx(0, abs=0.01)  # f32
    assert colored.colourfulness == pytest.approx(expected, rel=1e-4)


def test_a_blank_picture_says_nothing_of_colour() -> None:
    (blank,) = readings([np.full_like(ramp(), 16)], [flat(20, -10)])

    assert blank.colourfulness is None


def test_flicker_is_that_of_the_meter_between_the_frame_before_and_the_one_that_is_read() -> None:
    ab = [flat(50, 50)] * (SAMPLE_EVERY - 1) + [flat(10, 10), flat(13, 14)]  # what was before has no part in it

    last = readings([ramp()] * len(ab), ab)[-1]

    assert last.flicker == pytest.approx(5, rel=1e-4)


def test_flicker_leaves_out_what_is_hidden() -> None:
    covered = ramp()
    covered[:, : WIDTH // 2] = 95  # a quarter of the picture becomes white, and other in colour
    changed = flat(13, 14)
    changed[:, : WIDTH // 4] = 40

    last = readings([ramp()] * SAMPLE_EVERY + [covered], [flat(10, 10)] * SAMPLE_EVERY + [changed])[-1]

    assert last.flicker == pytest.approx(5, abs=1)  # of 42; the rim of what covers it moves the flow


def test_there_is_no_flicker_at_a_cut() -> None:
    ab = [flat(10, 10)] * SAMPLE_EVERY + [flat(30, 30)]

    last = readings([ramp()] * len(ab), ab, frozenset({0, SAMPLE_EVERY}))[-1]

    assert last.flicker is None
    assert last.colourfulness is not None
