"""How much a model's colours move when its input hardly does: noise, a shift by a pixel, another exposure.

    .venv/bin/python benchmarks/steadiness.py PHOTOS [--model BUNDLE]... [--limit 60] [--size 256]

Each photograph is coloured as it is and after each change; the change of ab is the mean distance between the two
colourings, the second one moved back by the shift. It is divided by the colouring's own mean chroma, for a model that
paints grey is steady and worthless. Frames of a film differ by just such things, so this foretells flicker before any
smoothing. Models stand side by side; a lower number is better.
"""

import argparse
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from kinema_core.bundle import load_bundle
from kinema_core.color import rgb_to_grey
from kinema_core.engines.select import open_engine
from kinema_trainer.evaluation.methods import BundleModel
from kinema_trainer.evaluation.photo_set import PhotoSet, read_photo_set

Grey: TypeAlias = NDArray[np.uint8]

SHIFT = 3
"""In pixels; odd, so that it is no multiple of any stride."""


def noisy(grey: Grey, rng: np.random.Generator) -> Grey:
    """Add Gaussian noise of 4 codes."""
    codes: Grey = np.clip(np.rint(grey + rng.normal(0, 4, grey.shape)), 0, 255).astype(np.uint8)
    return codes


def shifted(grey: Grey, _rng: np.random.Generator) -> Grey:
    """Move the picture right and down; what comes in repeats the edge."""
    moved: Grey = np.pad(grey, ((SHIFT, 0), (SHIFT, 0)), mode="edge")[:-SHIFT, :-SHIFT]
    return moved


def brighter(grey: Grey, _rng: np.random.Generator) -> Grey:
    """Multiply the codes by 1.1."""
    codes: Grey = np.clip(np.rint(grey * np.float32(1.1)), 0, 255).astype(np.uint8)
    return codes


CHANGES: dict[str, Callable[[Grey, np.random.Generator], Grey]] = {
    "noise of 4 codes": noisy,
    f"shift of {SHIFT} px": shifted,
    "exposure x 1.1": brighter,
}


def main() -> None:
    """Print a row for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", type=Path, action="append")
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    photos = read_photo_set(options.photos, size=options.size, limit=options.limit)
    print(f"{len(photos.truths)} photographs of {photos.source} at {options.size} px; change of ab, part of the chroma")
    print(f"{'model':24}  chroma  " + "  ".join(f"{name:>16}" for name in CHANGES))
    for path in options.model or [None]:
        bundle = load_bundle(path)
        with closing(open_engine(bundle, "auto").engine) as engine:
            model = BundleModel(f"{bundle.manifest.name} {bundle.manifest.version}", bundle, engine)
            chroma, moved = measure(model, photos)
        print(f"{model.name:24}  {chroma:6.2f}  " + "  ".join(f"{moved[name] / chroma:16.3f}" for name in CHANGES))


def measure(model: BundleModel, photos: PhotoSet) -> tuple[float, dict[str, float]]:
    """Return the mean chroma of what `model` paints, and how far each change moves it, in Lab units."""
    rng = np.random.default_rng(0)
    chroma: list[float] = []
    moved: dict[str, list[float]] = {name: [] for name in CHANGES}
    for truth in photos.truths.values():
        grey = np.asarray(rgb_to_grey(truth))
        ab = model.predict_ab(grey)
        chroma.append(float(np.linalg.norm(ab, axis=-1).mean()))
        for name, change in CHANGES.items():
            other = model.predict_ab(change(grey, rng))
            first = ab
            if change is shifted:
                first, other = ab[:-SHIFT, :-SHIFT], other[SHIFT:, SHIFT:]
            moved[name].append(float(np.linalg.norm(first - other, axis=-1).mean()))
    return float(np.mean(chroma)), {name: float(np.mean(values)) for name, values in moved.items()}


if __name__ == "__main__":
    main()
