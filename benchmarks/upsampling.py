"""Where colour ends: ways to bring the model's chroma up to chroma size, and what the model's working size buys.

    .venv/bin/python -m benchmarks.upsampling PICTURES [--model BUNDLE] [--working-size 256 384 512] [--no-model]
    .venv/bin/python -m benchmarks.upsampling PHOTOS --photos [--limit 150]

PICTURES is a folder of colour pictures at least as large as 1280x720; each is reduced to cover that and cropped in the
middle. "Near edges" is the mean distance in ab from the picture's own, over the pixels of chroma within 4 full-size
pixels of a strong edge of L*; "whole" is over all. Both are means of pictures.

1. True chroma, reduced to the size at which the model would give it, then brought up: what upsampling alone loses.
   "Grain (printed)": how far chroma moves (RMS of ab) away from edges when luma has film grain, a sigma of 8 codes.
2. The model's own chroma at each working size, by each way, and the whole way of a photograph beside the picture.

Times are medians of CPU time, upsampling on one thread; the joint bilateral filter is plain NumPy here, and its time
says nothing.

PHOTOS is what `kinema evaluate --photos` takes. Each photograph, 256 px square, is taken for the chroma planes of a
picture twice its size, and reduced as much as those of 720p are; an edge is then near within 2 pixels. First table
alone. They hold more detail in a pixel than a film has.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from kinema_core.bundle import Bundle, load_bundle
from kinema_core.color import halve_luma, rgb_to_lab, rgb_to_ycbcr
from kinema_core.color.ycbcr import halve, luma_scale
from kinema_core.engines.engine import Engine
from kinema_core.engines.select import open_engine
from kinema_core.frame_way import prepare_lightness
from kinema_core.frames import ColorTags, Plane
from kinema_core.media.photos import list_photos, read_photo
from kinema_core.pipeline import Options, colorize_photo, working_shape
from kinema_core.quality.scores import photo_scores
from kinema_core.upsample import upsample_ab
from kinema_trainer.evaluation.photo_set import read_photo_set

F32 = NDArray[np.float32]
Method = Callable[[F32, Plane], F32]

HEIGHT, WIDTH = 720, 1280
PHOTO_SIDE = 256
STRONG_EDGE = 6.0
"""L* from pixel to pixel, Scharr's derivative."""
EDGE_RADIUS = 4
GRAIN_CODES = 8.0
TAGS = ColorTags()


@dataclass(frozen=True, slots=True)
class Picture:
    """A colour original."""

    rgb: NDArray[np.uint8]
    luma: Plane
    luma_half: Plane
    ab_half: F32
    near_edges: NDArray[np.bool_]
    """At chroma size."""

    def errors(self, ab: F32) -> tuple[float, float]:
        """Return the mean distance from the truth near edges and in the whole."""
        distance = np.linalg.norm(ab - self.ab_half, axis=2)
        return float(distance[self.near_edges].mean()), float(distance.mean())

    def grain_printed(self, method: Method, ab: F32) -> float:
        """Return how far chroma moves away from edges when luma gets grain: RMS of ab."""
        moved = method(ab, _with_grain(self.luma_half)) - method(ab, self.luma_half)
        return float(np.sqrt(np.square(moved)[~self.near_edges].sum(axis=1).mean()))


def bilinear(ab: F32, luma_half: Plane) -> F32:
    """Ask nothing of luma."""
    return np.asarray(cv2.resize(ab, luma_half.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def cubic(ab: F32, luma_half: Plane) -> F32:
    """Ask nothing of luma, and sharpen a little."""
    return np.asarray(cv2.resize(ab, luma_half.shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def fast_guided_filter(ab: F32, luma_half: Plane) -> F32:
    """Fit lines in windows and bring up their slopes and heights, as He and Sun (2015) do; 3x3, epsilon 0.004."""
    luma, small = _luma_and_small(ab, luma_half)
    mean = _window_mean(small)[..., None]
    ab_mean = _window_mean(ab)
    covariance = _window_mean(small[..., None] * ab) - mean * ab_mean
    variance = _window_mean(np.square(small))[..., None] - np.square(mean) + np.float32(0.004)
    slope: F32 = covariance / variance
    height = ab_mean - slope * mean
    return bilinear(_window_mean(slope), luma_half) * luma[..., None] + bilinear(_window_mean(height), luma_half)


def joint_bilateral(ab: F32, luma_half: Plane) -> F32:
    """Weigh the four nearest pixels by their likeness in luma too, after Kopf et al. (2007); sigma 0.06."""
    luma, small = _luma_and_small(ab, luma_half)
    total, weights = np.zeros((*luma.shape, 2), np.float32), np.zeros(luma.shape, np.float32)
    ys, xs = (
        (np.arange(large, dtype=np.float32) + 0.5) * few / large - 0.5
        for large, few in zip(luma.shape, small.shape, strict=True)
    )
    for down in (0, 1):
        for right in (0, 1):
            row, column = np.floor(ys).astype(int) + down, np.floor(xs).astype(int) + right
            near = np.outer(1 - np.abs(row - ys), 1 - np.abs(column - xs))
            there = np.ix_(row.clip(0, small.shape[0] - 1), column.clip(0, small.shape[1] - 1))
            weight = (near * (np.exp(-np.square((small[there] - luma) / 0.06) / 2) + 1e-4)).astype(np.float32)
            total += weight[..., None] * ab[there]
            weights += weight
    return np.asarray(total / weights[..., None], np.float32)


def kinema(ab: F32, luma_half: Plane) -> F32:
    """Do what the pipeline does."""
    return upsample_ab(ab, luma_half, TAGS)


METHODS: dict[str, Method] = {
    "bilinear": bilinear,
    "cubic": cubic,
    "fast guided filter": fast_guided_filter,
    "joint bilateral, 4 pixels": joint_bilateral,
    "Kinema": kinema,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--working-size", type=int, nargs="+", default=[256, 384, 512])
    parser.add_argument("--no-model", action="store_true", help="the first table alone")
    parser.add_argument("--photos", action="store_true", help="take small photographs for chroma planes")
    parser.add_argument("--limit", type=int, default=150, help="of small photographs")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    if options.photos:
        photos = read_photo_set(options.pictures, size=PHOTO_SIDE, limit=options.limit).truths.values()
        pictures = [_make_picture(rgb, is_chroma_plane=True) for rgb in photos]
    else:
        pictures = read_pictures(options.pictures)
    share = np.mean([picture.near_edges.mean() for picture in pictures])
    console = Console(width=150)
    console.print(f"{len(pictures)} pictures; {share:.0%} of their pixels are near strong edges")
    bundle = load_bundle(options.model)
    console.print(true_chroma_table(pictures, bundle))
    if not options.no_model and not options.photos:
        with closing(open_engine(bundle, "auto").engine) as engine:
            for table in model_tables(pictures, bundle, engine, options.working_size):
                console.print(table)
    return 0


def read_pictures(folder: Path) -> list[Picture]:
    """Read the folder's pictures, brought to one size."""
    pictures = []
    for path in list_photos(folder):
        rgb = read_photo(path)
        scale = max(HEIGHT / rgb.shape[0], WIDTH / rgb.shape[1])
        if scale > 1:
            sys.exit(f"{path} must be at least {WIDTH}x{HEIGHT}, and is {rgb.shape[1]}x{rgb.shape[0]}: take it out")
        size = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        top, left = (size[1] - HEIGHT) // 2, (size[0] - WIDTH) // 2
        pictures.append(_make_picture(np.ascontiguousarray(rgb[top : top + HEIGHT, left : left + WIDTH])))
    return pictures


def true_chroma_table(pictures: list[Picture], bundle: Bundle) -> Table:
    """Measure what each way loses of true chroma."""
    height, width = working_shape(HEIGHT, WIDTH, bundle.manifest)
    full_height, full_width = pictures[0].luma_half.shape
    across, down = (
        full / (side / 2) / bundle.manifest.output_stride for full, side in ((width, WIDTH), (height, HEIGHT))
    )
    size = round(full_width * across), round(full_height * down)
    table = Table(title=f"True chroma at {size[0]}x{size[1]}, brought up to {full_width}x{full_height}")
    for column in ("", "near edges", "of bilinear", "whole", "of bilinear", "grain printed", "CPU ms"):
        table.add_column(column)
    first: tuple[float, float] | None = None
    for name, method in METHODS.items():
        errors, printed, seconds = [], [], []
        for picture in pictures:
            small = np.asarray(cv2.resize(picture.ab_half, size, interpolation=cv2.INTER_AREA), np.float32)
            began = time.process_time()
            upsampled = method(small, picture.luma_half)
            seconds.append(time.process_time() - began)
            if picture.near_edges.any():
                errors.append(picture.errors(upsampled))
            printed.append(picture.grain_printed(method, small))
        edge, whole = np.mean(errors, axis=0).tolist()
        first = first or (edge, whole)
        row = f"{edge:.2f}", f"{edge / first[0]:.3f}", f"{whole:.2f}", f"{whole / first[1]:.3f}"
        table.add_row(name, *row, f"{np.mean(printed):.3f}", f"{np.median(seconds) * 1e3:.2f}")
    return table


def model_tables(
    pictures: list[Picture], bundle: Bundle, engine: Engine, working_sizes: list[int]
) -> tuple[Table, Table]:
    """Measure each way, and the way of a photograph, on the model's own chroma."""
    ways = Table(title="The model's chroma: error near edges")
    sizes = Table(title="Working sizes: the way of a photograph")
    for column in ("working size", *METHODS):
        ways.add_column(column)
    columns = "working size", "model sees", "engine, CPU ms", "PSNR", "CIEDE2000", "CF", "near edges", "whole", "grain"
    for column in columns:
        sizes.add_column(column)
    for working_size in working_sizes:
        shape = working_shape(HEIGHT, WIDTH, bundle.manifest, working_size)
        errors: dict[str, list[tuple[float, float]]] = {name: [] for name in METHODS}
        seconds, scores, printed = [], [], []
        engine.infer(prepare_lightness(pictures[0].luma, TAGS, shape))  # the first inference of a size is slower
        for picture in pictures:
            lightness = prepare_lightness(picture.luma, TAGS, shape)
            began = time.process_time()
            ab = np.ascontiguousarray(engine.infer(lightness)[0].transpose(1, 2, 0))
            seconds.append(time.process_time() - began)
            for name, method in METHODS.items():
                errors[name].append(picture.errors(method(ab, picture.luma_half)))
            printed.append(picture.grain_printed(kinema, ab))
            photo = colorize_photo(picture.rgb, engine, bundle.manifest, Options(working_size=working_size))
            scores.append(photo_scores(photo, picture.rgb))
        edges = {name: float(np.mean([edge for edge, _ in found])) for name, found in errors.items()}
        ways.add_row(str(working_size), *(f"{edge:.2f} ({edge / edges['bilinear']:.4f})" for edge in edges.values()))
        psnr, delta_e, colourfulness = np.mean([(s.psnr, s.delta_e, s.colourfulness) for s in scores], axis=0).tolist()
        edge, whole = np.mean(errors["Kinema"], axis=0).tolist()
        numbers = (
            f"{psnr:.2f}",
            f"{delta_e:.2f}",
            f"{colourfulness:.1f}",
            f"{edge:.2f}",
            f"{whole:.2f}",
            f"{np.mean(printed):.3f}",
        )
        sizes.add_row(str(working_size), f"{shape[1]}x{shape[0]}", f"{np.median(seconds) * 1e3:.0f}", *numbers)
    return ways, sizes


def _make_picture(rgb: NDArray[np.uint8], *, is_chroma_plane: bool = False) -> Picture:
    lab = rgb_to_lab(rgb)
    luma, _, _ = rgb_to_ycbcr(rgb, TAGS)
    lightness = np.ascontiguousarray(lab[..., 0])
    across, along = (cv2.Scharr(lightness, -1, dx, 1 - dx) / 32 for dx in (1, 0))
    radius = EDGE_RADIUS // 2 if is_chroma_plane else EDGE_RADIUS
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    near = cv2.dilate((np.hypot(across, along) >= STRONG_EDGE).astype(np.uint8), disc)
    if is_chroma_plane:
        return Picture(rgb, luma, luma, np.ascontiguousarray(lab[..., 1:]), near > 0)
    return Picture(rgb, luma, halve_luma(luma), np.ascontiguousarray(halve(lab[..., 1:])), halve(near * 255) > 0)


def _with_grain(luma_half: Plane) -> Plane:
    """Add grain as a film scan has it at full size, halved with the picture."""
    height, width = luma_half.shape
    grain = np.random.default_rng(0).normal(size=(2 * height, 2 * width)).astype(np.float32)
    grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.7), np.float32)
    grain = halve(grain * np.float32(GRAIN_CODES / grain.std()))
    codes: Plane = np.clip(np.rint(luma_half + grain), 0, 255).astype(np.uint8)
    return codes


def _luma_and_small(ab: F32, luma_half: Plane) -> tuple[F32, F32]:
    """Return luma from 0 to 1 at chroma size and at the size of `ab`."""
    black, span = luma_scale(TAGS.color_range, TAGS.bit_depth)
    luma = (luma_half.astype(np.float32) - np.float32(black)) / np.float32(span)
    return luma, np.asarray(cv2.resize(luma, ab.shape[1::-1], interpolation=cv2.INTER_AREA), np.float32)


def _window_mean(plane: F32) -> F32:
    return np.asarray(cv2.boxFilter(plane, -1, (3, 3), borderType=cv2.BORDER_REFLECT_101), np.float32)


if __name__ == "__main__":
    sys.exit(main())
