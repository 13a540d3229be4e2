"""What a frame's own work on the CPU costs, stage by stage and without the model: CPU time of one thread.

    .venv/bin/python -m benchmarks.frame_cost [--frames 60] [--rounds 3]

The demo's clip at two sizes; the model colorizes every frame once, before anything is counted. Medians of frames, but
the mean of what looks at every eighth frame only.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.pipeline import write_clip
from benchmarks.serving.report import print_table
from kinema_core.bundle import Bundle, load_bundle
from kinema_core.engines.select import open_engine
from kinema_core.frame_way import HostWay
from kinema_core.frames import LumaFrame
from kinema_core.media.reader import FilmReader
from kinema_core.pipeline import F32, Colorizer, OnSmoothed
from kinema_core.quality.live import LiveQuality
from kinema_core.temporal.cuts import CutDetector
from kinema_core.temporal.stabilizer import Stabilizer

SIZES = ((640, 360), (1920, 1080))
STAGES: dict[str, tuple[type[Any], str]] = {
    "prepare: lightness at the model's size": (HostWay, "prepare"),
    "take: the model's ab, checked": (HostWay, "take_ab"),
    "cuts": (CutDetector, "is_cut"),
    "smoothing": (Stabilizer, "smooth"),
    "reading colourfulness and flicker, mean": (LiveQuality, "measure"),
    "upsampling": (HostWay, "upsample"),
    "composition": (HostWay, "compose"),
}
NUM_WARM_UP = 5


def main() -> int:
    """Print a table: stages and sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    bundle = load_bundle()
    costs = [stage_milliseconds(bundle, size, options.frames, options.rounds) for size in SIZES]
    rows = [(stage, *(f"{cost[stage]:.2f}" for cost in costs)) for stage in costs[0]]
    title = "CPU milliseconds a frame, one thread"
    print_table(title, ("stage", *(f"{width}x{height}" for width, height in SIZES)), rows)
    return 0


def stage_milliseconds(bundle: Bundle, size: tuple[int, int], num_frames: int, num_rounds: int) -> dict[str, float]:
    """Measure each stage, and all of them together."""
    width, height = size
    with tempfile.TemporaryDirectory() as folder:
        path = write_clip(Path(folder) / "clip.mp4", height, width, num_frames)
        with FilmReader(path) as film:
            frames, tags = list(film), film.tags
    engine = open_engine(bundle, "auto").engine
    plain = Colorizer(bundle.manifest, height=height, width=width, tags=tags)
    ab = [engine.infer(plain.prepare(frame).lightness) for frame in frames]
    engine.close()

    seconds: dict[str, list[float]] = {}
    originals = {stage: getattr(*place) for stage, place in STAGES.items()}
    for stage, (owner, name) in STAGES.items():
        setattr(owner, name, _timed(originals[stage], seconds.setdefault(stage, [])))
    whole = seconds.setdefault("all", [])
    for _ in range(num_rounds):
        colorizer = Colorizer(bundle.manifest, height=height, width=width, tags=tags, on_smoothed=_reader())
        for frame, inferred in zip(frames, ab, strict=True):
            _colorize(colorizer, frame, inferred, whole)
    for stage, (owner, name) in STAGES.items():
        setattr(owner, name, originals[stage])
    return {
        stage: 1000 * (statistics.mean if "mean" in stage else statistics.median)(counted[NUM_WARM_UP:])
        for stage, counted in seconds.items()
    }


def _reader() -> OnSmoothed:
    quality = LiveQuality()

    def read(lightness: F32, ab: F32, is_cut: bool) -> None:  # noqa: FBT001 - as Colorizer calls it
        quality.measure(lightness, ab, is_cut=is_cut)

    return read


def _colorize(colorizer: Colorizer, frame: LumaFrame, ab: F32, seconds: list[float]) -> None:
    started = time.thread_time()
    prepared = colorizer.prepare(frame)
    colorizer.compose(prepared, colorizer.finish(prepared, ab))
    seconds.append(time.thread_time() - started)


def _timed(work: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        started = time.thread_time()
        result = work(*args, **kwargs)
        seconds.append(time.thread_time() - started)
        return result

    return timed


if __name__ == "__main__":
    sys.exit(main())
