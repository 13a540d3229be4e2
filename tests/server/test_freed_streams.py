"""However a stream ends, nothing of it is left: neither its state of colour over time nor its frames.

And while it lasts, no frame of it is left that has been answered.
"""

import asyncio
import gc
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.pipeline import Colorizer, Prepared
from kinema_core.temporal.stabilizer import Stabilizer
from kinema_server.app import RunningServer
from kinema_server.stream import Answer, SentFrame, Stream
from tests.fakes import FakeEngine
from tests.server.waiting import until
from tests.server.wire import HEIGHT, WIDTH, config, converse, frame

FRAMES = (SentFrame, Prepared, Answer)
KINDS = (Stream, Colorizer, Stabilizer, *FRAMES)


class Census:
    """What is alive of any stream that began in this test."""

    def __init__(self) -> None:
        gc.collect()
        self._strangers = [found for found in gc.get_objects() if type(found) in KINDS]

    def names(self) -> set[str]:
        strangers = set(map(id, self._strangers))
        return {
            type(found).__name__ for found in gc.get_objects() if type(found) in KINDS and id(found) not in strangers
        }


@pytest.fixture(autouse=True)
def census() -> Iterator[Census]:
    """Count without the collector of cycles: in a server it may not run for hours."""
    gc.disable()
    yield Census()
    gc.enable()


async def is_freed(server: RunningServer, census: Census) -> None:
    await until(lambda: server.metrics.registry.get_sample_value("kinema_streams") == 0)
    await until(lambda: not census.names())


async def test_while_it_waits_for_its_client(
    server: RunningServer, stub: pb_grpc.ColorizerStub, census: Census
) -> None:
    goes_on = threading.Event()

    def requests() -> Iterator[pb.ColorizeFramesRequest]:
        yield from [config(), frame(0), frame(1)]
        goes_on.wait(30)
        yield frame(2)

    talking = asyncio.create_task(converse(stub, requests()))
    answered = {"outcome": "colorized"}
    await until(lambda: server.metrics.registry.get_sample_value("kinema_frames_total", answered) == 2)
    await until(lambda: census.names() == {kind.__name__ for kind in KINDS if kind not in FRAMES})

    goes_on.set()
    assert len((await talking).frames) == 3


async def test_after_its_end(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine, census: Census
) -> None:
    engine.gate.clear()
    talking = asyncio.create_task(converse(stub, [config(), *(frame(seq) for seq in range(9))]))
    await until(lambda: engine.seen)
    assert census.names() == {kind.__name__ for kind in KINDS} - {"Answer"}
    engine.gate.set()

    assert len((await talking).frames) == 9

    await is_freed(server, census)


async def test_after_an_error_of_the_engine(
    server: RunningServer,
    stub: pb_grpc.ColorizerStub,
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    census: Census,
) -> None:
    monkeypatch.setattr(logging.getLogger("kinema_server.servicer"), "disabled", True)  # pytest keeps what it logs
    engine.error = ValueError("on purpose")

    assert (await converse(stub, [config(), *(frame(seq) for seq in range(9))])).refusal is not None

    engine.error = None  # its traceback leads to the stream

    await is_freed(server, census)


async def test_after_a_frame_that_is_wrong(server: RunningServer, stub: pb_grpc.ColorizerStub, census: Census) -> None:
    assert (await converse(stub, [config(), frame(0), frame(1, b"short")])).refusal is not None

    await is_freed(server, census)


async def test_after_it_was_cancelled(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine, census: Census
) -> None:
    engine.num_free = 4
    engine.gate.clear()
    call = stub.ColorizeFrames(iter([config(), *(frame(seq) for seq in range(9))]))
    await until(lambda: len(engine.seen) > engine.num_free)

    call.cancel()
    engine.gate.set()

    await is_freed(server, census)


CLIENT = f"""
import sys, time, grpc
from kinema.v1 import colorizer_pb2 as pb, colorizer_pb2_grpc as pb_grpc

def requests():
    size = pb.Size(width={WIDTH}, height={HEIGHT})
    yield pb.ColorizeFramesRequest(config=pb.StreamConfig(size=size, pixel_format=pb.PIXEL_FORMAT_GRAY8))
    for seq in range(10**6):
        yield pb.ColorizeFramesRequest(frame=pb.Frame(seq=seq, planes=[bytes({WIDTH * HEIGHT})]))

with grpc.insecure_channel(sys.argv[1]) as channel:
    for response in pb_grpc.ColorizerStub(channel).ColorizeFrames(requests()):
        print("answered", flush=True)
"""


async def test_after_its_client_was_killed(server: RunningServer, census: Census) -> None:
    def run_and_kill() -> None:
        with subprocess.Popen(
            [sys.executable, "-c", CLIENT, server.address],
            env={"PYTHONPATH": ":".join(sys.path)},
            stdout=subprocess.PIPE,
        ) as client:
            assert client.stdout is not None
            lines: Iterator[bytes] = iter(client.stdout.readline, b"")
            assert [next(lines) for _ in range(5)] == [b"answered\n"] * 5
            client.kill()

    await asyncio.to_thread(run_and_kill)

    await is_freed(server, census)


async def test_after_a_config_that_is_refused(
    server: RunningServer, stub: pb_grpc.ColorizerStub, census: Census
) -> None:
    assert (await converse(stub, [config(size=pb.Size())])).refusal is not None

    await is_freed(server, census)
