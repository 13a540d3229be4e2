"""Models and photographs small enough to be scored in tests."""

from pathlib import Path

import numpy as np

from kinema_trainer.evaluation.evaluate import MODEL, Evaluation, evaluate_photos
from kinema_trainer.evaluation.methods import GREY, MEAN_AB, BundleModel, OneColour
from kinema_trainer.evaluation.photo_set import PhotoSet
from tests.fakes import F32, FAKE_BUNDLE, FakeEngine
from tests.trainer.photos import make_photo

SIZE = 32


class PaintingEngine(FakeEngine):
    """Gives every pixel the same ab."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self._ab = np.array([a, b], np.float32)[:, None, None]

    def infer(self, lightness: F32) -> F32:
        self.seen.append(lightness)
        height, width = (side // 2 for side in lightness.shape[2:])
        return np.tile(self._ab, (1, 1, height, width))


def painting_model(a: float, b: float, name: str = MODEL) -> BundleModel:
    return BundleModel(name, FAKE_BUNDLE, PaintingEngine(a, b))


def make_photo_set(count: int) -> PhotoSet:
    truths = {f"{seed}.jpg": make_photo(seed, SIZE, SIZE) for seed in range(count)}
    return PhotoSet("photos", SIZE, truths, {})


def baselines(photos: PhotoSet) -> list[OneColour]:
    return [OneColour(GREY, (0.0, 0.0)), OneColour(MEAN_AB, photos.mean_ab())]


def small_evaluation(photos: PhotoSet, model: BundleModel, *, gains: tuple[float, ...] = ()) -> Evaluation:
    return evaluate_photos(photos, model, baselines(photos), gains=gains, num_resamples=200)


def write_file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
