"""The server's start, its neighbours (health, reflection, metrics) and its stop."""

import asyncio
import os
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray
from prometheus_client import generate_latest

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.engines import onnxruntime_cuda, tensorrt
from kinema_core.engines.cuda_driver import Gpu
from kinema_core.errors import BundleError, NoGpuError
from kinema_core.media.photos import decode_photo
from kinema_core.pipeline import Options, colorize_photo
from kinema_server.app import RunningServer, running_server, serve_until_signal
from kinema_server.errors import StartError
from kinema_server.settings import Settings
from tests.core.tiny_models import tiny_bundle
from tests.fakes import FAKE_BUNDLE, FAKE_MANIFEST, FakeEngine
from tests.server.waiting import until
from tests.server.wire import Conversation, config, converse, frame

PHOTO = np.random.default_rng(0).integers(0, 256, (21, 33, 3)).astype(np.uint8)


def encoded(rgb: NDArray[np.uint8], ending: str = ".png") -> bytes:
    return cv2.imencode(ending, rgb[:, :, ::-1])[1].tobytes()


async def test_the_models_are_listed_with_their_scores(stub: pb_grpc.ColorizerStub) -> None:
    answer = await asyncio.to_thread(stub.ListModels, pb.ListModelsRequest())

    assert list(answer.models) == [
        pb.Model(
            name="fake",
            version="1.2.3",
            digest="f" * 64,
            licence="CC0-1.0",
            num_parameters=7,
            working_size=32,
            scores={"psnr_rgb": 20.5},
        )
    ]


async def test_a_photograph_comes_back_as_the_pipeline_makes_it(stub: pb_grpc.ColorizerStub) -> None:
    request = pb.ColorizeImageRequest(image=encoded(PHOTO), saturation=0.5, working_size=64, model="fake")

    answer = await asyncio.to_thread(stub.ColorizeImage, request)

    options = Options(saturation=0.5, working_size=64)
    np.testing.assert_array_equal(
        decode_photo(answer.image), colorize_photo(PHOTO, FakeEngine(), FAKE_MANIFEST, options)
    )
    assert answer.image.startswith(b"\x89PNG")
    assert answer.model_digest == "f" * 64
    assert answer.timings.prepare_micros > 0


@pytest.mark.parametrize("ending", [".jpg", ".webp", ".tiff", ".bmp"])
async def test_a_photograph_may_be_of_any_usual_kind(stub: pb_grpc.ColorizerStub, ending: str) -> None:
    request = pb.ColorizeImageRequest(image=encoded(PHOTO, ending), output_format=pb.IMAGE_FORMAT_JPEG)

    answer = await asyncio.to_thread(stub.ColorizeImage, request)

    assert answer.image.startswith(b"\xff\xd8")
    assert decode_photo(answer.image).shape == PHOTO.shape


async def test_health_says_serving_for_the_server_and_the_service(channel: grpc.Channel) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)

    for service in ("", "kinema.v1.Colorizer"):
        answer = await asyncio.to_thread(health.Check, health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_metrics_count_frames_streams_calls_and_seconds() -> None:
    settings = Settings(port=0, metrics_port=0, grace_seconds=0)
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=FakeEngine()) as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = pb_grpc.ColorizerStub(channel)
            await converse(stub, [config(), frame(0), frame(1)])
            await converse(stub, [config(smoothing=7)])

        def scrape() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics") as page:
                return str(page.read(), "utf-8")

        lines = (await asyncio.to_thread(scrape)).splitlines()

    assert 'kinema_frames_total{outcome="colorized"} 2.0' in lines
    assert 'kinema_frames_total{outcome="dropped"} 0.0' in lines
    assert 'kinema_calls_total{code="OK",method="ColorizeFrames"} 1.0' in lines
    assert 'kinema_calls_total{code="INVALID_ARGUMENT",method="ColorizeFrames"} 1.0' in lines
    assert "kinema_streams 0.0" in lines
    assert 'kinema_stage_seconds_count{stage="engine"} 2.0' in lines
    assert any(line.startswith("kinema_engine_info{") and 'engine="fake"' in line for line in lines)


async def test_the_metrics_tell_which_engine_was_passed_over_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_none() -> Gpu:
        raise NoGpuError("no NVIDIA driver")

    for module in (tensorrt, onnxruntime_cuda):
        monkeypatch.setattr(module, "find_gpu", find_none)
    bundle = tiny_bundle(tmp_path / "tiny", working_size=32)

    async with running_server(Settings(port=0, grace_seconds=0), bundle=bundle) as server:
        told = generate_latest(server.metrics.registry).decode().splitlines()

    for engine in ("tensorrt", "tensorrt-rtx", "onnxruntime-cuda"):
        assert f'kinema_engine_passed_over{{engine="{engine}",reason="no NVIDIA driver"}} 1.0' in told
    assert any('device="cpu"' in line and 'engine="openvino"' in line for line in told)


async def test_a_client_that_leaves_frees_its_place_and_what_it_had_queued(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    engine.gate.clear()
    call = stub.ColorizeFrames(iter([config(), *(frame(seq) for seq in range(50))]))
    await asyncio.to_thread(next, call)
    await until(lambda: engine.seen)
    call.cancel()
    await until(lambda: server.metrics.registry.get_sample_value("kinema_streams") == 0)
    engine.gate.set()

    answer = await converse(stub, [config(), frame(7)])

    assert len(answer.frames) == 1
    assert len(engine.seen) == 2  # the one that ran as the client left, and the other client's


async def test_a_photograph_that_nobody_waits_for_gives_up_its_place(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    engine.gate.clear()
    request = pb.ColorizeImageRequest(image=encoded(PHOTO))
    abandoned = [stub.ColorizeImage.future(request) for _ in range(3)]
    await until(lambda: engine.seen and server.metrics.registry.get_sample_value("kinema_places_used") == 3)
    for call in abandoned:
        call.cancel()
    cancelled = {"method": "ColorizeImage", "code": "CANCELLED"}
    await until(lambda: server.metrics.registry.get_sample_value("kinema_calls_total", cancelled) == 3)
    engine.gate.set()

    await asyncio.to_thread(stub.ColorizeImage, request)

    assert len(engine.seen) == 2


async def test_a_port_that_is_taken_is_an_error_with_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        for settings in (Settings(port=port), Settings(port=0, metrics_port=port)):
            with pytest.raises(StartError, match=str(port)):
                async with running_server(settings, bundle=FAKE_BUNDLE, engine=FakeEngine()):
                    pass


async def test_a_port_is_not_shared_with_another_server(server: RunningServer) -> None:
    with pytest.raises(StartError):
        async with running_server(Settings(port=server.port), bundle=FAKE_BUNDLE, engine=FakeEngine()):
            pass


async def test_a_model_that_is_not_there_is_an_error_with_its_path(tmp_path: os.PathLike[str]) -> None:
    settings = Settings(port=0, model=tmp_path / "nowhere")  # type: ignore[operator]  # pytest's is a Path

    with pytest.raises(BundleError, match="nowhere"):
        async with running_server(settings):
            pass


async def test_an_engine_that_was_lent_is_not_closed() -> None:
    engine = FakeEngine()

    async with running_server(Settings(port=0, grace_seconds=0), bundle=FAKE_BUNDLE, engine=engine):
        pass

    assert not engine.is_closed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_server_after_what_it_took_was_answered(number: signal.Signals) -> None:
    engine = FakeEngine()
    engine.gate.clear()
    streaming: list[asyncio.Task[Conversation]] = []

    def on_ready(server: RunningServer) -> None:
        streaming.append(asyncio.create_task(stream_across_the_signal(server, engine, number)))

    settings = Settings(port=0, credits=4, grace_seconds=10)
    await serve_until_signal(running_server(settings, bundle=FAKE_BUNDLE, engine=engine), on_ready)

    conversation = await streaming[0]
    assert [answer.seq for answer in conversation.frames] == [0, 1, 2, 3]
    assert conversation.draining is not None


async def stream_across_the_signal(server: RunningServer, engine: FakeEngine, number: signal.Signals) -> Conversation:
    with grpc.insecure_channel(server.address) as channel:
        call = asyncio.create_task(
            converse(pb_grpc.ColorizerStub(channel), [config(), *(frame(seq) for seq in range(9))])
        )
        await until(lambda: server.metrics.registry.get_sample_value("kinema_credits_used") == 4)
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.1)
        engine.gate.set()
        return await call
