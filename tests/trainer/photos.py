"""Tiny photographs for the trainer's tests."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def make_photo(seed: int, height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    """(height, width, 3) sRGB: smooth patches of random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    photo: NDArray[np.uint8] = np.clip(smooth, 0, 255).astype(np.uint8)
    return photo


def encode_jpeg(rgb: NDArray[np.uint8]) -> bytes:
    is_encoded, encoded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert is_encoded
    return bytes(encoded)


def write_photos(folder: Path, count: int) -> Path:
    for seed in range(count):
        (folder / f"{seed}.jpg").write_bytes(encode_jpeg(make_photo(seed)))
    return folder
