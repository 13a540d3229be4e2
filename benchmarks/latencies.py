"""What the server's histograms have to hold: the latencies and readings of a short run, and what buckets make of them.

    .venv/bin/python -m benchmarks.latencies [--streams 1 3] [--frames 300] [--film FILE]

A real server with the shipped model, its clients on threads of the same process, so that on a small machine they take
part of what the server has: the numbers are for choosing buckets, not for boasting. Photographs are the demo's.
"""

import argparse
import asyncio
import itertools
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar
from unittest import mock

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from kinema_client import Client
from kinema_core.frames import LumaFrame
from kinema_core.media.reader import FilmReader
from kinema_core.quality.live import Reading
from kinema_server import app, metrics
from kinema_server.scheduler import Wait
from kinema_server.settings import Settings
from kinema_server.stream import StageSeconds

FOOTAGE = Path(__file__).parent.parent / "demo" / "footage"
HEIGHT, WIDTH = 720, 1280
QUANTILES = (0.01, 0.5, 0.9, 0.99, 1.0)

BUCKETS = {
    "frame": metrics.FRAME_SECONDS_BUCKETS,
    "photo": metrics.PHOTO_SECONDS_BUCKETS,
    "colourfulness": metrics.COLOURFULNESS_BUCKETS,
    "flicker": metrics.FLICKER_BUCKETS,
}


class RecordingMetrics(metrics.Metrics):
    """Keeps every number beside counting it."""

    seen: ClassVar[defaultdict[str, list[float]]] = defaultdict(list)

    def ran(self, waits: Sequence[Wait], engine_seconds: float) -> None:
        """Keep a run of the engine."""
        super().ran(waits, engine_seconds)
        for wait in waits:
            self.seen["queue"].append(wait.queue)
            self.seen["batch wait"].append(wait.batch)
            self.seen["engine"].append(engine_seconds)

    def observe_frame(self, seconds: StageSeconds, *, send_seconds: float, frame_seconds: float) -> None:
        """Keep a frame."""
        super().observe_frame(seconds, send_seconds=send_seconds, frame_seconds=frame_seconds)
        for name, value in (
            ("preprocess", seconds.prepare),
            ("temporal", seconds.temporal),
            ("compose", seconds.compose),
            ("send", send_seconds),
            ("frame", frame_seconds),
        ):
            self.seen[name].append(value)

    def observe_photo(self, seconds: float) -> None:
        """Keep a photograph."""
        super().observe_photo(seconds)
        self.seen["photo"].append(seconds)

    def observe_quality(self, reading: Reading) -> None:
        """Keep a reading."""
        super().observe_quality(reading)
        if reading.colourfulness is not None:
            self.seen["colourfulness"].append(reading.colourfulness)
        if reading.flicker is not None:
            self.seen["flicker"].append(reading.flicker)


def main() -> int:
    """Run the server and its clients, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 3], help="streams at a time, one run each")
    parser.add_argument("--frames", type=int, default=300, help="frames of each stream")
    parser.add_argument("--film", type=Path, default=FOOTAGE / "cockatoo.mp4")
    arguments = parser.parse_args()
    with FilmReader(arguments.film) as reader:
        film = [_scaled(frame) for frame in itertools.islice(reader, 48)]
    console = Console(width=110)
    for num_streams in arguments.streams:
        RecordingMetrics.seen.clear()
        with mock.patch.object(app, "Metrics", RecordingMetrics):
            asyncio.run(_run(film, num_streams, arguments.frames))
        load = os.getloadavg()[0]
        console.print(_table(f"{num_streams} streams of {WIDTH}x{HEIGHT}; load of the machine {load:.1f}"))
    return 0


def _scaled(frame: LumaFrame) -> LumaFrame:
    luma = cv2.resize(frame.luma, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(frame.luma.dtype, copy=False)
    return LumaFrame(luma, frame.pts, frame.time_base, frame.tags)


async def _run(film: list[LumaFrame], num_streams: int, num_frames: int) -> None:
    photos = [path.read_bytes() for path in sorted(FOOTAGE.glob("*.jpg"))]
    async with app.running_server(Settings(port=0, grace_seconds=0)) as server:

        def stream() -> None:
            with Client(server.address) as client:
                frames = itertools.islice(itertools.cycle(film), num_frames)
                for _ in client.colorize_frames(frames):
                    pass

        def photograph() -> None:
            with Client(server.address) as client:
                for photo in photos:
                    client.colorize_image(photo)

        with ThreadPoolExecutor(num_streams + 1) as pool:
            loop = asyncio.get_running_loop()
            work = [loop.run_in_executor(pool, stream) for _ in range(num_streams)]
            work.append(loop.run_in_executor(pool, photograph))
            await asyncio.gather(*work)


def _table(title: str) -> Table:
    table = Table(title=title)
    for column in ("", "count", *(f"p{quantile * 100:g}" for quantile in QUANTILES), "p50, p99 by buckets"):
        table.add_column(column, justify="right")
    for name, values in RecordingMetrics.seen.items():
        is_time = name not in {"colourfulness", "flicker"}
        scale, form = (1000, ".1f") if is_time else (1, ".3g")
        buckets = np.array(BUCKETS.get(name, metrics.STAGE_SECONDS_BUCKETS))
        estimates = [format(scale * _estimate(values, buckets, quantile), form) for quantile in (0.5, 0.99)]
        cells = [format(scale * float(np.quantile(values, quantile)), form) for quantile in QUANTILES]
        table.add_row(f"{name}, ms" if is_time else name, str(len(values)), *cells, ", ".join(estimates))
    return table


def _estimate(values: list[float], buckets: np.ndarray, quantile: float) -> float:
    """Return a quantile as Prometheus's histogram_quantile() finds it."""
    counts = np.searchsorted(np.sort(values), buckets, side="right")
    rank = quantile * len(values)
    index = int(np.searchsorted(counts, rank))
    if index == len(buckets):
        return float(buckets[-1])
    low, below = (buckets[index - 1], counts[index - 1]) if index else (0.0, 0)
    return float(low + (buckets[index] - low) * (rank - below) / (counts[index] - below))


if __name__ == "__main__":
    sys.exit(main())
