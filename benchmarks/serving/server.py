"""Kinema's own server around a trivial engine, in a process of its own; prints `{"port": ..., "metrics_port": ...}`.

    .venv/bin/python -m benchmarks.serving.server --engine-ms 20

All that a real server does is on. `--without-colour` leaves out a frame's own work on the CPU (lightness, smoothing,
upsampling, composition), so that what serving itself costs can be laid beside servers that colour nothing.
"""

import argparse
import asyncio
import ctypes
import json
import sys
import time
from fractions import Fraction
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Gauge

from kinema_core.bundle import Bundle, load_bundle
from kinema_core.frames import ColorFrame, ColorTags, LumaFrame, chroma_shape
from kinema_core.pipeline import Colorizer, Finished, Prepared, colorize_frames
from kinema_server import stream
from kinema_server.allocator import keep_freed_memory
from kinema_server.app import RunningServer, running_server, serve_until_signal
from kinema_server.settings import Settings

F32 = NDArray[np.float32]


class TrivialEngine:
    """One colour for every picture, after `seconds` in which the CPU is free, as it is while a GPU computes."""

    name = "trivial"
    precision = "f32"
    device = "none"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def infer(self, lightness: F32) -> F32:
        """Return ab (B, 2, h/2, w/2) for L* (B, 1, h, w)."""
        if self.seconds:
            time.sleep(self.seconds)
        num, _, height, width = lightness.shape
        return np.full((num, 2, height // 2, width // 2), 20, np.float32)

    def close(self) -> None:
        """Hold nothing."""


class UncolouredColorizer(Colorizer):
    """Answers every frame with the same chroma and computes nothing."""

    def prepare(self, frame: LumaFrame) -> Prepared:
        """Show the engine a picture of 8 x 8."""
        return Prepared(frame, np.full((1, 1, 8, 8), 50, np.float32))

    def finish(self, prepared: Prepared, ab: F32) -> Finished:
        """Tell the server's watch, as always."""
        is_cut = False
        if self._on_smoothed is not None:
            self._on_smoothed(prepared.lightness[0, 0], ab[0].transpose(1, 2, 0), is_cut)
        return Finished(prepared.frame.luma, ab[0], is_cut)

    def compose(self, prepared: Prepared, finished: Finished) -> ColorFrame:  # noqa: ARG002 - as Colorizer has it
        """Make grey."""
        frame = prepared.frame
        chroma = np.full(chroma_shape(*self.shape), 128, np.uint8)
        return ColorFrame(frame.luma, chroma, chroma, frame.pts, frame.time_base, frame.tags)


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine-ms", type=float, default=0)
    parser.add_argument("--without-colour", action="store_true")
    parser.add_argument("--max-streams", type=int, default=1024)
    parser.add_argument("--give-back-memory", action="store_true")
    parser.add_argument("--grace-seconds", type=float, default=0)
    parser.add_argument("--resume-secret", type=Path)
    arguments = parser.parse_args()
    settings = Settings(
        port=0,
        metrics_port=0,
        max_streams=arguments.max_streams,
        grace_seconds=arguments.grace_seconds,
        resume_secret=arguments.resume_secret,
        keep_memory=not arguments.give_back_memory,
    )
    if settings.keep_memory:  # as `kinema serve` does
        keep_freed_memory()
    engine = TrivialEngine(arguments.engine_ms / 1000)
    colorizer = UncolouredColorizer if arguments.without_colour else Colorizer
    bundle = load_bundle()
    _make_tables(bundle, engine)
    with mock.patch.object(stream, "Colorizer", colorizer):
        asyncio.run(serve_until_signal(running_server(settings, bundle=bundle, engine=engine), _announce))
    return 0


def _make_tables(bundle: Bundle, engine: TrivialEngine) -> None:
    """Do before the start what the first frame would wait for, as the server does with an engine that it opened."""
    frame = LumaFrame(np.zeros((360, 640), np.uint8), pts=0, time_base=Fraction(1), tags=ColorTags())
    list(colorize_frames([frame], Colorizer(bundle.manifest, height=360, width=640, tags=frame.tags), engine))


class _Mallinfo(ctypes.Structure):
    """glibc's `struct mallinfo2`: malloc.h."""

    _names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = tuple((name, ctypes.c_size_t) for name in _names)


def _heap_bytes() -> float:
    """Return what is in use of the heap, without what its holes hold; NaN where the C library does not tell."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return float("nan")
    mallinfo.restype = _Mallinfo
    found = mallinfo()
    return float(found.uordblks + found.hblkhd)


def _announce(server: RunningServer) -> None:
    loop = asyncio.get_running_loop()
    tasks = Gauge("benchmark_tasks", "Tasks of the event loop.", registry=server.metrics.registry)
    tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
    heap = Gauge("benchmark_heap_bytes", "Lent out by the C library.", registry=server.metrics.registry)
    heap.set_function(_heap_bytes)
    print(json.dumps({"port": server.port, "metrics_port": server.metrics_port}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
