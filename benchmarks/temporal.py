"""Colour over time: what smoothing gains, and what it costs, beside simpler ways and beside the truth.

    .venv/bin/python -m benchmarks.temporal CLIPS [--cache FOLDER] [--frames 100] [--plot trade-off.png]

CLIPS is a folder of colour clips without cuts. Each is fitted into 480x270 and reduced to its luma; the model colorizes
every frame by itself, and each method smooths the same ab. `benchmarks/README.md` says how to read the tables.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from time import process_time

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.colour_clips import F32, U8, ColourClip, list_clips, load_clip, show
from kinema_core.bundle import load_bundle
from kinema_core.color import rgb_to_lab
from kinema_core.engines.select import open_engine
from kinema_core.errors import KinemaError
from kinema_core.quality.colour_consistency import colour_consistency, colour_histogram
from kinema_core.quality.colourfulness import colourfulness
from kinema_core.quality.cut_bleed import cut_bleed
from kinema_core.quality.psnr import psnr
from kinema_core.quality.warp_error import Motion, find_motion, warp_error
from kinema_core.temporal.cuts import CutDetector
from kinema_core.temporal.shot import smooth_shot
from kinema_core.temporal.stabilizer import Stabilizer

Method = Callable[[F32, F32], F32]
"""Takes lightness (T, h, w) and ab (T, h', w', 2), gives smoothed ab."""

STRENGTHS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
DEFAULT = "ours"
SHOT_FRAMES = 25
"""Frames of each clip in the joined film on which cut bleed is measured."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One method on one clip."""

    warp_error: float
    """RGB, times 1e4."""
    chroma_warp_error: float
    """a and b alone, peak 255, times 1e4."""
    psnr: float
    """RGB, dB, mean of frames."""
    colourfulness: float
    cdc_error: float
    """|CDC - CDC of the truth|, times 1e4."""
    milliseconds: float
    """CPU time a frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A clip with all that does not depend on the method."""

    clip: ColourClip
    motions: Sequence[Motion]
    truth_cdc: float


def main() -> int:
    """Measure every method on every clip, print tables and return an exit code."""
    options = parse_arguments()
    cv2.setNumThreads(1)
    try:
        clips = list(load_clips(options))
        results = {item.clip.name: measure_all(item, methods()) for item in clips}
        bleeds = measure_bleed([item.clip for item in clips], methods())
        print_tables(results, bleeds)
        if options.plot:
            plot(options.plot, trade_off(clips))
    except KinemaError as err:
        print(f"benchmark: {err}", file=sys.stderr)
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clips", type=Path, help="folder of colour clips, each a single shot")
    parser.add_argument("--frames", type=int, default=100, help="frames of each clip, at most (default: 100)")
    parser.add_argument("--cache", type=Path, help="folder that keeps what the model gave")
    parser.add_argument("--plot", type=Path, help="write the trade-off of smoothing as a picture")
    parser.add_argument("--model", type=Path, default=os.environ.get("KINEMA_MODEL"), help="folder of a bundle")
    return parser.parse_args()


def methods() -> dict[str, Method]:
    """Name the ways to smooth that the tables compare."""
    return {
        "raw": lambda _, ab: ab,
        "EMA": lambda _, ab: exponential_mean(ab, 0.8),
        "centred mean": lambda _, ab: centred_mean(ab, 9),
        DEFAULT: lambda lightness, ab: causal(lightness, ab, 0.5),
        "ours, strength 1": lambda lightness, ab: causal(lightness, ab, 1.0),
        "ours, both ways": lambda lightness, ab: smooth_shot(lightness, ab, 0.5),
    }


def exponential_mean(ab: F32, carried: float) -> F32:
    """Average each pixel with its past, standing still: `carried` of the frame before, the rest of this one."""
    means = [ab[0]]
    for frame in ab[1:]:
        means.append(means[-1] + np.float32(1 - carried) * (frame - means[-1]))
    return np.stack(means)


def centred_mean(ab: F32, window: int) -> F32:
    """Average each pixel over `window` frames around it, standing still; it looks ahead."""
    half = window // 2
    return np.stack([ab[max(0, t - half) : t + half + 1].mean(axis=0) for t in range(len(ab))])


def causal(lightness: F32, ab: F32, strength: float) -> F32:
    """Smooth as Kinema's pipeline does, cuts found on the way."""
    cuts, stabilizer = CutDetector(), Stabilizer(strength)
    return np.stack(
        [stabilizer.smooth(seen, colour, is_cut=cuts.is_cut(seen)) for seen, colour in zip(lightness, ab, strict=True)]
    )


def load_clips(options: argparse.Namespace) -> Iterator[Measured]:
    """Read the clips, colorize them and find their motion."""
    bundle = load_bundle(options.model)
    engine = open_engine(bundle, "auto", precision="f32", num_threads=1).engine
    try:
        for path in list_clips(options.clips):
            clip = load_clip(path, options.frames, bundle.manifest, engine, options.cache)
            motions = [find_motion(clip.luma[t], clip.luma[t + 1]) for t in range(len(clip.luma) - 1)]
            yield Measured(clip, motions, colour_consistency([colour_histogram(picture) for picture in clip.truth]))
    finally:
        engine.close()


def measure_all(item: Measured, ways: Mapping[str, Method]) -> dict[str, Scores]:
    """Score every method on one clip, with the truth and the grey clip for comparison."""
    clip = item.clip
    grey = np.zeros_like(clip.ab)
    scores = {"truth": score(item, true_ab(clip), list(clip.truth), 0.0), "grey": score(item, grey, None, 0.0)}
    for name, method in ways.items():
        began = process_time()
        ab = method(clip.lightness, clip.ab)
        scores[name] = score(item, ab, None, (process_time() - began) * 1000 / len(ab))
    return scores


def score(item: Measured, ab: F32, pictures: Sequence[U8] | None, milliseconds: float) -> Scores:
    """Score ab (T, h, w, 2) on one clip; `pictures` where they are not to be composed from it."""
    clip = item.clip
    shown = list(show(clip, ab)) if pictures is None else pictures
    lab = [rgb_to_lab(picture / np.float32(255))[..., 1:] for picture in shown]
    pairs = range(len(item.motions))
    return Scores(
        1e4 * float(np.nanmean([warp_error(shown[t], shown[t + 1], item.motions[t]) for t in pairs])),
        1e4 * float(np.nanmean([warp_error(lab[t], lab[t + 1], item.motions[t]) for t in pairs])),
        statistics.fmean(psnr(picture, true) for picture, true in zip(shown, clip.truth, strict=True)),
        statistics.fmean(map(colourfulness, shown)),
        1e4 * abs(colour_consistency([colour_histogram(picture) for picture in shown]) - item.truth_cdc),
        milliseconds,
    )


def true_ab(clip: ColourClip) -> F32:
    """Return the true ab at the size of the model's, (T, h, w, 2)."""
    size = clip.ab.shape[2:0:-1]
    full = (rgb_to_lab(picture / np.float32(255))[..., 1:] for picture in clip.truth)
    return np.stack([cv2.resize(ab, size, interpolation=cv2.INTER_AREA) for ab in full]).astype(np.float32)


def measure_bleed(clips: Sequence[ColourClip], ways: Mapping[str, Method]) -> dict[str, float]:
    """Join clips of one size, and measure cut bleed at the joins; methods are told of the cuts by nobody."""
    shape = max((clip.ab.shape[1:] for clip in clips), key=[clip.ab.shape[1:] for clip in clips].count)
    shots = [clip for clip in clips if clip.ab.shape[1:] == shape]
    lightness = np.concatenate([clip.lightness[:SHOT_FRAMES] for clip in shots])
    ab = np.concatenate([clip.ab[:SHOT_FRAMES] for clip in shots])
    truth = np.concatenate([true_ab(clip)[:SHOT_FRAMES] for clip in shots])
    cuts = np.cumsum([len(clip.ab[:SHOT_FRAMES]) for clip in shots])[:-1].tolist()
    if not cuts:
        return {}
    return {name: cut_bleed(method(lightness, ab), ab, truth, cuts) for name, method in ways.items()}


def trade_off(clips: Sequence[Measured]) -> dict[str, list[tuple[str, float, float]]]:
    """Measure each way at several strengths: (strength, warp error beside raw, PSNR minus raw), means of clips."""
    families: dict[str, dict[str, Method]] = {
        "EMA": {f"{c:g}": lambda _, ab, c=c: exponential_mean(ab, c) for c in (0.5, 0.8, 0.9, 0.95)},
        "centred mean": {f"{n}": lambda _, ab, n=n: centred_mean(ab, n) for n in (3, 5, 9, 17)},
        "ours": {f"{s:g}": lambda lightness, ab, s=s: causal(lightness, ab, s) for s in STRENGTHS},
    }
    raw = [measure_all(item, {"raw": lambda _, ab: ab})["raw"] for item in clips]
    curves: dict[str, list[tuple[str, float, float]]] = {}
    for family, ways in families.items():
        found = [measure_all(item, ways) for item in clips]
        curves[family] = [
            (
                label,
                statistics.fmean(f[label].warp_error / r.warp_error for f, r in zip(found, raw, strict=True)),
                statistics.fmean(f[label].psnr - r.psnr for f, r in zip(found, raw, strict=True)),
            )
            for label in ways
        ]
    return curves
