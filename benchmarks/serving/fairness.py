"""What a client that stops reading costs the others."""

import contextlib
import threading
import time
from collections.abc import Iterator

import grpc

from benchmarks.serving import load
from benchmarks.serving.load import SMALL
from benchmarks.serving.processes import Served, kinema
from benchmarks.serving.report import percent, print_table, spread
from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc

NUM_OTHERS = 15
ENGINE_MILLISECONDS = 20


def stalled_reader(rounds: int, seconds: float) -> None:
    """Print how fast 15 streams are without and with a sixteenth that sends all it may and reads nothing."""
    num_frames = round(seconds * 1000 / ENGINE_MILLISECONDS)
    alone, beside = [], []
    with kinema("--engine-ms", str(ENGINE_MILLISECONDS)) as server:
        _others(server, 2 * NUM_OTHERS)
        for _ in range(rounds):
            alone.append(_others(server, num_frames))
            with _stalled(server):
                beside.append(_others(server, num_frames))
    lost = [1 - with_it / without for with_it, without in zip(beside, alone, strict=True)]
    print_table(
        f"One stalled reader among {NUM_OTHERS + 1} streams of {SMALL}, engine of {ENGINE_MILLISECONDS} ms, frames/s",
        ("15 alone", "15 beside a stalled one", "lost (goal: 3 %)"),
        [(spread(alone, ".1f"), spread(beside, ".1f"), percent(lost))],
    )


def _others(server: Served, num_frames: int) -> float:
    return load.frames_per_second(server.target, SMALL, num_streams=NUM_OTHERS, num_frames=num_frames)


@contextlib.contextmanager
def _stalled(server: Served) -> Iterator[None]:
    """Keep a stream whose client sent ever more frames, until the server took no more, and never reads an answer."""
    ended = threading.Event()
    plane = load.luma(SMALL)

    def requests() -> Iterator[pb.ColorizeFramesRequest]:
        yield load.config(SMALL)
        for seq in range(1 << 30):  # gRPC asks for the next as the connection takes it
            if ended.is_set():
                return
            yield load.frame(seq, plane)

    with grpc.insecure_channel(server.target, options=load.CHANNEL_OPTIONS) as channel:
        call = pb_grpc.ColorizerStub(channel).ColorizeFrames(requests())
        next(call)  # accepted
        _wait_until_idle(server)  # all buffers on the way are full
        try:
            yield
        finally:
            ended.set()
            call.cancel()


def _wait_until_idle(server: Served) -> None:
    before = -1.0
    while server.cpu_seconds - before > 0.02:
        before = server.cpu_seconds
        time.sleep(0.5)
