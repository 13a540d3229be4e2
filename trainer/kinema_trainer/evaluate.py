"""Score a model on photographs: colorize their grey versions, compare with the originals. Needs no torch.

The grey version of a photograph has its L*; the colour comes back on the same L* (`colorize_photo`, the way of every
photograph through Kinema). Beside the model stand two baselines: grey (ab 0), and every pixel of the one ab that is the
mean over the very photographs that are scored, which is more than a baseline could know.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.bundle import Bundle
from kinema_core.color import GREY_TAGS, compose_rgb, rgb_to_grey, rgb_to_lab
from kinema_core.engines.engine import Engine
from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.media.photos import write_photo
from kinema_core.pipeline import colorize_photo
from kinema_core.quality.scores import PhotoScores, SetScores, photo_scores, set_scores
from kinema_trainer.data import decode_photo, read_shards, square_photo

Rgb: TypeAlias = NDArray[np.uint8]

MODEL, GREY, MEAN_AB = "model", "grey", "mean_ab"
GRID_PHOTOS = 48
GRID_COLUMNS = 4
GRID_SIDE = 192


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `kinema evaluate` found."""

    model: str
    model_version: str
    model_digest: str
    onnx_digest: str
    """SHA-256 of the bundle's model.onnx, which a new manifest around it does not change."""
    engine: str
    precision: str
    photos: str
    """Where the photographs came from: the last part of the path."""
    size: int
    """Side of the squares, in pixels."""
    num_photos: int
    mean_ab: tuple[float, float]
    """Of the photographs, Lab units: the second baseline."""
    methods: dict[str, SetScores]
    """By method: "model", "grey" and "mean_ab"."""
    each: dict[str, PhotoScores] = field(default_factory=dict)
    """The model's scores, photograph by photograph."""
    skipped: list[str] = field(default_factory=list)
    """Photographs that could not be decoded."""


def evaluate_photos(
    photos: Path, engine: Engine, bundle: Bundle, *, size: int = 256, limit: int | None = None,
    grid: Path | None = None, on_photo: Callable[[int, int], None] | None = None,
) -> Evaluation:  # fmt: skip
    """Score a model on photographs.

    Args:
        photos: a folder of photographs or tar shards, or one tar.
        engine: runs the model.
        bundle: what the engine runs.
        size: the central square of each photograph is scaled to this side, in pixels.
        limit: take only so many photographs, evenly spread over their names.
        grid: write a picture here: 48 photographs, each as grey, colorized and original.
        on_photo: told how many are done, and of how many.

    Raises:
        InvalidInputError: not one photograph is there.
    """
    truths, skipped = _read_squares(photos, size, limit)
    mean_ab = np.mean(
        [rgb_to_lab(truth)[..., 1:].mean(axis=(0, 1), dtype=np.float64) for truth in truths.values()], axis=0
    )
    colorized: dict[str, Rgb] = {}
    each: dict[str, dict[str, PhotoScores]] = {MODEL: {}, GREY: {}, MEAN_AB: {}}
    for done, (name, truth) in enumerate(truths.items(), start=1):
        colorized[name] = colorize_photo(truth, engine, bundle.manifest)
        each[MODEL][name] = photo_scores(colorized[name], truth)
        each[GREY][name] = photo_scores(_with_one_ab(truth, np.zeros(2)), truth)
        each[MEAN_AB][name] = photo_scores(_with_one_ab(truth, mean_ab), truth)
        if on_photo:
            on_photo(done, len(truths))
    if grid:
        names = list(truths)[:: max(1, len(truths) // GRID_PHOTOS)][:GRID_PHOTOS]
        write_photo(grid, _grid([(truths[n], colorized[n]) for n in names]), overwrite=True)
    return Evaluation(
        model=bundle.manifest.name, model_version=bundle.manifest.version, model_digest=bundle.digest,
        onnx_digest=hashlib.sha256(bundle.onnx).hexdigest(),
        engine=engine.name, precision=engine.precision, photos=photos.name, size=size, num_photos=len(truths),
        mean_ab=(float(mean_ab[0]), float(mean_ab[1])),
        methods={method: set_scores(list(scores.values())) for method, scores in each.items()},
        each=each[MODEL], skipped=skipped,
    )  # fmt: skip


def _read_squares(photos: Path, size: int, limit: int | None) -> tuple[dict[str, Rgb], list[str]]:
    encoded = read_shards(photos)
    names = sorted(encoded)
    if limit and limit < len(names):
        names = [names[i * len(names) // limit] for i in range(limit)]
    squares: dict[str, Rgb] = {}
    skipped = []
    for name in names:
        try:
            squares[name] = square_photo(decode_photo(name, encoded[name]), size)
        except MediaError:
            skipped.append(name)
    if not squares:
        raise InvalidInputError("photos", f"not one readable photograph under {photos}")
    return squares, skipped


def _with_one_ab(truth: Rgb, ab: NDArray[np.float64]) -> Rgb:
    grey = rgb_to_grey(truth)
    return compose_rgb(grey, np.broadcast_to(ab.astype(np.float32), (*grey.shape, 2)), GREY_TAGS)


def _grid(pairs: list[tuple[Rgb, Rgb]]) -> Rgb:
    """Lay out (truth, colorized) pairs as grey | colorized | original, four a row."""
    cells = []
    for truth, colorized in pairs:
        grey = np.repeat(rgb_to_grey(truth)[..., None], 3, axis=2)
        row = np.hstack((grey, colorized, truth))
        cells.append(cv2.resize(row, (3 * GRID_SIDE, GRID_SIDE), interpolation=cv2.INTER_AREA))
    while len(cells) % GRID_COLUMNS:
        cells.append(np.full_like(cells[0], 255))
    rows = [np.hstack(cells[i : i + GRID_COLUMNS]) for i in range(0, len(cells), GRID_COLUMNS)]
    sheet: Rgb = np.vstack(rows)
    return sheet
