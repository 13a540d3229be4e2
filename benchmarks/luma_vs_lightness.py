"""How far luma and lightness disagree, by chroma: what holding one costs in the other.

    .venv/bin/python benchmarks/luma_vs_lightness.py [PHOTOS [--limit 60]]

Y'CbCr output holds Y' to the code, so L* of a colour is not that of the grey it was made from; RGB output holds L*, so
its Y' is not the grey's. For colours of one chroma, of all hues and Y' that fit the sRGB gamut, the script prints the
mean and the largest difference, and the hue where it is largest.

With PHOTOS, as `kinema evaluate --photos` takes them, it also colorizes them with the model that ships, plainly and
with every steering turned up, and prints how far L* of the 8-bit RGB lies from that of the grey photograph.
"""

import argparse
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from kinema_core.bundle import load_bundle
from kinema_core.color import GREY_TAGS, compose_chroma, lab_to_rgb, luma_to_lightness, rgb_to_grey, rgb_to_lab
from kinema_core.engines.select import open_engine
from kinema_core.frames import ColorRange, ColorTags, Matrix
from kinema_core.pipeline import Options, colorize_photo
from kinema_core.steering.colour_statistics import ColourStatistics

CHROMAS = (5, 10, 20, 30, 40, 60, 80)
STEERED = Options(
    saturation=2,
    warmth=1,
    desaturate_blacks=30,
    desaturate_highlights=70,
    reference=ColourStatistics(-10, 30, 400, 900, -200),
)
HUES = np.radians(np.arange(0, 360, 2))

F64 = NDArray[np.float64]


def main() -> int:
    """Print a table for each matrix, one for photographs, and return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--limit", type=int, default=60)
    options = parser.parse_args()
    console = Console()
    for matrix in Matrix:
        tags = ColorTags(matrix, ColorRange.LIMITED, bit_depth=10)
        table = Table(title=f"{matrix.name}: what differs from the grey that a colour was made from")
        table.add_column("chroma", justify="right")
        for held in ("Y' held: L*", "L* held: Y' (8 bit)"):
            table.add_column(f"{held}, mean", justify="right")
            table.add_column("largest", justify="right")
            table.add_column("at hue", justify="right")
        for chroma in CHROMAS:
            differences = lightness_differences(chroma, tags), luma_differences(chroma, tags)
            table.add_row(str(chroma), *(cell for difference in differences for cell in summarize(difference)))
        console.print(table)
    if options.photos is not None:
        from kinema_trainer.evaluation.photo_set import read_photo_set

        photos = read_photo_set(options.photos, size=256, limit=options.limit)
        console.print(photo_table(list(photos.truths.values())))
    return 0


def photo_table(photos: list[NDArray[np.uint8]]) -> Table:
    """Measure how well RGB output holds lightness, over all pixels of all photographs."""
    bundle = load_bundle(None)
    table = Table(title=f"{len(photos)} photographs: |L* out - L* in| in 8-bit RGB")
    for column in ("", "mean", "99.9 %", "largest", "L* by one code, largest"):
        table.add_column(column)
    step = np.diff(luma_to_lightness(np.arange(256, dtype=np.uint8)[None], GREY_TAGS)[0]).max()
    with closing(open_engine(bundle, "auto").engine) as engine:
        for name, choice in (("plain", Options()), ("steered", STEERED)):
            drifts = []
            for rgb in photos:
                lightness = rgb_to_lab(colorize_photo(rgb, engine, bundle.manifest, choice))[..., 0]
                drifts.append(np.abs(lightness - luma_to_lightness(rgb_to_grey(rgb), GREY_TAGS)).ravel())
            drift = np.concatenate(drifts)
            numbers = drift.mean(), np.percentile(drift, 99.9), drift.max(), step
            table.add_row(name, *(f"{number:.2f}" for number in numbers))
    return table


def lightness_differences(chroma: float, tags: ColorTags) -> F64:
    """L* out less L* in with Y' held, (num_lumas, num_hues); NaN where the colour does not fit the gamut."""
    luma, ab = colours(chroma)
    cb, cr = compose_chroma(luma, ab.astype(np.float32), tags)
    kr, kg, kb = tags.matrix.luma_weights
    level = (luma - 64.0) / 876
    red = level + 2 * (1 - kr) * (cr - 512.0) / 896
    blue = level + 2 * (1 - kb) * (cb - 512.0) / 896
    lab = rgb_to_lab(np.dstack([red, (level - kr * red - kb * blue) / kg, blue]))
    # A 10-bit code is worth up to 0.6 of a and b, in the dark; what was cut by more did not fit.
    is_whole = np.hypot(*np.moveaxis(lab[..., 1:] - ab, -1, 0)) < 1
    return np.where(is_whole, lab[..., 0] - luma_to_lightness(luma, tags), np.nan)


def luma_differences(chroma: float, tags: ColorTags) -> F64:
    """Y' out less Y' in with L* held, in codes of limited-range 8 bit, (num_lumas, num_hues); NaN as above."""
    luma, ab = colours(chroma)
    rgb = lab_to_rgb(np.dstack([luma_to_lightness(luma, tags), ab]))
    fits = np.all((rgb >= 0) & (rgb <= 1), axis=-1)
    return np.where(fits, 219 * (rgb @ tags.matrix.luma_weights - (luma - 64.0) / 876), np.nan)


def colours(chroma: float) -> tuple[NDArray[np.uint16], F64]:
    """Y' of limited-range 10 bit, (num_lumas, num_hues), and ab, (num_lumas, num_hues, 2)."""
    luma, hue = np.meshgrid(np.arange(68, 940, 4, dtype=np.uint16), HUES, indexing="ij")
    return luma, chroma * np.dstack([np.cos(hue), np.sin(hue)])


def summarize(differences: F64) -> tuple[str, str, str]:
    """Return the mean size, the largest difference with its sign, and its hue in degrees."""
    if np.isnan(differences).all():
        return "-", "-", "-"
    row, column = np.unravel_index(np.nanargmax(np.abs(differences)), differences.shape)
    largest = f"{differences[row, column]:+.1f}"
    return f"{np.nanmean(np.abs(differences)):.2f}", largest, f"{np.degrees(HUES[column]):.0f}°"


if __name__ == "__main__":
    sys.exit(main())
