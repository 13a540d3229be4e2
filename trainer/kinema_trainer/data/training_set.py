"""The photographs that a run trains on: readable, coloured, and none of them held out."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kinema_core.errors import InvalidInputError
from kinema_trainer.data.overlap import SharedPicture, shared_pictures
from kinema_trainer.data.screening import screen
from kinema_trainer.data.sources import training_photos, validation_photos

log = logging.getLogger(__name__)

_NUM_NAMED = 10


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrainingSet:
    """What is trained on, what is held out, and what was left out of both."""

    photos: dict[str, bytes]
    """Encoded photographs to train on, by name."""
    chroma: dict[str, float]
    """Mean Lab chroma of each of `photos`."""
    validation: dict[str, bytes]
    """Encoded photographs that are held out, by name."""
    grey: tuple[str, ...]
    """Dropped from training: mean chroma below `min_chroma`."""
    shared: tuple[SharedPicture, ...]
    """Dropped from training: the same picture is held out."""
    corrupt: tuple[str, ...]
    """Dropped from either: they cannot be decoded."""

    @property
    def digest(self) -> str:
        """Name the photographs to train on: SHA-256, 64 hex digits, of their names and sizes in bytes."""
        listed = "\n".join(f"{name} {len(encoded)}" for name, encoded in sorted(self.photos.items()))
        return hashlib.sha256(listed.encode()).hexdigest()

    def describe(self) -> str:
        """Say how many photographs there are, and which were left out."""
        lines = [f"{len(self.photos)} photographs to train on, {len(self.validation)} held out"]
        pairs = [f"{pair.training} = {pair.validation}" for pair in self.shared]
        for names, reason in ((self.corrupt, "damaged"), (self.grey, "grey"), (pairs, "held out as well")):
            if names:
                lines.append(f"left out, {reason}: {len(names)} ({_some(names)})")
        return "\n".join(lines)


def read_training_set(source: Path, *, min_chroma: float = 0.0) -> TrainingSet:
    """Read the photographs under `source`, and leave out what is not to be trained on.

    A training picture that is held out as well, also mirrored or encoded otherwise, is dropped from training. What was
    dropped is counted and named in the log.

    Args:
        source: a folder of tar shards, of photographs or of CIFAR-10.
        min_chroma: drops nearly grey photographs from training (see `screen`); in Lab units, 0 for none.

    Raises:
        InvalidInputError: nothing to train on is there, or nothing is left.
    """
    photos, held_out = training_photos(source), validation_photos(source)
    ours, theirs = screen(photos, min_chroma=min_chroma), screen(held_out)
    shared = tuple(shared_pictures(ours.thumbnails, theirs.thumbnails))
    kept = sorted(ours.chroma.keys() - {pair.training for pair in shared})
    found = TrainingSet(
        photos={name: photos[name] for name in kept},
        chroma={name: ours.chroma[name] for name in kept},
        validation={name: held_out[name] for name in theirs.chroma},
        grey=ours.grey,
        shared=shared,
        corrupt=(*ours.corrupt, *theirs.corrupt),
    )
    if not kept:
        raise InvalidInputError("photographs", f"none under {source} can be trained on; {found.describe()}")
    _warn(found)
    return found


def _warn(found: TrainingSet) -> None:
    shared = [pair.training for pair in found.shared]
    for event, names in (("photos_corrupt", found.corrupt), ("photos_grey", found.grey), ("photos_shared", shared)):
        if names:
            log.warning(event, extra={"num_photos": len(names), "photos": _some(names)})


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NUM_NAMED
    return ", ".join(names[:_NUM_NAMED]) + (f" and {rest} more" if rest > 0 else "")
