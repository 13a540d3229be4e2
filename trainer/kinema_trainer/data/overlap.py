"""Whether two sets of photographs share a picture, by hash.

A picture's thumbnail of 9x8 pixels gives its 64-bit difference hash (dHash: is a pixel lighter than the one on its
left?), which survives another encoding and size. Pictures of little content share hashes by chance, so the thumbnails
themselves decide. Every pair is compared, also mirrored. A crop of a picture is not recognized as the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Thumbnail: TypeAlias = NDArray[np.uint8]
"""(8, 9, 3) sRGB."""

MAX_DISTANCE = 10
"""Bits of the 64 that may differ."""
MAX_DIFFERENCE = 12.0
"""Root mean square difference of two thumbnails, of 255, that still counts as the same picture."""

_CHUNK = 16
"""Training pictures compared at once: their distances to 10,000 others stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class SharedPicture:
    """One picture that is in both sets."""

    training: str
    validation: str


def thumbnail(rgb: NDArray[np.uint8]) -> Thumbnail:
    """Scale (H, W, 3) to (8, 9, 3): the area mean."""
    small: Thumbnail = cv2.resize(rgb, (9, 8), interpolation=cv2.INTER_AREA)
    return small


def difference_hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the dHash of each of (N, 8, 9, 3) thumbnails: (N,)."""
    grey = thumbnails.sum(axis=-1, dtype=np.int32)
    bits = grey[:, :, 1:] > grey[:, :, :-1]
    return np.packbits(bits.reshape(len(bits), 64), axis=1).view(np.uint64)[:, 0]


def shared_pictures(training: Mapping[str, Thumbnail], validation: Mapping[str, Thumbnail]) -> list[SharedPicture]:
    """List the training pictures that are in the validation set too, each with one of those it is like."""
    if not training or not validation:
        return []
    names, held_out = list(training), list(validation)
    ours, theirs = np.stack(list(training.values())), np.stack(list(validation.values()))
    found: dict[int, int] = {}
    for view in (ours, ours[:, :, ::-1]):
        for mine, other in _like_pairs(view, theirs):
            found.setdefault(mine, other)
    return [SharedPicture(names[mine], held_out[other]) for mine, other in sorted(found.items())]


def _like_pairs(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> list[tuple[int, int]]:
    hashes, wanted = difference_hashes(ours), difference_hashes(theirs)
    pairs: list[tuple[int, int]] = []
    for first in range(0, len(hashes), _CHUNK):
        distance = np.bitwise_count(hashes[first : first + _CHUNK, None] ^ wanted)
        mine, other = np.nonzero(distance <= MAX_DISTANCE)
        difference = ours[first + mine].astype(np.float32) - theirs[other]
        is_like = np.sqrt((difference**2).mean(axis=(1, 2, 3))) <= MAX_DIFFERENCE
        pairs += zip((first + mine[is_like]).tolist(), other[is_like].tolist(), strict=True)
    return pairs
