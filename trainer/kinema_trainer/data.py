"""Photographs as training pairs: lightness in, ab out.

Reads WebDataset-style tar shards and plain folders. Every random choice is drawn from (seed, step, position in the
batch) and from nothing else, so a resumed run meets the very batches that an uninterrupted one would have met.
"""

import logging
import tarfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color import GREY_TAGS, luma_to_lightness, rgb_to_lab
from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.frames import Matrix
from kinema_core.media.photos import PHOTO_SUFFIXES

log = logging.getLogger(__name__)

F32: TypeAlias = NDArray[np.float32]

MIN_CROP = 0.4
"""The smallest crop, as a part of the picture's short side."""
LUMA_RATE = 0.3
"""How often the input is the lightness of a film's luma instead of the L* of the colour."""
DEGRADE_RATE = 0.4
"""How often the input is degraded like film."""
PREFETCH = 4
"""Batches made ahead of the one in use."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Pairs to learn from."""

    lightness: F32
    """(B, 1, S, S), L* 0-100."""
    ab: F32
    """(B, 2, S/2, S/2), Lab units: the area mean of the full-size ab."""


def read_shards(source: Path) -> dict[str, bytes]:
    """Read every encoded photograph under `source` into memory, keyed by its name.

    Args:
        source: a folder of tar shards (members `<name>.jpg`), one such tar, or a folder of photographs.

    Raises:
        InvalidInputError: nothing usable is there.
    """
    if source.is_file():
        shards, photos = [source], []
    else:
        shards = sorted(source.glob("*.tar"))
        photos = sorted(p for p in source.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
    encoded = {str(p.relative_to(source)): p.read_bytes() for p in photos}
    for shard in shards:
        with tarfile.open(shard) as archive:
            for member in archive:
                if Path(member.name).suffix.lower() in PHOTO_SUFFIXES and (stream := archive.extractfile(member)):
                    encoded[member.name] = stream.read()
    if not encoded:
        raise InvalidInputError("photographs", f"there are none under {source}, neither in tar shards nor as files")
    return encoded


def training_shards(source: Path) -> list[Path]:
    """List what to train on: every shard of a folder but its validation shards (`val-*`), or `source` itself."""
    shards = [p for p in sorted(source.glob("*.tar")) if not p.name.startswith("val")] if source.is_dir() else []
    return shards or [source]


def decode_photo(name: str, encoded: bytes) -> NDArray[np.uint8]:
    """Decode to (H, W, 3) sRGB.

    Raises:
        MediaError: the bytes are no picture; the message names it.
    """
    bgr = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise MediaError(f"{name} is not a readable picture")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def scale_square(square: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Scale (S, S, 3) to (size, size, 3)."""
    interpolation = cv2.INTER_AREA if square.shape[0] >= size else cv2.INTER_CUBIC
    scaled: NDArray[np.uint8] = cv2.resize(square, (size, size), interpolation=interpolation)
    return scaled


def random_crop(rgb: NDArray[np.uint8], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Cut a random square of 0.4 to 1 short sides, scale it to (size, size, 3), and mirror it half the time."""
    height, width, _ = rgb.shape
    side = max(2, round(min(height, width) * rng.uniform(MIN_CROP, 1.0)))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    crop = rgb[top : top + side, left : left + side]
    crop = scale_square(crop, size)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return np.ascontiguousarray(crop, np.uint8)


def square_photo(rgb: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Cut the central square of a (H, W, 3) picture and scale it to (size, size, 3)."""
    height, width, _ = rgb.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return scale_square(rgb[top : top + side, left : left + side], size)


def luma_lightness(rgb: NDArray[np.uint8], matrix: Matrix) -> F32:
    """Return the L* (H, W) that film kept only as luma shows: grey with the same Y'."""
    luma = np.rint(rgb.astype(np.float32) @ np.array(matrix.luma_weights, np.float32)).astype(np.uint8)
    lightness: F32 = luma_to_lightness(luma, GREY_TAGS)
    return lightness


def degrade(lightness: F32, rng: np.random.Generator) -> F32:
    """Treat L* (H, W) as old film does: another exposure and contrast, a little blur, grain; 0-100 again."""
    gamma, gain = np.exp(rng.normal(0, 0.15)), np.exp(rng.normal(0, 0.07))
    fog = max(0.0, rng.normal(0, 4))
    out: NDArray[np.float64] = fog + (100 - fog) * np.clip(gain * (lightness / 100) ** gamma, 0, 1)
    if rng.random() < 0.4:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, 1.2))
    if rng.random() < 0.6:
        out = out + rng.normal(0, rng.uniform(0.5, 4), out.shape)
    return np.clip(out, 0, 100).astype(np.float32)


def training_pair(rgb: NDArray[np.uint8], rng: np.random.Generator) -> tuple[F32, F32]:
    """Turn a (S, S, 3) crop into lightness (1, S, S) and ab (2, S/2, S/2)."""
    size = rgb.shape[0]
    lab = rgb_to_lab(rgb).astype(np.float32)
    lightness = lab[..., 0]
    if rng.random() < LUMA_RATE:
        lightness = luma_lightness(rgb, Matrix.BT601 if rng.random() < 0.5 else Matrix.BT709)
    if rng.random() < DEGRADE_RATE:
        lightness = degrade(lightness, rng)
    ab = cv2.resize(lab[..., 1:], (size // 2, size // 2), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(lightness)[None], np.ascontiguousarray(ab.transpose(2, 0, 1))


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Return the order, (count,), in which an epoch visits the photographs."""
    return np.random.default_rng([seed, epoch]).permutation(count)


class TrainingPhotos:
    """Batches of crops from photographs kept encoded in memory.

    An epoch is one shuffled pass. A photograph that cannot be decoded is named in the log, and another stands in.
    """

    def __init__(self, source: Path, *, seed: int) -> None:
        self.encoded: dict[str, bytes] = {}
        for shard in training_shards(source):
            self.encoded.update(read_shards(shard))
        self.names = sorted(self.encoded)
        self.seed = seed
        self.corrupt: set[str] = set()

    def batch(self, step: int, *, batch_size: int, crop_size: int) -> Batch:
        """Return the batch of `step`: the same arguments give the same bits."""
        pairs = []
        for i in range(batch_size):
            epoch, position = divmod(step * batch_size + i, len(self.names))
            index = int(epoch_order(self.seed, epoch, len(self.names))[position])
            rng = np.random.default_rng([self.seed, step, i])
            pairs.append(training_pair(random_crop(self._decode(index), crop_size, rng), rng))
        lightness, ab = zip(*pairs, strict=True)
        return Batch(np.stack(lightness), np.stack(ab))

    def batches(self, steps: range, *, batch_size: int, crop_size: int) -> Iterator[Batch]:
        """Yield the batches of `steps`, made ahead on another thread."""
        with ThreadPoolExecutor(1, thread_name_prefix="photos") as pool:
            ahead: list[Future[Batch]] = []
            for step in steps:
                ahead.append(pool.submit(self.batch, step, batch_size=batch_size, crop_size=crop_size))
                if len(ahead) > PREFETCH:
                    yield ahead.pop(0).result()
            for future in ahead:
                yield future.result()

    def _decode(self, index: int) -> NDArray[np.uint8]:
        for name in (self.names[index], *self.names):
            if name in self.corrupt:
                continue
            try:
                return decode_photo(name, self.encoded[name])
            except MediaError as error:
                self.corrupt.add(name)
                log.warning("photo_skipped", extra={"photo": name, "reason": str(error)})
        raise MediaError("not one of the photographs can be decoded")
