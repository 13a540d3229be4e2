"""Scene cuts."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.temporal.cuts import CutDetector

F32 = NDArray[np.float32]


def scene(seed: int, shift: int = 0) -> F32:
    """Smooth random shapes, (96, 160), L* 0-100, moved sideways by `shift` pixels."""
    coarse = np.random.default_rng(seed).uniform(10, 90, (6, 14)).astype(np.float32)
    wide = np.kron(coarse, np.ones((16, 16), np.float32))
    return np.ascontiguousarray(wide[:, 20 + shift : 180 + shift])


def test_the_first_frame_begins_a_shot() -> None:
    assert CutDetector().is_cut(scene(1))


@pytest.mark.parametrize("step", [0, 1, 3])
def test_a_moving_shot_has_no_cut(step: int) -> None:
    detector = CutDetector()

    found = [detector.is_cut(scene(1, shift=step * i)) for i in range(10)]

    assert found == [True] + [False] * 9


def test_another_scene_is_a_cut_and_only_at_its_first_frame() -> None:
    detector = CutDetector()

    found = [detector.is_cut(scene(seed)) for seed in (1, 1, 1, 2, 2, 1)]

    assert found == [True, False, False, True, False, True]


def test_grain_and_exposure_flicker_are_no_cuts() -> None:
    rng = np.random.default_rng(5)
    detector = CutDetector()

    found = [
        detector.is_cut((scene(1) * rng.uniform(0.7, 1.0) + rng.normal(0, 6, (96, 160))).astype(np.float32))
        for _ in range(20)
    ]

    assert not any(found[1:])


def test_black_frames_between_scenes_are_cuts_but_not_each_of_them() -> None:
    black = np.zeros((96, 160), np.float32)
    detector = CutDetector()

    found = [detector.is_cut(frame) for frame in (scene(1), black, black, black, scene(2))]

    assert found == [True, True, False, False, True]
