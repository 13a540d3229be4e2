"""One pass over photographs before they are trained on: which are damaged, which are nearly grey.

Every photograph is decoded just as it will be for training, so that a run never meets one that cannot be.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color import rgb_to_lab
from kinema_core.errors import MediaError
from kinema_trainer.data.overlap import Thumbnail, thumbnail
from kinema_trainer.data.sources import decode_photo

MAX_SIDE = 64
"""The chroma of a larger photograph is measured on a copy of this size, the area mean: noise has no say in it."""


@dataclass(frozen=True, slots=True, eq=False)
class Screening:
    """What a pass over photographs found."""

    chroma: dict[str, float]
    """Mean Lab chroma of each photograph that was kept, in the order of names."""
    thumbnails: dict[str, Thumbnail]
    """Of each photograph that was kept."""
    grey: tuple[str, ...]
    """Dropped: mean chroma below `min_chroma`."""
    corrupt: tuple[str, ...]
    """Dropped: they cannot be decoded."""

    @property
    def num_kept(self) -> int:
        """How many photographs were kept."""
        return len(self.chroma)


def screen(photos: Mapping[str, bytes], *, min_chroma: float = 0.0) -> Screening:
    """Decode each of `photos` once; drop what is damaged, or nearly grey.

    Args:
        photos: encoded photographs by name.
        min_chroma: a photograph of a lower mean chroma √(a² + b²), in Lab units, is dropped; 0 drops none.
    """
    names = sorted(photos)
    with ThreadPoolExecutor(_num_threads(), thread_name_prefix="screening") as pool:
        views = dict(zip(names, pool.map(lambda name: _view(name, photos[name]), names), strict=True))
    seen = {name: view for name, view in views.items() if view is not None}
    kept = {name: view for name, view in seen.items() if view[0] >= min_chroma}
    return Screening(
        chroma={name: chroma for name, (chroma, _) in kept.items()},
        thumbnails={name: small for name, (_, small) in kept.items()},
        grey=tuple(name for name in seen if name not in kept),
        corrupt=tuple(name for name in names if name not in seen),
    )


def mean_chroma(rgb: NDArray[np.uint8]) -> float:
    """Return the mean Lab chroma of (H, W, 3) sRGB, on a copy of at most 64x64 pixels."""
    height, width, _ = rgb.shape
    size = min(width, MAX_SIDE), min(height, MAX_SIDE)
    small = rgb if size == (width, height) else np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
    ab = rgb_to_lab(small)[..., 1:]
    return float(np.hypot(ab[..., 0], ab[..., 1]).mean(dtype=np.float64))


def _view(name: str, encoded: bytes) -> tuple[float, Thumbnail] | None:
    try:
        rgb = decode_photo(name, encoded)
    except MediaError:
        return None
    return mean_chroma(rgb), thumbnail(rgb)


def _num_threads() -> int:
    return len(os.sched_getaffinity(0))
