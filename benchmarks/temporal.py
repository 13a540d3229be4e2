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
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import process_time

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.colour_clips import F32, U8, ColourClip, bring_up, list_clips, load_clip, show
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
from kinema_core.temporal.transitions import find_transitions

Method = Callable[[F32, F32], F32]
"""Takes lightness (T, h, w) and ab (T, h', w', 2), gives smoothed ab."""

STRENGTHS = (0.1, 0.25, 0.5, 0.75, 1.0)
DEFAULT = "ours"
SHOT_FRAMES = 25
"""Frames of each clip in the joined film on which cut bleed is measured."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One method on one clip."""

    warp_error: float
    """RGB, times 1e4."""
    chroma_warp_error: float
    """a and b alone, peak 255, before they are rounded to codes; times 1e4."""
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
        "raw": by_itself,
        "EMA": partial(exponential_mean, carried=0.8),
        "centred mean": partial(centred_mean, window=9),
        DEFAULT: partial(causal, strength=0.5),
        "ours, strength 1": partial(causal, strength=1.0),
        "ours, both ways": both_ways,
    }


def by_itself(lightness: F32, ab: F32) -> F32:  # noqa: ARG001  # as all methods are called
    """Leave each frame as the model gave it."""
    return ab


def exponential_mean(lightness: F32, ab: F32, carried: float) -> F32:  # noqa: ARG001
    """Average each pixel with its past, standing still: `carried` of the frame before, the rest of this one."""
    means = [ab[0]]
    for frame in ab[1:]:
        means.append(means[-1] + np.float32(1 - carried) * (frame - means[-1]))
    return np.stack(means)


def centred_mean(lightness: F32, ab: F32, window: int) -> F32:  # noqa: ARG001
    """Average each pixel over `window` frames around it, standing still; it looks ahead."""
    half = window // 2
    return np.stack([ab[max(0, t - half) : t + half + 1].mean(axis=0) for t in range(len(ab))])


def causal(lightness: F32, ab: F32, strength: float) -> F32:
    """Smooth as Kinema's pipeline does, cuts found on the way."""
    cuts, stabilizer = CutDetector(), Stabilizer(strength)
    return np.stack(
        [stabilizer.smooth(seen, colour, is_cut=cuts.is_cut(seen)) for seen, colour in zip(lightness, ab, strict=True)]
    )


def both_ways(lightness: F32, ab: F32) -> F32:
    """Smooth shots as a job can that has all of the film at hand."""
    changes = [found.end for found in find_transitions(lightness)]
    smoothed = []
    for begin, end in pairwise([0, *changes, len(ab)]):
        smoothed += smooth_shot(list(lightness[begin:end]), list(ab[begin:end]), 0.5)
    return np.stack(smoothed)


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
    pairs = range(len(item.motions))
    return Scores(
        1e4 * float(np.nanmean([warp_error(shown[t], shown[t + 1], item.motions[t]) for t in pairs])),
        1e4 * chroma_warp_error(item, ab),
        statistics.fmean(psnr(picture, true) for picture, true in zip(shown, clip.truth, strict=True)),
        statistics.fmean(map(colourfulness, shown)),
        1e4 * abs(colour_consistency([colour_histogram(picture) for picture in shown]) - item.truth_cdc),
        milliseconds,
    )


def chroma_warp_error(item: Measured, ab: F32) -> float:
    """Return the warp error of ab (T, h, w, 2) at the clip's size, before it is rounded to codes; peak 255."""
    chroma = list(bring_up(item.clip, ab))
    pairs = range(len(item.motions))
    return float(np.nanmean([warp_error(chroma[t], chroma[t + 1], item.motions[t]) for t in pairs]))


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
    """Measure each way at several strengths: (strength, chroma's warp error beside raw, PSNR minus raw), means."""
    families: dict[str, dict[str, Method]] = {
        "EMA": {f"{c:g}": partial(exponential_mean, carried=c) for c in (0.5, 0.8, 0.9)},
        "centred mean": {f"{n}": partial(centred_mean, window=n) for n in (3, 9, 17)},
        DEFAULT: {f"{s:g}": partial(causal, strength=s) for s in STRENGTHS},
    }
    raw = [calm_and_fidelity(item, item.clip.ab) for item in clips]
    curves: dict[str, list[tuple[str, float, float]]] = {}
    for family, ways in families.items():
        curves[family] = []
        for label, method in ways.items():
            found = [calm_and_fidelity(item, method(item.clip.lightness, item.clip.ab)) for item in clips]
            calm = statistics.fmean(f[0] / r[0] for f, r in zip(found, raw, strict=True))
            fidelity = statistics.fmean(f[1] - r[1] for f, r in zip(found, raw, strict=True))
            curves[family].append((label, calm, fidelity))
            print(f"{family} {label}: warp error on chroma {calm:.3f} of raw, PSNR {fidelity:+.3f} dB")
    return curves


def print_tables(results: Mapping[str, Mapping[str, Scores]], bleeds: Mapping[str, float]) -> None:
    """Print a table for each clip, and one of their means."""
    for name, scores in results.items():
        print_table(name, scores, {})
    methods_of_all = next(iter(results.values()))
    means = {
        method: Scores(
            *(statistics.fmean(getattr(scores[method], f.name) for scores in results.values()) for f in fields(Scores))
        )
        for method in methods_of_all
    }
    print_table(f"mean of {len(results)} clips", means, bleeds)
    ours = [scores[DEFAULT] for scores in results.values()]
    raw = [scores["raw"] for scores in results.values()]
    for name, values in (
        ("warp error beside raw", [o.warp_error / r.warp_error for o, r in zip(ours, raw, strict=True)]),
        ("on chroma alone", [o.chroma_warp_error / r.chroma_warp_error for o, r in zip(ours, raw, strict=True)]),
        ("PSNR minus raw", [o.psnr - r.psnr for o, r in zip(ours, raw, strict=True)]),
        ("CF beside raw", [o.colourfulness / r.colourfulness for o, r in zip(ours, raw, strict=True)]),
    ):  # fmt: skip
        print(f"{DEFAULT}, {name}: mean {statistics.fmean(values):.3f}, from {min(values):.3f} to {max(values):.3f}")


def print_table(title: str, scores: Mapping[str, Scores], bleeds: Mapping[str, float]) -> None:
    """Print one row a method."""
    raw = scores["raw"]
    table = Table("method", "warp error", "of raw", "on chroma", "of raw", "PSNR", "- raw", "CF", "of raw",
                  "|CDC - true|", "cut bleed", "ms a frame", title=title)  # fmt: skip
    for name, s in scores.items():
        table.add_row(
            name, f"{s.warp_error:.3f}", f"{s.warp_error / raw.warp_error:.3f}",
            f"{s.chroma_warp_error:.4f}", f"{s.chroma_warp_error / raw.chroma_warp_error:.3f}",
            f"{s.psnr:.3f}", f"{s.psnr - raw.psnr:+.3f}",
            f"{s.colourfulness:.2f}", f"{s.colourfulness / raw.colourfulness:.3f}", f"{s.cdc_error:.2f}",
            f"{bleeds[name]:.3f}" if name in bleeds else "", f"{s.milliseconds:.2f}" if s.milliseconds else "",
        )  # fmt: skip
    Console(width=150).print(table)


def calm_and_fidelity(item: Measured, ab: F32) -> tuple[float, float]:
    """Return the warp error on chroma and the PSNR of one clip."""
    clip = item.clip
    return chroma_warp_error(item, ab), statistics.fmean(map(psnr, show(clip, ab), clip.truth))


def plot(path: Path, curves: Mapping[str, Sequence[tuple[str, float, float]]]) -> None:
    """Draw fidelity over calm, a line for each way, its strengths written at the points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, points in curves.items():
        axes.plot([x for _, x, _ in points], [y for _, _, y in points], marker="o", label=name)
        for label, x, y in points:
            axes.annotate(label, (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8)
    axes.set_xscale("log")
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set_xlabel("warp error on chroma, beside the model's by itself (less is calmer)")
    axes.set_ylabel("PSNR minus the model's by itself, dB")
    axes.legend()
    figure.savefig(path, dpi=110)
    print(f"{path} is written")


if __name__ == "__main__":
    sys.exit(main())
