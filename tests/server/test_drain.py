"""What a server does that is told to stop: it answers what it took, and hands its streams on."""

import asyncio
import queue
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.frames import ColorTags
from kinema_core.pipeline import Options
from kinema_server.app import RunningServer, running_server
from kinema_server.resume_tokens import ResumePoint, ResumeTokens, Secrets
from kinema_server.settings import Settings
from kinema_server.stream import OutputForm, PixelFormat, StreamSpec
from tests.fakes import FAKE_BUNDLE, FakeEngine, random_film
from tests.server.conftest import NUM_CREDITS
from tests.server.test_streams import colorized_here
from tests.server.waiting import until
from tests.server.wire import HEIGHT, WIDTH, Conversation, call_of, config, converse, error_info, frame, frames_of

NUM_FRAMES = 9
SPEC = StreamSpec(HEIGHT, WIDTH, PixelFormat.GRAY8, ColorTags(), Fraction(1, 1000), "", OutputForm.CHROMA, Options())


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    secret = tmp_path / "secret"
    secret.write_text("s" * 32)
    return replace(settings, resume_secret=secret, grace_seconds=10)


@pytest.fixture
async def heir(settings: Settings) -> AsyncIterator[RunningServer]:
    """Give another server of the deployment."""
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=FakeEngine()) as running:
        yield running


async def converse_with(server: RunningServer, requests: list[pb.ColorizeFramesRequest]) -> Conversation:
    with grpc.insecure_channel(server.address) as channel:
        return await converse(pb_grpc.ColorizerStub(channel), requests)


async def drained(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine, num_taken: int = NUM_CREDITS
) -> Conversation:
    """Send a film, and drain the server when it has taken as many frames as it takes unanswered."""
    engine.gate.clear()
    film = frames_of(random_film(NUM_FRAMES))
    call = asyncio.create_task(converse(stub, [config(), *film]))
    await until(lambda: server.metrics.registry.get_sample_value("kinema_credits_used") == num_taken)
    server.drain.begin()
    engine.gate.set()
    return await call


async def test_frames_that_were_taken_are_answered_and_the_others_are_not(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    answer = await drained(server, stub, engine)

    assert [colored.seq for colored in answer.frames] == list(range(NUM_CREDITS))
    assert answer.refusal is None
    assert answer.summary is None
    assert answer.draining is not None
    assert answer.draining.summary == pb.Summary(
        num_frames=NUM_CREDITS, num_cuts=sum(colored.shot_cut for colored in answer.frames)
    )
    assert server.metrics.registry.get_sample_value("kinema_streams_drained_total") == 1
    assert server.metrics.registry.get_sample_value("kinema_frames_total", {"outcome": "dropped"}) == 0


async def test_another_server_goes_on_with_the_bits_of_a_stream_without_a_break(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine, heir: RunningServer
) -> None:
    film = list(random_film(NUM_FRAMES))
    before = await drained(server, stub, engine)
    assert before.draining is not None
    token = before.draining.resume_token

    after = await converse_with(heir, [config(resume_token=token), *frames_of(film)[NUM_CREDITS:]])

    assert after.accepted.resumed
    assert not before.accepted.resumed
    assert [*before.planes, *after.planes] == [[f.cb.tobytes(), f.cr.tobytes()] for f in colorized_here(film)]
    assert heir.metrics.registry.get_sample_value("kinema_streams_resumed_total") == 1


async def test_a_frame_that_was_answered_is_not_taken_again(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine, heir: RunningServer
) -> None:
    before = await drained(server, stub, engine)
    assert before.draining is not None

    after = await converse_with(heir, [config(resume_token=before.draining.resume_token), frame(NUM_CREDITS - 1)])

    assert after.frames == []
    assert after.field_at_fault == "frame.seq"
    assert after.refusal is not None
    assert error_info(after.refusal).metadata["last_accepted_seq"] == str(NUM_CREDITS - 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": pb.Size(width=WIDTH, height=HEIGHT + 2)},
        {"smoothing": 0.75},
        {"output_form": pb.OUTPUT_FORM_RGB24},
        {"steering": pb.Steering(reference=pb.ColourStatistics(mean_a=1))},
        {"working_size": 64},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_token_is_refused_with_another_config(
    server: RunningServer,
    stub: pb_grpc.ColorizerStub,
    engine: FakeEngine,
    heir: RunningServer,
    changes: dict[str, object],
) -> None:
    before = await drained(server, stub, engine)
    assert before.draining is not None

    after = await converse_with(heir, [config(resume_token=before.draining.resume_token, **changes), frame(9)])

    assert after.field_at_fault == "config.resume_token"
    assert after.frames == []
    assert heir.metrics.registry.get_sample_value("kinema_resume_tokens_refused_total") == 1


async def test_a_token_of_nobody_and_one_whose_state_is_none_are_refused(
    heir: RunningServer, settings: Settings
) -> None:
    tokens = ResumeTokens(Secrets(settings.resume_secret), FAKE_BUNDLE.digest)
    sealed = tokens.seal(SPEC, ResumePoint(3, b"no state"))

    for token in (b"x", bytes(200), sealed):
        answer = await converse_with(heir, [config(resume_token=token), frame(9)])

        assert answer.field_at_fault == "config.resume_token"
        assert answer.frames == []


async def test_a_stream_that_is_drained_before_its_first_frame_goes_on_as_one_that_begins(
    server: RunningServer, stub: pb_grpc.ColorizerStub, heir: RunningServer
) -> None:
    film = list(random_film(4))
    requests: queue.Queue[pb.ColorizeFramesRequest | None] = queue.Queue()
    requests.put(config())
    call = stub.ColorizeFrames(iter(requests.get, None))
    assert (await asyncio.to_thread(next, call)).HasField("accepted")

    server.drain.begin()
    (response,) = await asyncio.to_thread(list, call)
    requests.put(None)
    after = await converse_with(heir, [config(resume_token=response.draining.resume_token), *frames_of(film)])

    assert response.draining.summary == pb.Summary()
    assert after.accepted.resumed
    assert after.planes == [[f.cb.tobytes(), f.cr.tobytes()] for f in colorized_here(film)]


async def test_a_stream_that_has_sent_all_ends_with_its_summary(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    engine.gate.clear()
    call = asyncio.create_task(converse(stub, [config(), frame(0), frame(1)]))  # fewer than may be unanswered
    await until(lambda: server.metrics.registry.get_sample_value("kinema_credits_used") == 2)
    await asyncio.sleep(0.1)  # for the end of what was sent to arrive
    server.drain.begin()
    engine.gate.set()

    answer = await call

    assert answer.summary == pb.Summary(num_frames=2, num_cuts=answer.summary.num_cuts if answer.summary else 0)
    assert answer.draining is None


async def test_whoever_comes_late_is_told_to_go_elsewhere(server: RunningServer, stub: pb_grpc.ColorizerStub) -> None:
    server.drain.begin()

    answer = await converse(stub, [config(), frame(0)])
    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(stub.ColorizeImage, pb.ColorizeImageRequest(image=b"photo"))

    assert answer.refusal is not None
    for call in (answer.refusal, call_of(caught.value)):
        assert call.code() is grpc.StatusCode.UNAVAILABLE
        assert error_info(call).reason == "DRAINING"


async def test_a_client_that_has_said_nothing_yet_is_told_to_go_elsewhere(
    server: RunningServer, stub: pb_grpc.ColorizerStub
) -> None:
    requests: queue.Queue[pb.ColorizeFramesRequest | None] = queue.Queue()
    call: Any = stub.ColorizeFrames(iter(requests.get, None))
    await asyncio.to_thread(call.initial_metadata)

    server.drain.begin()
    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(next, call)
    requests.put(None)

    assert error_info(call_of(caught.value)).reason == "DRAINING"


async def test_a_photograph_under_way_is_finished_and_health_says_not_serving(settings: Settings) -> None:
    engine = FakeEngine()
    image = cv2.imencode(".png", np.zeros((20, 30), np.uint8))[1].tobytes()
    with_health = replace(settings, health_port=0)
    async with running_server(with_health, bundle=FAKE_BUNDLE, engine=engine) as server:
        engine.gate.clear()
        channel = grpc.insecure_channel(server.address)
        photo = pb_grpc.ColorizerStub(channel).ColorizeImage.future(pb.ColorizeImageRequest(image=image))
        await until(lambda: engine.seen)
        probe = grpc.insecure_channel(f"127.0.0.1:{server.health_port}")
        health: Any = health_pb2_grpc.HealthStub(probe)
        told = asyncio.create_task(open_gate_when_not_serving(health, engine))
    assert await told
    assert (await asyncio.to_thread(photo.result)).image
    channel.close()
    probe.close()


async def open_gate_when_not_serving(health: Any, engine: FakeEngine) -> bool:
    request = health_pb2.HealthCheckRequest(service="kinema.v1.Colorizer")
    end = time.monotonic() + 10
    status = None
    while time.monotonic() < end and status != health_pb2.HealthCheckResponse.NOT_SERVING:
        await asyncio.sleep(0.02)
        status = (await asyncio.to_thread(health.Check, request)).status
    engine.gate.set()
    return bool(status == health_pb2.HealthCheckResponse.NOT_SERVING)


async def test_a_frame_that_is_never_done_keeps_a_server_no_longer_than_its_grace(settings: Settings) -> None:
    started = 0.0
    large = replace(settings, grace_seconds=0.5)
    with_engine = FakeEngine()
    async with running_server(large, bundle=FAKE_BUNDLE, engine=with_engine) as server:
        with_engine.gate.clear()
        channel = grpc.insecure_channel(server.address)
        requests: queue.Queue[pb.ColorizeFramesRequest | None] = queue.Queue()
        call = pb_grpc.ColorizerStub(channel).ColorizeFrames(iter(requests.get, None))
        requests.put(config())
        requests.put(frame(0))
        await until(lambda: with_engine.seen)
        asyncio.get_running_loop().call_later(1.0, with_engine.gate.set)  # the engine's thread cannot be left in a run
        started = time.monotonic()

    assert time.monotonic() - started < 5
    with pytest.raises(grpc.RpcError):
        await asyncio.to_thread(list, call)
    requests.put(None)
    channel.close()
