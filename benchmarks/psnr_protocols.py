"""One model, many PSNRs: what a figure for colorization becomes under the ways in which it is computed in practice.

`python benchmarks/psnr_protocols.py --photos test.npz --size 32 [--model BUNDLE] [--limit 2000]` prints a table: a row
a protocol, beside the model the two that know nothing (grey, and the mean ab). docs/reproduction.md reads it.
Photographs without any colour are left out, as `kinema evaluate` leaves them out.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinema_core.bundle import load_bundle
from kinema_core.color import GREY_TAGS, compose_rgb, rgb_to_grey, rgb_to_lab
from kinema_core.engines.select import open_engine
from kinema_core.pipeline import colorize_photo
from kinema_core.quality.ssim import ssim
from kinema_trainer.evaluation.photo_set import read_photo_set

Array = NDArray[np.float64]
Protocol = Callable[[Array, Array], float]
"""Takes pictures (N, S, S, 3) of 0-255 sRGB, ours and the originals."""


def decibels(mse: float | Array, peak: float) -> float:
    """Return the PSNR of a mean squared error; the mean of those of several."""
    return float(np.mean(10 * np.log10(peak**2 / np.maximum(mse, 1e-12))))


def per_picture(ours: Array, truth: Array) -> float:
    """Kinema's: sRGB, each picture's PSNR, their mean."""
    return decibels(((ours - truth) ** 2).mean(axis=(1, 2, 3)), 255)


def whole_set(ours: Array, truth: Array) -> float:
    """One mean squared error over all pictures, then its PSNR."""
    return decibels(float(((ours - truth) ** 2).mean()), 255)


def wrapped(ours: Array, truth: Array) -> float:
    """The difference taken in uint8, where -1 is 255 and 16 squared is 0."""
    difference = ours.astype(np.uint8) - truth.astype(np.uint8)
    return decibels((difference**2).mean(axis=(1, 2, 3)), 255)


def ab_255(ours: Array, truth: Array) -> float:
    """A and b alone, in Lab units, with 255 as the peak."""
    return decibels(((lab(ours)[..., 1:] - lab(truth)[..., 1:]) ** 2).mean(axis=(1, 2, 3)), 255)


def lab_scaled(ours: Array, truth: Array) -> float:
    """L, a and b, each scaled to -1..1 as networks see them, L counting as right; 1 as the peak."""
    scale = np.array([50, 110, 110])
    return decibels((((lab(ours) - lab(truth)) / scale) ** 2).mean(axis=(1, 2, 3)), 1)


def lab_scaled_peak_2(ours: Array, truth: Array) -> float:
    """The same with the peak at 2, the width of -1..1."""
    scale = np.array([50, 110, 110])
    return decibels((((lab(ours) - lab(truth)) / scale) ** 2).mean(axis=(1, 2, 3)), 2)


def lab(rgb: Array) -> Array:
    """Convert (N, S, S, 3) pictures."""
    return np.stack([rgb_to_lab(picture.astype(np.uint8)) for picture in rgb]).astype(np.float64)


def ssim_rgb(ours: Array, truth: Array) -> float:
    """Kinema's: Gaussian 11 x 11 window, sRGB, 255 as the range."""
    pairs = zip(ours.astype(np.uint8), truth.astype(np.uint8), strict=True)
    return float(np.mean([ssim(one, other) for one, other in pairs]))


def ssim_lightness(ours: Array, truth: Array) -> float:
    """Of the grey versions, which is what a colorizer is given."""
    pairs = zip(ours.astype(np.uint8), truth.astype(np.uint8), strict=True)
    grey = [[np.repeat(rgb_to_grey(picture)[..., None], 3, axis=2) for picture in pair] for pair in pairs]
    return float(np.mean([ssim(one, other) for one, other in grey]))


PSNRS: tuple[Protocol, ...] = (per_picture, whole_set, wrapped, ab_255, lab_scaled, lab_scaled_peak_2)
SSIMS: tuple[Protocol, ...] = (ssim_rgb, ssim_lightness)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--limit", type=int, default=2000)
    arguments = parser.parse_args()
    photos = read_photo_set(arguments.photos, size=arguments.size, limit=arguments.limit)
    truth = np.stack(list(photos.truths.values()))
    bundle = load_bundle(arguments.model)
    engine = open_engine(bundle).engine
    mean_ab = np.mean([rgb_to_lab(picture)[..., 1:].mean(axis=(0, 1)) for picture in truth], axis=0)
    methods = {
        bundle.manifest.name: np.stack([colorize_photo(picture, engine, bundle.manifest) for picture in truth]),
        "grey": np.stack([_flat(picture, np.zeros(2)) for picture in truth]),
        "mean ab": np.stack([_flat(picture, mean_ab) for picture in truth]),
    }
    engine.close()
    print(f"{len(truth)} photographs of {arguments.photos.name} at {arguments.size} px\n")
    print("| protocol | " + " | ".join(methods) + " |\n|---" * 1 + "|---:" * len(methods) + "|")
    for protocol in (*PSNRS, *SSIMS):
        unit = "dB" if protocol in PSNRS else ""
        cells = [f"{protocol(found.astype(np.float64), truth.astype(np.float64)):.3f}" for found in methods.values()]
        print(f"| {(protocol.__doc__ or '').splitlines()[0]} {unit} | " + " | ".join(cells) + " |")


def _flat(picture: NDArray[np.uint8], ab: NDArray[np.float64]) -> NDArray[np.uint8]:
    grey = rgb_to_grey(picture)
    return compose_rgb(grey, np.broadcast_to(ab.astype(np.float32), (*grey.shape, 2)), GREY_TAGS)


if __name__ == "__main__":
    main()
