"""What streams leave behind: idle ones, cancelled ones, and very long ones."""

import asyncio
import random
import time

import grpc
import numpy as np

from benchmarks.serving import load
from benchmarks.serving.load import SMALL, Size
from benchmarks.serving.processes import Served, kinema
from benchmarks.serving.report import print_table
from kinema.v1 import colorizer_pb2_grpc as pb_grpc

TINY = Size(128, 72)
TINY_WORKING_SIZE = 64
STATE = ("kinema_streams", "kinema_places_used", "kinema_queue_depth", "kinema_credits_granted", "kinema_credits_used")
NUM_SAMPLES = 30
NUM_HELD_FRAMES = 3
"""Of an idle stream: from the second on, motion is looked for."""


async def idle_streams(num_streams: int) -> None:
    """Print what open streams hold that send nothing: before their first frame, and behind it."""
    rows = []
    for what, num_frames in (("before the first frame", 0), (f"behind {NUM_HELD_FRAMES} frames", NUM_HELD_FRAMES)):
        with kinema("--max-streams", str(num_streams + 50)) as server:
            await _hold(server, 50, num_frames)
            before = server.resident_kib
            held = await _hold(server, num_streams, num_frames)
            rows.append((what, f"{(held - before) / num_streams:.0f}", f"{(held - before) / 1024:.0f}"))
    header = ("streams", "KiB each (goal: 100)", "MiB in all")
    print_table(f"{num_streams} idle streams of {SMALL}, memory of the server", header, rows)


async def cancels(num_cancels: int) -> None:
    """Print what is left of streams whose clients vanish at any moment."""
    with kinema() as server:
        num_tasks = server.gauges()["benchmark_tasks"]
        await _cancel(server, max(200, num_cancels // 10))
        memory = [server.resident_kib / 1024]
        started = time.perf_counter()
        for _ in range(4):
            await _cancel(server, num_cancels // 4)
            memory.append(server.resident_kib / 1024)
        seconds = time.perf_counter() - started
        left = _settled(server)
    header = (
        "seconds",
        "growth, MiB (goal: 10)",
        "by quarters",
        *(name.removeprefix("kinema_") for name in STATE),
        "tasks",
    )
    row = (
        f"{seconds:.0f}",
        f"{memory[-1] - memory[0]:.1f}",
        ", ".join(f"{grown:.1f}" for grown in np.diff(memory)),
        *(f"{left[name]:.0f}" for name in STATE),
        f"{left['benchmark_tasks'] - num_tasks:.0f}",
    )
    print_table(f"{num_cancels} abrupt cancels of streams of {TINY}; what is left", header, [row])


def soak(num_frames: int) -> None:
    """Print how memory goes while two streams run very long."""
    with kinema() as server:
        load.frames_per_second(server.target, TINY, num_streams=2, num_frames=400, working_size=TINY_WORKING_SIZE)
        memory: list[float] = []
        heap: list[float] = []
        started = time.perf_counter()
        for _ in range(NUM_SAMPLES):  # new streams each time, as in a service
            piece = num_frames // NUM_SAMPLES
            load.frames_per_second(server.target, TINY, num_streams=2, num_frames=piece, working_size=TINY_WORKING_SIZE)
            memory.append(server.resident_kib / 1024)
            heap.append(server.gauges()["benchmark_heap_bytes"] / 1024**2)
        seconds = time.perf_counter() - started
        left = _settled(server)
    rows = []
    for what, sizes in (("private memory", memory), ("of it lent out by the C library", heap)):
        second_half = np.array(sizes[NUM_SAMPLES // 2 :])
        slope = float(np.polyfit(np.arange(len(second_half)) * piece / 100_000, second_half, 1)[0])
        rows.append((what, *(f"{sizes[index]:.2f}" for index in (0, NUM_SAMPLES // 2, -1)), f"{slope:.2f}"))
    header = ("what", "MiB at first", "half-way", "at the end", "MiB for each 100,000 frames, second half")
    what = f"{num_frames} frames of {TINY} in {2 * NUM_SAMPLES} streams, two at a time, {seconds:.0f} s"
    print_table(f"{what}; places used at the end: {left['kinema_places_used']:.0f}", header, rows)


async def _hold(server: Served, num_streams: int, num_frames: int) -> int:
    """Open streams, answer their frames, and return what the server holds while they are open."""
    plane = load.luma(SMALL)
    async with grpc.aio.insecure_channel(server.target, options=load.CHANNEL_OPTIONS) as channel:
        stub = pb_grpc.ColorizerStub(channel)
        calls = []
        for _ in range(num_streams):
            call = stub.ColorizeFrames()
            await call.write(load.config(SMALL))
            await call.read()
            for seq in range(num_frames):
                await call.write(load.frame(seq, plane))
                await call.read()
            calls.append(call)
        await asyncio.sleep(0.5)
        held = server.resident_kib
        for call in calls:
            call.cancel()
    return held


async def _cancel(server: Served, num_cancels: int) -> None:
    plane = load.luma(TINY)
    moments = random.Random(1)  # noqa: S311 - no secret
    left = iter(range(num_cancels))
    async with grpc.aio.insecure_channel(server.target, options=load.CHANNEL_OPTIONS) as channel:
        stub = pb_grpc.ColorizerStub(channel)

        async def work() -> None:
            for _ in left:
                call = stub.ColorizeFrames()
                steps = moments.randrange(6)
                if steps > 0:
                    await call.write(load.config(TINY, working_size=TINY_WORKING_SIZE))
                if steps > 1:
                    await call.read()
                for seq in range(steps - 2):
                    await call.write(load.frame(seq, plane))
                if steps > 4:
                    await call.read()
                call.cancel()

        await asyncio.gather(*(work() for _ in range(16)))


def _settled(server: Served) -> dict[str, float]:
    """Return the server's state once it has had time to notice that everybody left."""
    until = time.monotonic() + 10
    while any((gauges := server.gauges())[name] for name in STATE) and time.monotonic() < until:
        time.sleep(0.1)
    return gauges
