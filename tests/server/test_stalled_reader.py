"""Who does not read the answers stops nobody but himself."""

import asyncio
import itertools
import time

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_server.app import RunningServer
from tests.fakes import FakeEngine
from tests.server.conftest import NUM_CREDITS
from tests.server.waiting import until
from tests.server.wire import config, converse, frame

SIDE = 440
NUM_FRAMES = 30


def colorized(server: RunningServer) -> float:
    return server.metrics.registry.get_sample_value("kinema_frames_total", {"outcome": "colorized"}) or 0.0


async def test_it_is_read_no_further_and_the_others_are_served(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    large = config(size=pb.Size(width=SIDE, height=SIDE), output_form=pb.OUTPUT_FORM_RGB24)
    picture = bytes(SIDE * SIDE)
    endless = itertools.chain([large], (frame(seq, picture) for seq in itertools.count()))
    stalled = stub.ColorizeFrames(endless)
    await asyncio.to_thread(next, stalled)  # what was accepted, and nothing more
    await until(lambda: colorized(server) > 0)
    seen = -1.0
    while colorized(server) != seen:  # until what lies between both is full
        seen = colorized(server)
        await asyncio.sleep(1)

    started = time.monotonic()
    others = await asyncio.gather(
        *(converse(stub, [config(), *(frame(seq) for seq in range(NUM_FRAMES))]) for _ in range(3))
    )
    seconds = time.monotonic() - started
    num_sent = colorized(server) - 3 * NUM_FRAMES

    assert [len(other.frames) for other in others] == [NUM_FRAMES] * 3
    assert seconds < 20
    assert num_sent <= seen + 10  # gRPC may find a little more room between both
    assert len(engine.seen) - 3 * NUM_FRAMES - num_sent <= NUM_CREDITS
    assert server.metrics.registry.get_sample_value("kinema_credits_used") == NUM_CREDITS
    stalled.cancel()
    await until(lambda: server.metrics.registry.get_sample_value("kinema_streams") == 0)
