"""Clients: streams over bare gRPC that keep so many frames in flight, the same for every server."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import grpc
import numpy as np
from numpy.typing import NDArray

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc

CHANNEL_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0))
CREDITS = 8
PANNED = (0, 2, 4, 6, 8, 6, 4, 2)
"""Pixels by which the pictures of a stream have moved, over and over: one that stands still is no work for a flow."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of a frame, in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def luma_bytes(self) -> int:
        """8 bit."""
        return self.width * self.height


SMALL, FULL_HD = Size(640, 360), Size(1920, 1080)


@dataclass(frozen=True, slots=True)
class Answer:
    """A frame that came back."""

    at: float
    """When, by `perf_counter`."""
    seconds: float
    """From handing it to gRPC to having its answer."""
    work_seconds: float
    """Of these, what the server says that it spent on its colours, the engine's run included."""


@cache
def luma(size: Size, panned: int = 0) -> bytes:
    """Make a picture that is neither flat nor noise: a ramp with a wave on it, moved by so many pixels."""
    x, y = np.meshgrid((np.arange(size.width) + panned) / (size.width - 1), np.linspace(0, 1, size.height))
    picture: NDArray[np.uint8] = (128 + 60 * (x - y) + 30 * np.sin(20 * x * y)).astype(np.uint8)
    return picture.tobytes()


def config(size: Size, *, working_size: int = 0) -> pb.ColorizeFramesRequest:
    """Describe a stream of 8-bit grey."""
    return pb.ColorizeFramesRequest(
        config=pb.StreamConfig(
            size=pb.Size(width=size.width, height=size.height),
            pixel_format=pb.PIXEL_FORMAT_GRAY8,
            working_size=working_size,
        )
    )


def frame(seq: int, plane: bytes) -> pb.ColorizeFramesRequest:
    """Make a frame."""
    return pb.ColorizeFramesRequest(frame=pb.Frame(seq=seq, planes=[plane]))


def run_stream(
    target: str, size: Size, num_frames: int, *, in_flight: int = CREDITS, working_size: int = 0
) -> list[Answer]:
    """Send frames over a connection of its own, `in_flight` at a time, and wait for their answers."""
    planes = [luma(size, panned) for panned in PANNED]
    sent = [0.0] * num_frames
    answers = []
    may_send = threading.Semaphore(in_flight)

    def requests() -> Iterator[pb.ColorizeFramesRequest]:
        yield config(size, working_size=working_size)
        for seq in range(num_frames):
            may_send.acquire()
            sent[seq] = time.perf_counter()
            yield frame(seq, planes[seq % len(planes)])

    with grpc.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
        try:
            for response in pb_grpc.ColorizerStub(channel).ColorizeFrames(requests()):
                if response.HasField("frame"):
                    now = time.perf_counter()
                    answers.append(Answer(now, now - sent[response.frame.seq], _work_seconds(response.frame.timings)))
                    may_send.release()
        finally:
            may_send.release(num_frames)  # else gRPC's thread would wait for ever
    assert len(answers) == num_frames
    return answers


def frames_per_second(target: str, size: Size, *, num_streams: int, num_frames: int, working_size: int = 0) -> float:
    """Run streams at a time, `num_frames` in all, and say how fast they were together, from their opening on."""
    started = time.perf_counter()
    answers = _run_streams(target, size, num_streams, num_frames, working_size)
    return len(answers) / (time.perf_counter() - started)


def steady_frames_per_second(target: str, size: Size, *, num_streams: int, num_frames: int) -> float:
    """Do the same, but count from when each stream has had an answer: how they are opened is not what is asked."""
    answers = _run_streams(target, size, num_streams, num_frames, 0)
    ats = sorted(answer.at for answer in answers)[num_streams - 1 :]
    return (len(ats) - 1) / (ats[-1] - ats[0])


def _run_streams(target: str, size: Size, num_streams: int, num_frames: int, working_size: int) -> list[Answer]:
    each = -(-num_frames // num_streams)
    with ThreadPoolExecutor(num_streams) as pool:
        done = [pool.submit(run_stream, target, size, each, working_size=working_size) for _ in range(num_streams)]
        return [answer for answers in done for answer in answers.result()]


def _work_seconds(timings: pb.Timings) -> float:
    return (timings.prepare_micros + timings.engine_micros + timings.finish_micros) / 1e6
