"""The pictures of a report, within a bound."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from kinema_client.report.reduced import Rgb, encode_jpeg
from kinema_client.report.shots import Shot

MAX_PICTURE_BYTES: Final = 9_000_000
"""Of all JPEGs of a page; as text they are a third more."""
_SCALES: Final = (0.75, 0.5, 0.375, 0.25)
"""Sizes that are tried where the pictures are too many, by the one at which they were taken."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture as a page holds it."""

    address: str
    """`data:` and so on."""
    width: int
    height: int
    is_shrunk: bool
    """Whether it is smaller than it was taken."""


def fit_thumbnails(shots: Sequence[Shot], max_bytes: int = MAX_PICTURE_BYTES) -> dict[int, Thumbnail]:
    """Return the shots' pictures by number: smaller ones where they are too many, at last of the longest alone."""
    jpegs = {shot.number: shot.picture.jpeg for shot in shots if shot.picture}
    fitted = jpegs
    for scale in _SCALES:
        if _total(fitted) <= max_bytes:
            break
        fitted = {number: _scaled(jpeg, scale) for number, jpeg in jpegs.items()}
    longest = sorted((shot for shot in shots if shot.number in fitted), key=lambda shot: -shot.num_frames)
    left = max_bytes
    made = {}
    for shot in longest:
        left -= len(fitted[shot.number])
        if left < 0:
            break
        made[shot.number] = _thumbnail(fitted[shot.number], is_shrunk=fitted is not jpegs)
    return made


def _total(jpegs: dict[int, bytes]) -> int:
    return sum(map(len, jpegs.values()))


def _scaled(jpeg: bytes, scale: float) -> bytes:
    rgb = _decode(jpeg)
    size = tuple(max(2, round(side * scale)) for side in rgb.shape[1::-1])
    return encode_jpeg(np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8), quality=70)


def _thumbnail(jpeg: bytes, *, is_shrunk: bool) -> Thumbnail:
    height, width = _decode(jpeg).shape[:2]
    return Thumbnail(f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}", width, height, is_shrunk)


def _decode(jpeg: bytes) -> Rgb:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)
