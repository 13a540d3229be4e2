"""How well pictures in colour are told from monochrome ones: colour photographs beside toned copies of them.

    .venv/bin/python -m benchmarks.own_colour PHOTOS [--limit 500] [--size 256]

PHOTOS is what `kinema evaluate --photos` takes. Each photograph is judged as it is and in each disguise. Toned copies
have the lightness of the photograph and an ab that depends on lightness alone; tints multiply linear light, as dyed
film stock does. Noise is Gaussian, in codes of Cb and Cr, pixel by pixel or in blotches of a few pixels.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from kinema_core.color import lab_to_rgb, rgb_to_grey, rgb_to_lab
from kinema_core.color.lab import decode_srgb, encode_srgb
from kinema_core.steering.own_colour import COLOUR_RESIDUAL, photo_residual
from kinema_trainer.evaluation.photo_set import read_photo_set

U8 = NDArray[np.uint8]
Ab = tuple[float, float]


def grey(rgb: U8) -> U8:
    """Take colour away."""
    codes: U8 = np.repeat(rgb_to_grey(rgb)[..., None], 3, axis=2)
    return codes


def toned(rgb: U8, shadows: Ab, highlights: Ab) -> U8:
    """Let ab run from one tone to the other, and fade towards black and white."""
    lightness = rgb_to_lab(rgb)[..., :1]
    level = lightness / 100
    ab = np.array(shadows, np.float32) * (1 - level) + np.array(highlights, np.float32) * level
    return _codes(lab_to_rgb(np.concatenate([lightness, ab * 2 * np.sqrt(level * (1 - level))], axis=2)))


def tinted(rgb: U8, dye: tuple[float, float, float]) -> U8:
    """Let linear light of the grey picture pass through a dye."""
    light = decode_srgb(grey(rgb).astype(np.float32) / 255)
    return _codes(encode_srgb(np.asarray(light * np.array(dye), np.float32)))


def noisy(rgb: U8, sigma: float, blotch: float = 0) -> U8:
    """Add noise to Cb and Cr."""
    noise = np.random.default_rng(0).normal(size=(*rgb.shape[:2], 2)).astype(np.float32)
    if blotch:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), blotch), np.float32)
    ycc = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    ycc[..., 1:] += noise * np.float32(sigma / noise.std())
    return np.asarray(cv2.cvtColor(ycc.round().clip(0, 255).astype(np.uint8), cv2.COLOR_YCrCb2RGB), np.uint8)


def compressed(rgb: U8, quality: int) -> U8:
    """Go through JPEG."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def faded(rgb: U8, colour: float) -> U8:
    """Leave a part of the colour."""
    return _codes((colour * rgb + (1 - colour) * grey(rgb)) / 255)


SEPIA: tuple[Ab, Ab] = (8, 22), (8, 22)
SPLIT: tuple[Ab, Ab] = (5, -25), (10, 35)

IN_COLOUR: dict[str, Callable[[U8], U8]] = {
    "as it is": lambda rgb: rgb,
    "JPEG, quality 40": lambda rgb: compressed(rgb, 40),
    "colour faded to 0.6": lambda rgb: faded(rgb, 0.6),
    "colour faded to 0.4": lambda rgb: faded(rgb, 0.4),
}
MONOCHROME: dict[str, Callable[[U8], U8]] = {
    "grey": grey,
    "sepia": lambda rgb: toned(rgb, *SEPIA),
    "strong sepia": lambda rgb: toned(rgb, (14, 40), (14, 40)),
    "two-tone, blue and amber": lambda rgb: toned(rgb, *SPLIT),
    "cyanotype": lambda rgb: toned(rgb, (-5, -35), (-5, -20)),
    "amber tint": lambda rgb: tinted(rgb, (1, 0.65, 0.25)),
    "blue tint": lambda rgb: tinted(rgb, (0.35, 0.6, 1)),
    "grey, chroma noise of 6": lambda rgb: noisy(grey(rgb), 6),
    "sepia, chroma noise of 6": lambda rgb: noisy(toned(rgb, *SEPIA), 6),
    "grey, blotches of 4": lambda rgb: noisy(grey(rgb), 4, 2),
    "two-tone, JPEG, quality 60": lambda rgb: compressed(toned(rgb, *SPLIT), 60),
}


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    photos = list(read_photo_set(options.photos, size=options.size, limit=options.limit).truths.values())
    table = Table(title=f"{len(photos)} photographs at {options.size} px; in colour above {COLOUR_RESIDUAL:g}")
    for column in ("disguise", "is", "right", "residual, 5 %", "median", "95 %"):
        table.add_column(column)
    for kind, disguises in (("colour", IN_COLOUR), ("monochrome", MONOCHROME)):
        for name, disguise in disguises.items():
            residuals = np.array([photo_residual(disguise(rgb)) for rgb in photos])
            right = np.mean((residuals > COLOUR_RESIDUAL) == (kind == "colour"))
            percentiles = np.percentile(residuals, [5, 50, 95])
            table.add_row(name, kind, f"{right:.1%}", *(f"{value:.2f}" for value in percentiles))
    Console(width=120).print(table)


def _codes(values: NDArray[np.floating]) -> U8:
    codes: U8 = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return codes


if __name__ == "__main__":
    main()
