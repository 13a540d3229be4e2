"""Frames over TCP against frames through shared memory: one client and one server on this machine.

    .venv/bin/python -m benchmarks.shared_frames [--rounds 7] [--frames 200] [--size 1920x1080] [--colour]

The engine is trivial, and a frame's own work on the CPU is left out unless `--colour` is given, so that what remains is
the way there and back. The two ways take turns, round after round, so that a busy machine slows both alike.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from kinema_client import Client
from kinema_client.shared_frames import SharedMemoryChoice
from kinema_core.frames import LumaFrame

WAYS: Final[tuple[SharedMemoryChoice, ...]] = ("off", "on")
NUM_WARM_UP: Final = 20


def main() -> int:
    """Print each way's median rate, and the ratio of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--colour", action="store_true")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    picture = np.random.default_rng(0).integers(16, 236, (height, width), dtype=np.uint8)

    command = [sys.executable, "-m", "benchmarks.serving.server", *([] if options.colour else ["--without-colour"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1], text=True) as server:
        assert server.stdout is not None
        target = f"127.0.0.1:{json.loads(server.stdout.readline())['port']}"
        try:
            rates: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(options.rounds):
                for way in WAYS:
                    rates[way].append(frames_per_second(target, way, picture, options.frames))
        finally:
            server.terminate()
    for way, name in zip(WAYS, ("TCP", "shared memory"), strict=True):
        low, high = min(rates[way]), max(rates[way])
        print(f"{name:14} {statistics.median(rates[way]):7.1f} frames/s ({low:.1f} to {high:.1f})")
    ratios = [shared / tcp for tcp, shared in zip(rates["off"], rates["on"], strict=True)]
    print(f"{'ratio':14} {statistics.median(ratios):7.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return 0


def frames_per_second(target: str, way: SharedMemoryChoice, picture: np.ndarray, num_frames: int) -> float:
    """Return the rate at which frames come back, once a few have."""

    def film() -> Iterator[LumaFrame]:
        for index in range(NUM_WARM_UP + num_frames):
            yield LumaFrame(picture, pts=index, time_base=Fraction(1, 25))

    with Client(target, shared_memory=way) as kinema:
        stream = kinema.colorize_frames(film())
        started = 0.0
        for index, _ in enumerate(stream, start=1):
            if index == NUM_WARM_UP:
                started = time.perf_counter()
        assert stream.accepted is not None
        assert stream.accepted.is_memory_shared == (way == "on"), "the server could not share memory"
        return num_frames / (time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())
