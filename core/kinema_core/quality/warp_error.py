"""Warp error: how much a film's pixels change along their motion.

Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018: the squared difference between a frame and the next
one, warped back along the motion, over the pixels that both show; here the mean over channels is taken, too. The
motion is that of the **input**, so that all methods are measured along the same one, and is found by DIS optical flow
(Kroeger et al., ECCV 2016) instead of a network. Pixels that are hidden in the next frame and pixels at motion
boundaries are left out by the tests of Ruder, Dosovitskiy and Brox, "Artistic Style Transfer for Videos", GCPR 2016,
with their constants.

A grey or frozen film has a low warp error: it says something only beside fidelity and colourfulness. Grain and errors
of the flow leave a floor that no colorizer can go below whose luma is that of the input.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError

F64 = NDArray[np.float64]

MIN_SIDE: Final = 32
"""Pixels; OpenCV's DIS reads outside of its memory where a side is below eight at its finest scale."""


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Where the pixels of a frame are in the next one."""

    flow: NDArray[np.float32]
    """(H, W, 2), right and down, in pixels."""
    is_seen: NDArray[np.bool_]
    """(H, W), the pixels that the next frame shows too and that lie at no motion boundary."""


def find_motion(grey: NDArray[np.uint8], next_grey: NDArray[np.uint8]) -> Motion:
    """Find the motion between two frames (H, W) of the input.

    Raises:
        InvalidInputError: not two 8-bit planes of one size, or a side is shorter than MIN_SIDE.
    """
    if grey.dtype != np.uint8 or next_grey.dtype != np.uint8 or grey.ndim != 2 or grey.shape != next_grey.shape:
        raise InvalidInputError("grey", f"must be uint8 (H, W) of one size, got {grey.shape} and {next_grey.shape}")
    if min(grey.shape) < MIN_SIDE:
        raise InvalidInputError("grey", f"must be at least {MIN_SIDE} pixels high and wide, got {grey.shape}")
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    forward = np.asarray(estimator.calc(grey, next_grey, None), np.float32)
    backward = np.asarray(estimator.calc(next_grey, grey, None), np.float32)
    returned = _warp(backward.astype(np.float64), forward)
    there_and_back = np.square(forward + returned).sum(axis=2)
    is_hidden = there_and_back > 0.01 * (np.square(forward) + np.square(returned)).sum(axis=2) + 0.5
    steepness = sum(np.square(np.gradient(forward, axis=axis)).sum(axis=2) for axis in (0, 1))
    is_boundary = steepness > 0.01 * np.square(forward).sum(axis=2) + 0.002
    height, width = grey.shape
    x, y = forward[..., 0] + np.arange(width), forward[..., 1] + np.arange(height)[:, None]
    is_inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return Motion(forward, is_inside & ~is_hidden & ~is_boundary)


def warp_error(picture: NDArray[Any], next_picture: NDArray[Any], motion: Motion, *, peak: float = 255.0) -> float:
    """Return the mean squared change along the motion between two frames (H, W, C) of the output; `peak` counts as 1.

    A clip's warp error is the mean of its pairs'. Where nothing is seen twice it is NaN.

    Raises:
        InvalidInputError: the pictures are not (H, W, C) of the motion's size.
    """
    if picture.ndim != 3 or picture.shape != next_picture.shape or picture.shape[:2] != motion.is_seen.shape:
        raise InvalidInputError(
            "picture", f"must be (H, W, C) of the motion's size {motion.is_seen.shape}, got {picture.shape}"
        )
    if not motion.is_seen.any():
        return float("nan")
    change = _warp(next_picture.astype(np.float64), motion.flow) - picture.astype(np.float64)
    return float(np.mean(np.square(change[motion.is_seen] / peak)))


def _warp(picture: F64, flow: NDArray[np.float32]) -> F64:
    """Fetch for each pixel what lies where `flow` points: (H, W, C) -> (H, W, C)."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    warped: F64 = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return warped.reshape(picture.shape)
