"""How long each stage of a frame takes on this machine, one stage at a time."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import numpy as np

from kinema_core.bundle import Manifest
from kinema_core.engines.engine import Engine
from kinema_core.frame_way import way_for
from kinema_core.frames import ColorFrame, ColorTags, LumaFrame
from kinema_core.media.writer import FilmWriter
from kinema_core.pipeline import Colorizer, Finished, Prepared

Item = TypeVar("Item")
Result = TypeVar("Result")
Clock = Callable[[], float]
"""Seconds, as `perf_counter` gives them; `process_time` for what all threads together took of the CPU."""

NUM_WARM_UP = 3
"""Runs of a stage that are not counted: tables are built, memory is touched and threads are started in them."""


@dataclass(frozen=True, slots=True)
class StageMilliseconds:
    """Median milliseconds a frame."""

    prepare: float
    """Luma scaled to the model's size, and its lightness."""
    finish: float
    """Cut detection, smoothing over time, upsampling."""
    compose: float
    """ab to Cb and Cr."""
    encode: float
    """H.264 as films are written by default, encoder threads and all."""


def time_stages(
    frames: Sequence[LumaFrame], manifest: Manifest, engine: Engine, clock: Clock = perf_counter
) -> StageMilliseconds:
    """Time every stage but the engine on `frames`, which are of one size and more than NUM_WARM_UP.

    Where frames stay on a GPU, upsampling may only be queued when "finish" ends; "compose" waits for it.
    """
    height, width = frames[0].luma.shape
    colorizer = Colorizer(manifest, height=height, width=width, tags=frames[0].tags, way=way_for(engine))
    prepared, prepare = _timed(colorizer.prepare, frames, clock)
    inferred = [(item, colorizer.infer(engine, item)) for item in prepared]

    def finish(item: tuple[Prepared, Any]) -> tuple[Prepared, Finished]:
        return item[0], colorizer.finish(*item)

    finished, finish_ms = _timed(finish, inferred, clock)
    coloured, compose = _timed(lambda item: colorizer.compose(*item), finished, clock)
    return StageMilliseconds(prepare, finish_ms, compose, time_encoding(coloured, clock))


def time_engine(frames: Sequence[LumaFrame], manifest: Manifest, engine: Engine, clock: Clock = perf_counter) -> float:
    """Time the engine alone on the lightness of `frames`, where that lies; median milliseconds a frame."""
    height, width = frames[0].luma.shape
    colorizer = Colorizer(manifest, height=height, width=width, tags=frames[0].tags, way=way_for(engine))
    prepared = [colorizer.prepare(frame) for frame in frames]
    return _timed(partial(colorizer.infer, engine), prepared, clock)[1]


def time_encoding(frames: Sequence[ColorFrame], clock: Clock = perf_counter) -> float:
    """Time encoding and writing `frames` as a film; mean milliseconds a frame, since an encoder looks ahead."""
    height, width = frames[0].luma.shape
    with tempfile.TemporaryDirectory() as folder:
        path, time_base = Path(folder) / "film.mp4", frames[0].time_base
        with FilmWriter(path, width=width, height=height, time_base=time_base, tags=frames[0].tags) as writer:
            began = clock()
            for frame in frames:
                writer.write(frame)
        return (clock() - began) * 1000 / len(frames)


def synthetic_film(height: int, width: int, num_frames: int) -> list[LumaFrame]:
    """Make grey frames in which soft shapes drift under fixed grain; an encoder finds real films easier or harder."""
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 2, (height, width))
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64) * (2 * np.pi / height)
    frames = []
    for index in range(num_frames):
        shift = index * 0.05
        picture = 120 + 60 * np.sin(2 * columns + shift) * np.cos(3 * rows - shift) + 20 * np.sin(11 * columns) + grain
        frames.append(LumaFrame(picture.clip(16, 235).astype(np.uint8), index, Fraction(1, 25), ColorTags()))
    return frames


def _timed(stage: Callable[[Item], Result], items: Sequence[Item], clock: Clock) -> tuple[list[Result], float]:
    """Run a stage over all items in order; the median leaves out the first NUM_WARM_UP."""
    results, milliseconds = [], []
    for item in items:
        began = clock()
        results.append(stage(item))
        milliseconds.append((clock() - began) * 1000)
    return results, statistics.median(milliseconds[NUM_WARM_UP:])
