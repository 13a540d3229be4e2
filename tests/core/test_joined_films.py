"""The films on which scene changes are measured, and what Kinema finds in some of them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.joined_films import CLEAN, HEIGHT, RUINED, WIDTH, WORN, Damage, Label, join, match
from kinema_core.color import GREY_TAGS
from kinema_core.frame_way import prepare_lightness
from kinema_core.frames import TransitionKind
from kinema_core.media.photos import list_photos, read_photo
from kinema_core.temporal.transitions import find_transitions

U8 = NDArray[np.uint8]
FOOTAGE = Path(__file__).resolve().parents[2] / "demo" / "footage"


def pan(photo: U8, num_frames: int = 70) -> U8:
    """Move a window over a photograph, a pixel and a half a frame: (num_frames, HEIGHT, WIDTH)."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    scale = max((HEIGHT + 20) / grey.shape[0], (WIDTH + 1.5 * num_frames + 4) / grey.shape[1])
    large = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    centres = [(WIDTH / 2 + 1.5 * n + 1, HEIGHT / 2 + 0.2 * n + 1) for n in range(num_frames)]
    return np.stack([cv2.getRectSubPix(large, (WIDTH, HEIGHT), centre) for centre in centres])


@pytest.fixture(scope="module")
def shots() -> list[U8]:
    return [pan(read_photo(path)) for path in list_photos(FOOTAGE)]


def test_a_film_is_the_same_for_the_same_seed(shots: list[U8]) -> None:
    one, other = (join(shots[:3], WORN, seed=4) for _ in range(2))

    np.testing.assert_array_equal(one.luma, other.luma)
    assert one.labels == other.labels


def test_labels_lie_where_pictures_change(shots: list[U8]) -> None:
    film = join(shots, CLEAN, seed=8)
    small = np.stack([cv2.resize(frame, (96, 54), interpolation=cv2.INTER_AREA) for frame in film.luma]).astype(float)
    steps = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2))

    assert len(film.labels) == len(shots) - 1
    for label in film.labels:
        if label.kind is TransitionKind.CUT:
            assert steps[label.start - 1] > 4 * np.median(steps)
        else:
            assert 8 <= label.end - label.start <= 60
            assert steps[label.start - 1 : label.end].mean() > 1.2 * np.median(steps)


def test_matching_counts_cuts_to_the_frame_and_fades_by_overlap() -> None:
    labels = [Label(TransitionKind.CUT, 20, 20), Label(TransitionKind.FADE, 50, 80)]

    assert match(labels, [(21, 21), (60, 66)]) == ({0, 1}, [])
    assert match(labels, [(24, 24), (90, 95)]) == (set(), [(24, 24), (90, 95)])
    assert match(labels, [(20, 20), (22, 22), (55, 55), (70, 70)]) == ({0, 1}, [(22, 22)])


@pytest.mark.slow
@pytest.mark.parametrize(("damage", "seed"), [(CLEAN, 1), (WORN, 2), (RUINED, 3)])
def test_scene_changes_are_found_in_films_of_every_state(shots: list[U8], damage: Damage, seed: int) -> None:
    film = join(shots, damage, seed)
    frames = (prepare_lightness(frame, GREY_TAGS, (192, 352))[0, 0] for frame in film.luma)

    found = find_transitions(frames)

    hits, wrong = match(film.labels, [(item.start, item.end) for item in found])
    assert len(hits) >= len(film.labels) - (damage is RUINED)  # one in five may be lost in the worst
    assert not wrong
