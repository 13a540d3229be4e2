"""Where each pixel was in the frame before, and how far that is to be trusted: from lightness alone.

What is done with it, on which device, is the business of others.
"""

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color.ycbcr import halve
from kinema_core.temporal.exposure import difference_without_flicker
from kinema_core.temporal.flow import find_flow

F32 = NDArray[np.float32]

RESIDUAL_SCALE: Final = 8.0
"""Motion-compensated difference in L* at which trust in the frame before falls to 1/e; film grain stays below."""
FINEST_SCALE: Final = 0
"""DIS goes down to the pixels of half the working size; at a quarter, warp error was a quarter higher."""
DESCENT_STEPS: Final = 6
"""Of each patch; with its preset's 12 warp error on chroma was 0.4 % lower, and the flow a fifth dearer."""
MIN_FLOW_SIDE: Final = 16
"""Pixels; OpenCV's DIS reads outside of its memory where a side is below eight at its finest scale."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What is kept of a frame to find the motion of the next."""

    picture: NDArray[np.uint8]
    """Lightness at half the working size, for the flow."""
    lightness: F32
    """(h, w), L* at the size of ab."""


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """For each pixel of ab (h, w): where it was in the frame before, and whether that is the same thing."""

    x: F32
    """(h, w), columns; beyond the border where it came from outside."""
    y: F32
    """(h, w), rows."""
    trust: F32
    """(h, w), 0 to 1; 0 for what came from outside."""

    def carry(self, plane: F32) -> F32:
        """Move a plane (h, w) of the frame before along; what comes from outside is that of the border."""
        return _carry(plane, self.x, self.y)


def find_motion(before: Seen, now: Seen) -> Motion:
    """Follow each pixel of `now` back, and weigh down where the pictures disagree."""
    height, width = now.lightness.shape
    picture = now.picture
    flow = find_flow(picture, before.picture, finest_scale=FINEST_SCALE, descent_steps=DESCENT_STEPS)
    flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA)
    x = np.arange(width, dtype=np.float32) + flow[..., 0] * np.float32(width / picture.shape[1])
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1] * np.float32(height / picture.shape[0])
    difference = difference_without_flicker(_carry(before.lightness, x, y), now.lightness)
    residual = cv2.GaussianBlur(np.abs(difference), (0, 0), 1.0)
    trust = np.exp(-np.square(residual / RESIDUAL_SCALE))
    is_inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return Motion(x, y, trust * is_inside)


def _carry(plane: F32, x: F32, y: F32) -> F32:
    return np.asarray(cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def see(lightness: F32, shape: tuple[int, int]) -> Seen:
    """Keep of lightness (H, W), L* 0-100, what the motion of ab of `shape` (h, w) needs."""
    small = np.asarray(cv2.resize(lightness, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
    return Seen(picture_for_flow(lightness), small)


def picture_for_flow(lightness: F32) -> NDArray[np.uint8]:
    """Return lightness (H, W) at half its size as bytes, magnified where that is too small for DIS."""
    picture: NDArray[np.uint8] = np.rint(halve(lightness) * np.float32(2.55)).astype(np.uint8)
    factor = math.ceil(MIN_FLOW_SIDE / min(picture.shape))
    if factor == 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR), np.uint8)
