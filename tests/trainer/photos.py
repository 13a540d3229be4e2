"""Tiny photographs for the trainer's tests."""

import io
import tarfile
from collections.abc import Mapping, Sequence
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


def make_grey_photo(seed: int, height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    """(height, width, 3) sRGB of three equal channels."""
    return np.repeat(make_photo(seed, height, width)[..., :1], 3, axis=2)


def encode_jpeg(rgb: NDArray[np.uint8], quality: int = 95) -> bytes:
    is_encoded, encoded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert is_encoded
    return bytes(encoded)


def write_photos(folder: Path, count: int) -> Path:
    for seed in range(count):
        (folder / f"{seed}.jpg").write_bytes(encode_jpeg(make_photo(seed)))
    return folder


def write_tar(file: Path, members: Mapping[str, bytes]) -> Path:
    """Write a WebDataset-style shard."""
    with tarfile.open(file, "w") as archive:
        for name, encoded in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(encoded)
            archive.addfile(member, io.BytesIO(encoded))
    return file


def write_npz(file: Path, photos: Sequence[bytes]) -> Path:
    """Write CIFAR-10 the way that the trainer reads it: JPEGs end to end, and where each begins."""
    offsets = np.cumsum([0, *(len(photo) for photo in photos)])
    labels = np.zeros(len(photos), np.uint8)
    np.savez(file, jpeg=np.frombuffer(b"".join(photos), np.uint8), offsets=offsets, labels=labels)
    return file
