"""Photographs from folders, tar shards and CIFAR-10, kept encoded in memory.

Shards are plain tars in the WebDataset layout. The webdataset library reads them as a stream through a shuffle buffer;
here any sample must be found by its number, so that a resumed run meets the same ones. `tarfile` is enough for that.

What is held out is known by its name: tars that begin with `val`, `test.npz` or `val*.npz`, and photographs in a
sub-folder `val` or `validation`.
"""

import itertools
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError
from kinema_core.media import photos as core_photos
from kinema_core.media.photos import PHOTO_SUFFIXES


def read_shards(source: Path) -> dict[str, bytes]:
    """Read every encoded photograph under `source` into memory, keyed by its name.

    Args:
        source: a folder of tar shards, npz files or photographs, or one such file.

    Raises:
        InvalidInputError: nothing usable is there.
    """
    return _required(_read(source, lambda _: True), source, "there are none")


def training_photos(source: Path) -> dict[str, bytes]:
    """Read the photographs to train on, keyed by their names: everything under `source` but what is held out.

    Raises:
        InvalidInputError: nothing to train on is there.
    """
    return _required(_read(source, lambda part: not _is_held_out(part)), source, "there are none to train on")


def validation_photos(source: Path) -> dict[str, bytes]:
    """Read the photographs that are held out, keyed by their names; none, where `source` has no such part.

    Raises:
        InvalidInputError: a file cannot be read.
    """
    return _read(source, _is_held_out)


def decode_photo(name: str, encoded: bytes) -> NDArray[np.uint8]:
    """Decode to (H, W, 3) sRGB.

    Raises:
        MediaError: the bytes are no picture; the message names it.
    """
    return core_photos.decode_photo(encoded, name=name)


def _read(source: Path, is_wanted: Callable[[PurePosixPath], bool]) -> dict[str, bytes]:
    """Read the files of `source` whose path below it `is_wanted`."""
    if not source.exists():
        raise InvalidInputError("photographs", f"{source} does not exist; give a folder, a tar or an npz file")
    encoded: dict[str, bytes] = {}
    for file in [source] if source.is_file() else _files(source):
        below = PurePosixPath(file.name if source.is_file() else file.relative_to(source).as_posix())
        if not is_wanted(below):
            continue
        for name, photo in _members(file, str(below)):
            # Two shards may use one name; the second photograph then carries its shard's.
            encoded[f"{file.name}/{name}" if name in encoded else name] = photo
    return encoded


def _files(folder: Path) -> list[Path]:
    packed = [path for path in folder.iterdir() if path.suffix.lower() in (".tar", ".npz")]
    return [*sorted(packed), *core_photos.list_photos(folder)]


def _is_held_out(part: PurePosixPath) -> bool:
    if part.suffix.lower() in PHOTO_SUFFIXES:
        return len(part.parts) > 1 and part.parts[0] in ("val", "validation")
    return part.name.startswith("val") or part.name == "test.npz"


def _members(file: Path, below: str) -> Iterator[tuple[str, bytes]]:
    suffix = file.suffix.lower()
    if suffix == ".tar":
        yield from _tar_members(file)
    elif suffix == ".npz":
        yield from _npz_members(file)
    elif suffix in PHOTO_SUFFIXES:
        yield below, file.read_bytes()
    else:
        raise InvalidInputError("photographs", f"{file} is neither a tar, nor an npz file, nor a photograph")


def _tar_members(file: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                if PurePosixPath(member.name).suffix.lower() in PHOTO_SUFFIXES and (
                    stream := archive.extractfile(member)
                ):
                    yield member.name, stream.read()
    except tarfile.TarError as err:
        raise InvalidInputError("photographs", f"{file} is no complete tar: {err}; copy it again") from err


def _npz_members(file: Path) -> Iterator[tuple[str, bytes]]:
    """Photograph i is `jpeg[offsets[i] : offsets[i + 1]]`."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            jpeg, offsets = arrays["jpeg"].tobytes(), arrays["offsets"].tolist()
    except (KeyError, ValueError, OSError) as err:
        raise InvalidInputError("photographs", f"{file} has no arrays `jpeg` and `offsets`: {err}") from err
    for i, (begin, end) in enumerate(itertools.pairwise(offsets)):
        yield f"{file.stem}-{i:05d}.jpg", jpeg[begin:end]


def _required(encoded: dict[str, bytes], source: Path, problem: str) -> dict[str, bytes]:
    if not encoded:
        raise InvalidInputError("photographs", f"{problem} under {source}, neither in tar or npz files nor as files")
    return encoded
