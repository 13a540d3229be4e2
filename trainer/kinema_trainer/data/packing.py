"""Photographs packed into tar shards of a limited size, in the layout that `sources` reads."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from kinema_core.errors import InvalidInputError
from kinema_trainer.data.sources import training_photos, validation_photos

_BLOCK = 512
_END = 10_240
"""A tar ends on a multiple of this."""


def pack_photos(source: Path, out: Path, *, max_bytes: int) -> list[Path]:
    """Write `train-*.tar` and `val-*.tar` into `out`, none larger than `max_bytes`; return them in order.

    The photographs stay encoded as they are.

    Raises:
        InvalidInputError: nothing to train on is there, `out` holds something, or one photograph is too large.
    """
    if out.exists() and any(out.iterdir()):
        raise InvalidInputError("out", f"{out} is not empty; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    parts = {"val": validation_photos(source), "train": training_photos(source)}
    return [
        _write(out / f"{part}-{number:05d}.tar", shard)
        for part, photos in parts.items()
        for number, shard in enumerate(_shards(photos, max_bytes))
    ]


def _shards(photos: Mapping[str, bytes], max_bytes: int) -> Iterator[dict[str, bytes]]:
    shard: dict[str, bytes] = {}
    num_bytes = _END
    for name, encoded in photos.items():
        needed = _tar_bytes(name, encoded)
        if needed + _END > max_bytes:
            raise InvalidInputError("max_bytes", f"{name} alone takes {needed:,} bytes, allowed are {max_bytes:,}")
        if num_bytes + needed > max_bytes:
            yield shard
            shard, num_bytes = {}, _END
        shard[name] = encoded
        num_bytes += needed
    if shard:
        yield shard


def _tar_bytes(name: str, encoded: bytes) -> int:
    """Return what a member takes: its headers, one more of three blocks for a long name, and whole blocks of data."""
    headers = 1 + (3 + len(name.encode()) // _BLOCK if len(name.encode()) > 100 or not name.isascii() else 0)
    return _BLOCK * (headers + -(-len(encoded) // _BLOCK))


def _write(path: Path, photos: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, encoded in photos.items():
            member = tarfile.TarInfo(name)
            member.size = len(encoded)
            archive.addfile(member, io.BytesIO(encoded))
    return path
