"""Squares cut from photographs, and their augmentation of place. All work on sRGB, so L* and ab move together."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class AffineConfig:
    """How far a random affine map may go either way; all 0 is none."""

    rotation_degrees: float = 0.0
    scale: float = 0.0
    """0.2 makes a picture up to 1.2 times as large, or as small."""
    shear_degrees: float = 0.0
    translation: float = 0.0
    """As a part of the picture's height and width."""

    def __post_init__(self) -> None:
        if min(self.rotation_degrees, self.scale, self.translation) < 0 or not 0 <= self.shear_degrees < 90:
            raise ValueError(f"affine limits must be 0 or more, and the shear below 90 degrees, got {self}")

    @property
    def is_off(self) -> bool:
        """Whether every picture stays as it is."""
        return not (self.rotation_degrees or self.scale or self.shear_degrees or self.translation)


def scale_square(square: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Scale (S, S, 3) to (size, size, 3)."""
    if square.shape[0] == size:
        return square
    interpolation = cv2.INTER_AREA if square.shape[0] > size else cv2.INTER_CUBIC
    scaled: NDArray[np.uint8] = cv2.resize(square, (size, size), interpolation=interpolation)
    return scaled


def square_photo(rgb: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Cut the central square of a (H, W, 3) picture and scale it to (size, size, 3)."""
    height, width, _ = rgb.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return scale_square(rgb[top : top + side, left : left + side], size)


def random_crop(
    rgb: NDArray[np.uint8], size: int, rng: np.random.Generator, *, min_crop: float, max_crop: float = 1.0
) -> NDArray[np.uint8]:
    """Cut a random square of `min_crop` to `max_crop` short sides of (H, W, 3), scaled to (size, size, 3)."""
    height, width, _ = rgb.shape
    short = min(height, width)
    side = min(short, max(2, round(short * rng.uniform(min_crop, max_crop))))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    return scale_square(rgb[top : top + side, left : left + side], size)


def random_flip(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Mirror (H, W, 3) left to right, half the time."""
    return np.ascontiguousarray(rgb[:, ::-1]) if rng.random() < 0.5 else rgb


def random_affine(rgb: NDArray[np.uint8], config: AffineConfig, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Rotate, scale, shear and move (H, W, 3) about its centre; the picture is mirrored beyond its edges."""
    height, width, _ = rgb.shape
    angle, shear, log_scale, right, down = rng.uniform(-1, 1, 5)
    turn = math.radians(angle * config.rotation_degrees)
    slant = math.tan(math.radians(shear * config.shear_degrees))
    factor = (1 + config.scale) ** log_scale
    cos, sin = factor * math.cos(turn), factor * math.sin(turn)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, slant], [0, 1]])
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    moved = centre + config.translation * np.array([right * width, down * height])
    matrix = np.column_stack((linear, moved - linear @ centre))
    warped: NDArray[np.uint8] = cv2.warpAffine(
        rgb, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return warped
