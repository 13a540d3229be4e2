"""Flow that depends on its two pictures alone, although a thread's estimators are used again and again."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.temporal.flow import find_flow

SIZES = [(96, 176), (54, 96), (270, 480), (16, 17), (40, 16), (20, 200), (96, 176)]
"""Larger and smaller ones in turn, so that buffers of another size are found."""


def blobs(height: int, width: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(height * width).integers(0, 256, (height, width), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 3) * 2 - 128, np.uint8)


def flow_between(size: tuple[int, int]) -> NDArray[np.float32]:
    picture = blobs(*size)
    return find_flow(picture, np.roll(picture, 2, axis=1), finest_scale=0, descent_steps=6)


def test_it_points_to_where_a_pixel_went() -> None:
    flow = flow_between((96, 176))[8:-8, 8:-8]

    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), [2, 0], atol=0.05)


def test_what_a_thread_saw_before_makes_no_difference() -> None:
    used = [flow_between(size) for size in SIZES]

    for size, flow in zip(SIZES, used, strict=True):
        with ThreadPoolExecutor(1) as fresh:  # another thread, with an estimator that has seen nothing
            np.testing.assert_array_equal(fresh.submit(flow_between, size).result(), flow)


@pytest.mark.parametrize("finest_scale", [0, 1])
def test_estimators_of_another_kind_stay_apart(finest_scale: int) -> None:
    picture = blobs(96, 176)
    other = np.roll(picture, 3, axis=0)
    first = find_flow(picture, other, finest_scale=finest_scale, descent_steps=12)

    find_flow(picture, other, finest_scale=1 - finest_scale, descent_steps=3)

    np.testing.assert_array_equal(find_flow(picture, other, finest_scale=finest_scale, descent_steps=12), first)
