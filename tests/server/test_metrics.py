"""What the metrics say is what happened, and Prometheus's own tools find nothing to say against how they say it."""

import asyncio
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import grpc
import numpy as np
import pytest
from prometheus_client import generate_latest

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.quality.live import SAMPLE_EVERY
from kinema_server.app import RunningServer, running_server
from kinema_server.batching import BatchPlan
from kinema_server.metrics import memory_limit_bytes
from kinema_server.scheduler import Scheduler
from kinema_server.settings import Settings
from kinema_server.watches import StreamRow
from tests.fakes import FAKE_BUNDLE, FakeEngine
from tests.programs import needed
from tests.server.waiting import until
from tests.server.wire import HEIGHT, WIDTH, config, converse, frame

CREDITS = 3
GUIDE = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.fixture
async def server(engine: FakeEngine) -> AsyncIterator[RunningServer]:
    settings = Settings(port=0, metrics_port=0, credits=CREDITS, max_streams=2, max_videos=1, grace_seconds=0)
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=engine) as running:
        yield running
        engine.gate.set()


def value(server: RunningServer, name: str, **labels: str) -> float:
    found = server.metrics.registry.get_sample_value(name, labels)
    assert found is not None, f"there is no {name} {labels}"
    return found


def page(server: RunningServer, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}{path}") as answer:
        return str(answer.read(), "utf-8")


async def rows(server: RunningServer) -> list[StreamRow]:
    return json.loads(await asyncio.to_thread(page, server, "/streams"))  # type: ignore[no-any-return]  # the page's type


async def test_each_stage_is_measured_for_each_frame(server: RunningServer, stub: pb_grpc.ColorizerStub) -> None:
    await converse(stub, [config(), *(frame(seq) for seq in range(5))])

    for stage in ("queue", "batch_wait", "preprocess", "engine", "temporal", "compose", "send"):
        assert value(server, "kinema_stage_seconds_count", stage=stage) == 5
        assert value(server, "kinema_stage_seconds_sum", stage=stage) > 0
    assert value(server, "kinema_frame_seconds_count") == 5
    assert value(server, "kinema_batch_pictures_count") == value(server, "kinema_batch_pictures_sum") == 5
    stages = sum(value(server, "kinema_stage_seconds_sum", stage=stage) for stage in ("queue", "engine", "send"))
    assert value(server, "kinema_frame_seconds_sum") > stages


async def test_what_waits_and_what_is_in_flight_is_shown_while_it_is_so(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    engine.gate.clear()
    talking = asyncio.create_task(converse(stub, [config(), *(frame(seq) for seq in range(9))]))
    await until(lambda: value(server, "kinema_credits_used") == CREDITS)
    await until(lambda: value(server, "kinema_queue_depth") == CREDITS - 1)  # one is with the engine

    assert value(server, "kinema_streams") == 1
    assert value(server, "kinema_credits_granted") == value(server, "kinema_credits_used") == CREDITS
    assert (value(server, "kinema_places_used"), value(server, "kinema_places_max")) == (1, 2)
    assert (value(server, "kinema_video_places_used"), value(server, "kinema_video_places_max")) == (0, 1)

    engine.gate.set()
    await talking
    for name in ("streams", "credits_granted", "credits_used", "places_used", "queue_depth"):
        assert value(server, f"kinema_{name}") == 0


async def test_pictures_that_share_a_run_are_counted_as_one_batch(server: RunningServer, engine: FakeEngine) -> None:
    plan = BatchPlan(max_size=2, wait_seconds=5)
    async with Scheduler(engine, max_lanes=2, batching=plan, watch=server.metrics) as scheduler:
        with scheduler.lane(2) as one, scheduler.lane(2) as other:
            first = scheduler.submit(one, np.full((1, 1, 8, 8), 50, np.float32))
            await asyncio.sleep(0.1)
            second = scheduler.submit(other, np.full((1, 1, 8, 8), 60, np.float32))
            await asyncio.gather(asyncio.wrap_future(first), asyncio.wrap_future(second))

    assert value(server, "kinema_batch_pictures_count") == 1
    assert value(server, "kinema_batch_pictures_sum") == 2
    assert value(server, "kinema_stage_seconds_count", stage="engine") == 2
    assert 0.09 < value(server, "kinema_stage_seconds_sum", stage="batch_wait") < 4


async def test_an_engine_that_fails_is_counted_and_so_are_the_frames_that_it_cost(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    engine.error = ValueError("on purpose")

    await converse(stub, [config(), frame(0)])

    assert value(server, "kinema_engine_failures_total") == 1
    assert value(server, "kinema_batch_pictures_count") == 0
    assert value(server, "kinema_frames_total", outcome="failed") == 1
    assert value(server, "kinema_calls_total", method="ColorizeFrames", code="INTERNAL") == 1


async def test_a_write_to_a_client_that_has_gone_is_a_cancelled_call_and_no_failure(
    server: RunningServer,
    stub: pb_grpc.ColorizerStub,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise grpc.aio.InternalError("as gRPC does where nobody is left to write to")

    monkeypatch.setattr("kinema_server.servicer.convert.accepted_to_proto", fail)

    answer = await converse(stub, [config(), frame(0)])

    assert answer.refusal is not None
    assert answer.refusal.code() is grpc.StatusCode.CANCELLED
    assert value(server, "kinema_calls_total", method="ColorizeFrames", code="CANCELLED") == 1
    assert "call_failed" not in caplog.text


async def test_frames_of_a_client_that_leaves_are_dropped_not_failed(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    engine.gate.clear()
    call = stub.ColorizeFrames(iter([config(), *(frame(seq) for seq in range(9))]))
    await asyncio.to_thread(next, call)
    await until(lambda: value(server, "kinema_credits_used") == CREDITS)
    call.cancel()
    await until(lambda: value(server, "kinema_streams") == 0)

    assert value(server, "kinema_frames_total", outcome="dropped") == CREDITS
    assert value(server, "kinema_frames_total", outcome="failed") == 0
    engine.gate.set()
    await asyncio.sleep(0.05)  # time enough to go on with the rest
    assert len(engine.seen) == value(server, "kinema_frames_wasted_total") == 1


async def test_frames_that_were_computed_and_sent_are_not_wasted(
    server: RunningServer, stub: pb_grpc.ColorizerStub
) -> None:
    await converse(stub, [config(), *(frame(seq) for seq in range(5))])

    assert value(server, "kinema_frames_wasted_total") == 0


async def test_frames_that_are_too_late_are_counted_as_such(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    engine.gate.clear()
    talking = asyncio.create_task(
        converse(stub, [config(max_delay_micros=200_000), *(frame(seq) for seq in range(CREDITS))])
    )
    await until(lambda: value(server, "kinema_queue_depth") == CREDITS - 1)
    await asyncio.sleep(0.25)
    engine.gate.set()
    await talking

    assert value(server, "kinema_frames_total", outcome="colorized") == 1
    assert value(server, "kinema_frames_total", outcome="late") == CREDITS - 1
    assert value(server, "kinema_frames_wasted_total") == value(server, "kinema_credits_used") == 0
    assert value(server, "kinema_frame_seconds_count") == 1


async def test_cuts_are_counted_without_the_first_frame_of_a_stream(
    server: RunningServer, stub: pb_grpc.ColorizerStub
) -> None:
    requests = [config(), *(frame(seq) for seq in range(4))]
    requests[3].frame.shot_cut = True

    await converse(stub, requests)

    assert value(server, "kinema_scene_cuts_total") == 1


async def test_colour_and_flicker_are_read_from_every_eighth_frame(
    server: RunningServer, stub: pb_grpc.ColorizerStub
) -> None:
    still = np.tile(np.arange(WIDTH, dtype=np.uint8) * 5 + 30, HEIGHT).tobytes()

    await converse(stub, [config(), *(frame(seq, still) for seq in range(SAMPLE_EVERY + 1))])

    assert value(server, "kinema_colourfulness_count") == 2
    assert value(server, "kinema_colourfulness_sum") > 2
    assert value(server, "kinema_flicker_delta_ab_count") == 1
    assert value(server, "kinema_flicker_delta_ab_sum") == pytest.approx(0, abs=1e-3)


async def test_a_photograph_is_timed(server: RunningServer, stub: pb_grpc.ColorizerStub) -> None:
    image = cv2.imencode(".png", np.zeros((20, 30, 3), np.uint8))[1].tobytes()

    await asyncio.to_thread(stub.ColorizeImage, pb.ColorizeImageRequest(image=image))

    assert value(server, "kinema_photo_seconds_count") == 1
    assert value(server, "kinema_stage_seconds_count", stage="engine") == 1
    assert value(server, "kinema_frame_seconds_count") == 0


async def test_the_streams_that_run_are_listed_and_those_that_ended_are_not(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    engine.num_free = 2
    engine.gate.clear()
    talking = asyncio.create_task(converse(stub, [config(), *(frame(seq) for seq in range(9))]))
    await until(lambda: value(server, "kinema_frames_total", outcome="colorized") == 2)
    await until(lambda: value(server, "kinema_credits_used") == CREDITS)

    (row,) = await rows(server)
    engine.gate.set()
    await talking

    assert (row["number"], row["kind"], row["width"], row["height"]) == (1, "stream", WIDTH, HEIGHT)
    assert (row["credits"], row["in_flight"], row["num_received"], row["num_answered"]) == (CREDITS, CREDITS, 5, 2)
    assert row["seconds"] > 0
    assert await rows(server) == []


async def test_other_pages_are_not_there(server: RunningServer) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        await asyncio.to_thread(page, server, "/")
    refused.value.close()


async def test_a_place_that_is_refused_is_counted(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    engine.gate.clear()
    requests = [config(), *(frame(seq) for seq in range(9))]
    talking = [asyncio.create_task(converse(stub, requests)) for _ in range(2)]
    await until(lambda: value(server, "kinema_places_used") == 2)

    await converse(stub, requests)
    engine.gate.set()
    await asyncio.gather(*talking)

    assert value(server, "kinema_calls_total", method="ColorizeFrames", code="RESOURCE_EXHAUSTED") == 1


@pytest.mark.parametrize(("text", "limit"), [("1073741824\n", 1 << 30), ("max\n", None), (None, None)])
def test_a_container_s_memory_limit_is_read_where_there_is_one(
    tmp_path: Path, text: str | None, limit: int | None
) -> None:
    path = tmp_path / "memory.max"
    if text is not None:
        path.write_text(text)

    assert memory_limit_bytes(path) == limit


async def test_the_guide_for_operators_names_every_metric_and_no_other(server: RunningServer) -> None:
    families = [family for family in server.metrics.registry.collect() if family.name.startswith("kinema_")]
    suffixes = {"counter": "_total", "info": "_info"}
    names = {family.name + suffixes.get(family.type, "") for family in families}
    names |= {"kinema_memory_limit_bytes", "kinema_certificate_expiration_timestamp_seconds"}  # not everywhere

    told = set(re.findall(r"^\| `(kinema_\w+)", GUIDE.read_text(), re.MULTILINE))

    assert told == names


async def test_promtool_finds_nothing_to_complain_of(server: RunningServer, stub: pb_grpc.ColorizerStub) -> None:
    promtool = needed("promtool", "what it says of the metrics", "deploy/promtool.sh on Debian")
    await converse(stub, [config(), *(frame(seq) for seq in range(9))])
    text = generate_latest(server.metrics.registry)

    checked = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
