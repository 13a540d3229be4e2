"""The photographs that models are scored on."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from kinema_core.color import rgb_to_lab
from kinema_core.errors import InvalidInputError, MediaError
from kinema_trainer.data.crops import square_photo
from kinema_trainer.data.sources import decode_photo, read_shards

Rgb: TypeAlias = NDArray[np.uint8]

GREY_REASON = "it has no colour to be found again"


@dataclass(frozen=True, slots=True, eq=False)
class PhotoSet:
    """Square colour photographs of one size."""

    source: str
    """Where they came from: the last part of the path."""
    size: int
    """Side of the squares, in pixels."""
    truths: dict[str, Rgb]
    """(size, size, 3) sRGB by name, in the order of the names."""
    skipped: dict[str, str]
    """Why a photograph is not among them, by name."""

    def mean_ab(self) -> tuple[float, float]:
        """Return the mean a and b over all pixels, Lab units."""
        means = [rgb_to_lab(truth)[..., 1:].mean(axis=(0, 1), dtype=np.float64) for truth in self.truths.values()]
        a, b = np.mean(means, axis=0)
        return float(a), float(b)


def read_photo_set(
    photos: Path, *, size: int = 256, limit: int | None = None, on_photo: Callable[[int, int], None] | None = None
) -> PhotoSet:
    """Read the photographs to score models on.

    Left out, with the reason: what cannot be decoded, and a photograph whose three channels are equal everywhere. That
    one has no colour to be found again, and grey would score an infinite PSNR on it.

    Args:
        photos: a folder of photographs or tar shards, or one tar.
        size: the central square of each photograph is scaled to this side, in pixels.
        limit: take only so many photographs, evenly spread over their names.
        on_photo: told how many are read, and of how many.

    Raises:
        InvalidInputError: not one usable photograph is there.
    """
    encoded = read_shards(photos)
    names = _spread(sorted(encoded), limit)
    truths: dict[str, Rgb] = {}
    skipped: dict[str, str] = {}
    for done, name in enumerate(names, start=1):
        try:
            truth = square_photo(decode_photo(name, encoded[name]), size)
        except MediaError as err:
            skipped[name] = str(err)
        else:
            if _is_grey(truth):
                skipped[name] = GREY_REASON
            else:
                truths[name] = truth
        if on_photo:
            on_photo(done, len(names))
    if not truths:
        raise InvalidInputError("photos", f"not one readable colour photograph under {photos}{_first(skipped.items())}")
    return PhotoSet(photos.name, size, truths, skipped)


def _spread(names: list[str], limit: int | None) -> list[str]:
    if limit is None or limit >= len(names):
        return names
    return [names[i * len(names) // limit] for i in range(limit)]


def _is_grey(rgb: Rgb) -> bool:
    return bool((rgb == rgb[..., :1]).all())


def _first(skipped: Iterable[tuple[str, str]]) -> str:
    return next((f"; {name}, for one: {reason}" for name, reason in skipped), "")
