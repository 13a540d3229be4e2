"""Training pairs: L* in, ab out, each found by its number.

Everything random in a sample is drawn from the run's seed and the sample's number, and from nothing else: a resumed run
meets the very samples that an uninterrupted one would have met, in whatever process or thread they are made.
"""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from kinema_core.color import GREY_TAGS, luma_to_lightness, rgb_to_lab
from kinema_core.errors import InvalidInputError
from kinema_core.frames import Matrix
from kinema_trainer.data.crops import AffineConfig, random_affine, random_crop, random_flip, square_photo
from kinema_trainer.data.film import FilmConfig, degrade, remove_pixels
from kinema_trainer.data.sources import decode_photo

F32: TypeAlias = NDArray[np.float32]
Rgb: TypeAlias = NDArray[np.uint8]

_ORDER, _SAMPLE = 0, 1  # keep the random numbers of an epoch's order and of a sample apart


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What is done to photographs before a network meets them."""

    whole_pictures: bool = False
    """Take each picture's central square instead of a random crop; a picture of the right size stays as it is."""
    min_crop: float = 0.4
    """The smallest crop, as a part of the picture's short side."""
    max_crop: float = 1.0
    flip: bool = True
    """Mirror half of the pictures, left to right."""
    affine: AffineConfig = field(default_factory=AffineConfig)
    luma_rate: float = 0.0
    """How often the input is the lightness of a film's luma (BT.601 or BT.709) instead of the L* of the colour."""
    film_rate: float = 0.0
    """How often the input is degraded like film."""
    film: FilmConfig = field(default_factory=FilmConfig)
    pixel_removal: float = 0.0
    """Largest part of the input's pixels that are made black; drawn for each sample."""
    min_chroma: float = 0.0
    """Photographs of a lower mean Lab chroma are dropped as grey."""
    chroma_sampling: float = 0.0
    """How much rarer a photograph without chroma is met: never, at 1."""
    source_rates: Mapping[str, float] = field(default_factory=dict)
    """How often photographs of a folder are met, by its name; 1 for a folder that is not named."""

    def __post_init__(self) -> None:
        if not 0 < self.min_crop <= self.max_crop <= 1:
            raise ValueError(f"crops must be 0 < min_crop <= max_crop <= 1, got {self.min_crop} to {self.max_crop}")
        parts = (self.luma_rate, self.film_rate, self.pixel_removal, self.chroma_sampling)
        if not all(0 <= part <= 1 for part in parts):
            raise ValueError(f"luma_rate, film_rate, pixel_removal and chroma_sampling must be 0 to 1, got {parts}")
        if not all(rate > 0 for rate in self.source_rates.values()):
            raise ValueError(f"source_rates must be above 0, got {dict(self.source_rates)}")
        if self.min_chroma < 0:
            raise ValueError(f"min_chroma must be 0 or more, got {self.min_chroma}")


@dataclass(frozen=True, slots=True)
class SampleKey:
    """Which sample, and of which size."""

    index: int
    """Samples of the run, over all ranks, before this one."""
    crop_size: int
    """Side of the input, in pixels."""


class PairDataset(Dataset[tuple[Tensor, Tensor]]):
    """Lightness (1, S, S), L* 0-100, and ab (2, S/stride, S/stride) in Lab units, both float32, by `SampleKey`.

    An epoch is one shuffled pass over the photographs.
    """

    def __init__(
        self, photos: Mapping[str, bytes], config: DataConfig, *, seed: int, output_stride: int,
        chroma: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        """Take photographs that can all be decoded (see `training_set`).

        Args:
            photos: encoded photographs by name.
            config: what is done to them.
            seed: of the run.
            output_stride: ab is the area mean over squares of this side, in pixels.
            chroma: mean chroma by name; `config.chroma_sampling` needs it.

        Raises:
            InvalidInputError: there are no photographs, or most have no known chroma.
        """
        if not photos:
            raise InvalidInputError("photographs", "there are none to train on; give at least one")
        self.names = sorted(photos)
        self.config = config
        self._encoded = [photos[name] for name in self.names]
        # Whole pictures are small and many: decoded once, before worker processes share them.
        self._decoded = [self._decode(i) for i in range(len(self.names))] if config.whole_pictures else None
        self._seed = seed
        self._stride = output_stride
        by_chroma = _rarity([(chroma or {}).get(name, 0.0) for name in self.names], config.chroma_sampling)
        self._rarity = 1 - (1 - by_chroma) * _source_rates(self.names, config.source_rates)

    def __len__(self) -> int:
        """Return the number of photographs: samples in an epoch."""
        return len(self.names)

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, Tensor]:
        """Make a sample: the same key gives the same bits."""
        if key.crop_size % self._stride:
            raise InvalidInputError("crop_size", f"must be a multiple of {self._stride}, got {key.crop_size}")
        rng = np.random.default_rng([self._seed, _SAMPLE, key.index])
        photo = self._photo_at(key.index, rng)
        rgb = self._decoded[photo] if self._decoded else self._decode(photo)
        lightness, ab = training_pair(augment(rgb, key.crop_size, self.config, rng), self.config, self._stride, rng)
        return torch.from_numpy(lightness), torch.from_numpy(ab)

    def _decode(self, photo: int) -> Rgb:
        return decode_photo(self.names[photo], self._encoded[photo])

    def _photo_at(self, index: int, rng: np.random.Generator) -> int:
        """Return the photograph of a sample: the next of its epoch, or another in place of one that is to be rare."""
        epoch, position = divmod(index, len(self.names))
        photo = int(epoch_order(self._seed, epoch, len(self.names))[position])
        while self._rarity[photo] and rng.random() < self._rarity[photo]:
            photo = int(rng.integers(len(self.names)))
        return photo


class StepSampler(Sampler[list[SampleKey]]):
    """The samples of each step that this rank makes; to be given as a loader's `batch_sampler`.

    Step s takes the samples s·B to (s + 1)·B - 1 of the run, in equal parts over the ranks.
    """

    def __init__(
        self, crop_sizes: Callable[[int], int], *, first_step: int, last_step: int, batch_size: int, rank: int = 0,
        world_size: int = 1,
    ) -> None:  # fmt: skip
        """State the steps.

        Args:
            crop_sizes: gives the side of a step's samples, in pixels.
            first_step: where iteration begins.
            last_step: where it ends, exclusive.
            batch_size: samples of a step, over all ranks.
            rank: 0 to `world_size` - 1.
            world_size: number of ranks.

        Raises:
            InvalidInputError: the batch cannot be shared out equally.
        """
        if batch_size < 1 or batch_size % world_size:
            raise InvalidInputError(
                "batch_size", f"must be a multiple of the number of processes, {world_size}, got {batch_size}"
            )
        self.crop_sizes = crop_sizes
        self.steps = range(first_step, last_step)
        self.batch_size = batch_size
        share = batch_size // world_size
        self.positions = range(rank * share, (rank + 1) * share)

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.steps)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        """Yield the keys of each step from `first_step` on."""
        for step in self.steps:
            crop_size = self.crop_sizes(step)
            yield [SampleKey(step * self.batch_size + position, crop_size) for position in self.positions]


def augment(rgb: Rgb, crop_size: int, config: DataConfig, rng: np.random.Generator) -> Rgb:
    """Cut a square from a picture (H, W, 3), and place it at random: (crop_size, crop_size, 3)."""
    if not config.affine.is_off:
        rgb = random_affine(rgb, config.affine, rng)
    if config.whole_pictures:
        rgb = square_photo(rgb, crop_size)
    else:
        rgb = random_crop(rgb, crop_size, rng, min_crop=config.min_crop, max_crop=config.max_crop)
    return random_flip(rgb, rng) if config.flip else rgb


def training_pair(rgb: Rgb, config: DataConfig, stride: int, rng: np.random.Generator) -> tuple[F32, F32]:
    """Turn a (S, S, 3) crop into lightness (1, S, S) and ab (2, S/stride, S/stride), the area mean."""
    size = rgb.shape[0] // stride
    lab = rgb_to_lab(rgb)
    lightness, ab = lab[..., 0], lab[..., 1:]
    if rng.random() < config.luma_rate:
        lightness = luma_lightness(rgb, Matrix.BT601 if rng.random() < 0.5 else Matrix.BT709)
    if rng.random() < config.film_rate:
        lightness = degrade(lightness, config.film, rng)
    if config.pixel_removal:
        lightness = remove_pixels(lightness, rng.uniform(0, config.pixel_removal), rng)
    if stride > 1:
        ab = cv2.resize(ab, (size, size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(lightness)[None], np.ascontiguousarray(ab.transpose(2, 0, 1))


def luma_lightness(rgb: Rgb, matrix: Matrix) -> F32:
    """Return the L* (H, W) that film kept only as luma shows: grey with the same Y'."""
    luma = np.rint(cv2.transform(rgb.astype(np.float32), np.array([matrix.luma_weights]))).astype(np.uint8)
    lightness: F32 = luma_to_lightness(luma, GREY_TAGS)
    return lightness


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Return the order, (count,), in which an epoch visits the photographs."""
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(count)


def _rarity(chroma: list[float], chroma_sampling: float) -> NDArray[np.float64]:
    """Return how often each photograph gives way to another: 0 for the most colourful tenth, most for a grey one."""
    if not chroma_sampling:
        return np.zeros(len(chroma))
    much = np.quantile(chroma, 0.9)
    if not much:
        raise InvalidInputError("chroma", "config.chroma_sampling needs photographs of a known chroma, and most have 0")
    return chroma_sampling * (1 - np.clip(np.array(chroma) / much, 0, 1))


def _source_rates(names: Sequence[str], rates: Mapping[str, float]) -> NDArray[np.float64]:
    """Return each photograph's rate by its folder, divided by the greatest of all.

    Raises:
        InvalidInputError: a folder has no photographs.
    """
    folders = [PurePosixPath(name).parent.name for name in names]
    if unknown := sorted(rates.keys() - set(folders)):
        known = ", ".join(sorted(set(folders)))
        raise InvalidInputError("source_rates", f"there are no photographs in {', '.join(unknown)}; there are: {known}")
    found = np.array([rates.get(folder, 1.0) for folder in folders])
    by_rate: NDArray[np.float64] = found / found.max()
    return by_rate


def start_worker(_worker: int) -> None:
    """Keep a loader's worker process to one core, and deaf to Ctrl-C; for `DataLoader(worker_init_fn=...)`.

    A terminal sends SIGINT to every process; the first one ends the step in hand, and needs its workers for that.
    """
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
