"""Scene changes."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.frames import TransitionKind
from kinema_core.temporal.cuts import CutDetector
from kinema_core.temporal.transitions import find_transitions

F32 = NDArray[np.float32]
HEIGHT, WIDTH = 96, 160
BLACK = np.zeros((HEIGHT, WIDTH), np.float32)


def scene(seed: int, shift: int = 0) -> F32:
    """Random blocks, (HEIGHT, WIDTH), L* 0-100, moved sideways by `shift` pixels."""
    coarse = np.random.default_rng(seed).uniform(10, 90, (6, 14)).astype(np.float32)
    wide = np.kron(coarse, np.ones((16, 16), np.float32))
    return np.ascontiguousarray(wide[:, 20 + shift : 180 + shift])


def mixed(before: F32, after: F32, num_frames: int) -> list[F32]:
    shares = np.arange(1, num_frames + 1, dtype=np.float32) / (num_frames + 1)
    return [before * (1 - share) + after * share for share in shares]


def damaged(frames: Sequence[F32], seed: int = 5) -> list[F32]:
    """Add grain, flicker of all the picture and of parts of it, and a wandering scratch."""
    rng = np.random.default_rng(seed)
    result = []
    for frame in frames:
        aged = frame * rng.uniform(0.75, 1.1) + rng.normal(0, 5, frame.shape)
        aged += np.linspace(rng.uniform(-5, 5), rng.uniform(-5, 5), WIDTH)
        aged[:, rng.integers(0, WIDTH)] = 100
        result.append(aged.clip(0, 100).astype(np.float32))
    return result


def kinds(frames: Sequence[F32]) -> list[TransitionKind]:
    return [found.kind for found in find_transitions(frames)]


def test_the_first_frame_begins_a_shot() -> None:
    assert CutDetector().is_cut(scene(1))
    assert CutDetector().is_cut(BLACK)


@pytest.mark.parametrize("step", [0, 1, 3])
def test_a_moving_shot_has_no_cut(step: int) -> None:
    detector = CutDetector()

    found = [detector.is_cut(scene(1, shift=step * i)) for i in range(10)]

    assert found == [True] + [False] * 9


def test_another_scene_is_a_cut_at_its_first_frame_and_only_there() -> None:
    detector = CutDetector()

    found = [detector.is_cut(scene(seed)) for seed in (1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3)]

    assert [number for number, is_cut in enumerate(found) if is_cut] == [0, 3, 9]


def test_damage_makes_no_cuts() -> None:
    detector = CutDetector()

    found = [detector.is_cut(frame) for frame in damaged([scene(1, shift=i) for i in range(30)])]

    assert not any(found[1:])


def test_cuts_are_found_in_damaged_film() -> None:
    frames = damaged([scene(1)] * 15 + [scene(2)] * 15 + [scene(3)] * 15)

    found = find_transitions(frames)

    assert [(item.kind, item.start) for item in found] == [(TransitionKind.CUT, 15), (TransitionKind.CUT, 30)]


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_a_flash_is_no_cut(num_frames: int) -> None:
    flash = [np.minimum(scene(1) * 2.2 + 20, 100)] * num_frames

    assert kinds([scene(1)] * 10 + flash + [scene(1)] * 10) == []


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_frames_of_white_or_noise_are_no_cut_for_who_looks_ahead(num_frames: int) -> None:
    white = [np.full_like(BLACK, 100)] * num_frames
    noise = [np.random.default_rng(n).uniform(0, 100, BLACK.shape).astype(np.float32) for n in range(num_frames)]

    assert kinds([scene(1)] * 10 + white + [scene(1)] * 10) == []
    assert kinds([scene(1)] * 10 + noise + [scene(1)] * 10) == []


def test_a_torn_frame_looks_like_a_cut_to_who_cannot_look_ahead_and_is_taken_back() -> None:
    detector = CutDetector()

    found = [detector.observe(scene(seed)) for seed in (1, 1, 1, 2, 1, 1)]

    assert [item.kind for item in found if item] == [TransitionKind.CUT, TransitionKind.RETURN]
    assert found[4] is not None
    assert found[4].start == 3


def test_black_between_two_scenes_is_one_cut_where_the_new_scene_shows() -> None:
    detector = CutDetector()

    found = [detector.is_cut(frame) for frame in (scene(1), scene(1), BLACK, BLACK, BLACK, scene(2), scene(2))]

    assert found == [True, False, False, False, False, True, False]


def test_black_frames_and_flashes_do_not_undo_the_cut_before_them() -> None:
    flash = np.minimum(scene(2) * 2.2 + 20, 100)
    frames = [scene(1)] * 10 + [scene(2)] * 8 + [BLACK] * 3 + [scene(2)] * 8 + [flash] * 2 + [scene(2)] * 8

    assert [(item.kind, item.start) for item in find_transitions(frames)] == [(TransitionKind.CUT, 10)]


def test_black_frames_within_a_shot_are_no_cut() -> None:
    assert kinds([scene(1)] * 10 + [BLACK] * 3 + [scene(1)] * 10) == []


@pytest.mark.parametrize("is_damaged", [False, True])
@pytest.mark.parametrize("num_frames", [10, 16, 24])
def test_a_dissolve_is_found_while_it_lasts_and_told_from_a_cut(num_frames: int, is_damaged: bool) -> None:
    frames = [scene(1)] * 30 + mixed(scene(1), scene(2), num_frames) + [scene(2)] * 30

    found = find_transitions(damaged(frames) if is_damaged else frames)

    assert [item.kind for item in found] == [TransitionKind.DISSOLVE]
    assert 30 < found[0].start < found[0].end <= 30 + num_frames + 4


@pytest.mark.parametrize("is_damaged", [False, True])
@pytest.mark.parametrize("level", [0, 100])
def test_a_fade_through_black_or_white_is_one_fade(level: float, is_damaged: bool) -> None:
    flat = np.full_like(BLACK, level)
    fade = [*mixed(scene(1), flat, 12), flat, flat, *mixed(flat, scene(2), 12)]
    frames = [scene(1)] * 30 + fade + [scene(2)] * 30

    found = find_transitions(damaged(frames) if is_damaged else frames)

    assert [item.kind for item in found] == [TransitionKind.FADE]
    assert found[0].start >= 30
    assert found[0].end <= 30 + len(fade)


def test_the_same_frames_give_the_same_transitions() -> None:
    frames = damaged([scene(1)] * 20 + mixed(scene(1), scene(2), 12) + [scene(2)] * 20)

    assert find_transitions(frames) == find_transitions(frames)
