"""What `kinema serve` with the model that ships takes and gives: memory, frames a second, CPU time, time to start.

    .venv/bin/python -m benchmarks.sizing

Each row is a server of its own; its clients are threads of this process and share the machine with it. The numbers of
docs/operations.md, "Sizing".
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.serving.processes import Served
from benchmarks.serving.report import print_table
from kinema_client import Client
from kinema_core.frames import LumaFrame

NUM_STREAMS: Final = 4
NUM_FRAMES: Final = 100
PHOTO_SIZE: Final = (8192, 4096)
HD, FULL_HD, UHD = (1280, 720), (1920, 1080), (3840, 2160)


@dataclass(frozen=True, slots=True)
class Sized:
    """A server that answers."""

    served: Served
    start_seconds: float

    def gibibytes(self, field: str) -> float:
        """Read a line of the process's status: VmRSS is what it has now, VmHWM what it had at most."""
        lines = Path(f"/proc/{self.served.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024**2


def main() -> int:
    """Print both tables."""
    print(f"load of the machine {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs")
    loads: dict[str, Callable[[Sized], object]] = {
        "idle, model loaded": lambda _: None,
        f"{NUM_STREAMS} streams of 1280x720": lambda server: colorize(server, HD, NUM_STREAMS, 40),
        f"{NUM_STREAMS} streams of 3840x2160": lambda server: colorize(server, UHD, NUM_STREAMS, 30),
        "one photograph of 8192x4096": send_photo,
    }
    rows = []
    for what, load in loads.items():
        cells = [what]
        for keeps in ("1", "0"):
            with kinema_serve(KINEMA_KEEP_MEMORY=keeps) as server:
                load(server)
                cells += [f"{server.gibibytes(field):.2f}" for field in ("VmHWM", "VmRSS")]
        rows.append(cells)
    header = ("", "at most, GiB", "afterwards", "at most, KINEMA_KEEP_MEMORY=0", "afterwards")
    print_table("Resident memory of the server, f32", header, rows)

    rows = []
    for precision, size, num_streams in (
        *((precision, HD, NUM_STREAMS) for precision in ("f32", "bf16", "int8")),
        ("f32", FULL_HD, NUM_STREAMS),
        ("f32", HD, 1),
    ):
        with kinema_serve(KINEMA_PRECISION=precision) as server:
            colorize(server, size, 1, 10)
            cpu_seconds, rate = server.served.cpu_seconds, colorize(server, size, num_streams, NUM_FRAMES)
            milliseconds = 1000 * (server.served.cpu_seconds - cpu_seconds) / (num_streams * NUM_FRAMES)
            what = f"{size[0]}x{size[1]}, {precision}"
            rows.append([what, f"{num_streams}", f"{rate:.0f}", f"{milliseconds:.0f}", f"{server.start_seconds:.1f}"])
    header = ("", "streams", "frames/s", "CPU ms of the server a frame", "seconds to start")
    print_table("Through gRPC", header, rows)
    return 0


@contextlib.contextmanager
def kinema_serve(**environment: str) -> Iterator[Sized]:
    """Run `kinema serve` on a free port until the block is left."""
    command = [sys.executable, "-m", "kinema_client.cli", "serve", "--port", "0"]
    started = time.perf_counter()
    with subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if "serves on" in line)
            port = int(line.split()[-1].rpartition(":")[2])
            yield Sized(Served(process, port, None), time.perf_counter() - started)
        finally:
            process.terminate()


def colorize(server: Sized, size: tuple[int, int], num_streams: int, num_frames: int) -> float:
    """Send streams of a moving picture, all credits of each in flight, and return frames a second of all together."""
    width, height = size
    noise = np.random.default_rng(0).integers(16, 236, (90, 160), dtype=np.uint8)
    wide = np.asarray(cv2.resize(noise, (width + num_frames, height)), np.uint8)

    def run(_: int) -> None:
        film = (
            LumaFrame(np.ascontiguousarray(wide[:, number : number + width]), number, Fraction(1, 25))
            for number in range(num_frames)
        )
        with Client(server.served.target, shared_memory="off") as kinema:
            for _frame in kinema.colorize_frames(film):
                pass

    started = time.perf_counter()
    with ThreadPoolExecutor(num_streams) as pool:
        list(pool.map(run, range(num_streams)))
    return num_streams * num_frames / (time.perf_counter() - started)


def send_photo(server: Sized) -> None:
    """Send a photograph of the largest size that is taken."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 1024, 3), dtype=np.uint8)
    photo = cv2.imencode(".jpg", cv2.resize(noise, PHOTO_SIZE))[1].tobytes()
    with Client(server.served.target) as kinema:
        kinema.colorize_image(photo)


if __name__ == "__main__":
    sys.exit(main())
