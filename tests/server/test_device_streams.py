"""A server whose engine keeps frames on a GPU leaves them there; torch on the CPU stands in for one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.bundle import Bundle
from kinema_core.engines.engine import Engine
from kinema_core.engines.select import EngineChoice
from kinema_core.engines.torch import open_torch
from kinema_core.frame_way import HOST, way_for
from kinema_core.frames import ColorFrame, ColorTags, LumaFrame
from kinema_core.pipeline import Colorizer, Options, colorize_frames, colorize_photo
from kinema_server import app
from kinema_server.app import RunningServer, running_server
from kinema_server.batching import BatchPlan
from kinema_server.photos import ImageFormat, encode_image
from kinema_server.scheduler import Scheduler
from kinema_server.settings import Settings
from tests.core.tiny_models import chain_onnx, tiny_bundle
from tests.fakes import FAKE_BUNDLE, FAKE_MANIFEST
from tests.server.wire import Conversation, config, converse, frames_of
from tests.tensors import TensorEngine, moving_film, smooth_field

SIZE = (96, 128)
NUM_FRAMES = 8
FORMATS = {8: pb.PIXEL_FORMAT_GRAY8, 10: pb.PIXEL_FORMAT_GRAY10LE}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """How a sum is cut into parts must not depend on who computes it; on a GPU it does not."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def engine() -> TensorEngine:
    return TensorEngine()


@asynccontextmanager
async def serving(engine: Engine, plan: BatchPlan, bundle: Bundle = FAKE_BUNDLE) -> AsyncIterator[RunningServer]:
    """Run a server that batches by `plan`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "open_engine", lambda *_args, **_options: EngineChoice(engine, "on purpose"))
        patch.setattr(app, "measured_plan", lambda _engine, _manifest: plan)
        async with running_server(Settings(port=0, credits=3, grace_seconds=0), bundle=bundle) as server:
            yield server


@contextmanager
def stub_of(server: RunningServer) -> Iterator[pb_grpc.ColorizerStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield pb_grpc.ColorizerStub(channel)


def requests_of(film: list[LumaFrame], **changes: object) -> list[pb.ColorizeFramesRequest]:
    height, width = film[0].luma.shape
    depth = film[0].tags.bit_depth
    return [config(size=pb.Size(width=width, height=height), pixel_format=FORMATS[depth], **changes), *frames_of(film)]


def colorized_here(
    film: list[LumaFrame], engine: Any, bundle: Bundle = FAKE_BUNDLE, options: Options | None = None
) -> list[ColorFrame]:
    """Colorize as `kinema colorize` does in its own process."""
    height, width = film[0].luma.shape
    colorizer = Colorizer(
        bundle.manifest, height=height, width=width, tags=film[0].tags, options=options, way=way_for(engine)
    )
    return list(colorize_frames(film, colorizer, engine))


def assert_same(answer: Conversation, expected: list[ColorFrame]) -> None:
    assert answer.refusal is None
    assert answer.planes == [[frame.cb.tobytes(), frame.cr.tobytes()] for frame in expected]


@pytest.mark.parametrize("depth", FORMATS)
async def test_the_chroma_is_that_of_the_device_in_ones_own_process_bit_for_bit(
    depth: int, engine: TensorEngine
) -> None:
    film = list(moving_film(NUM_FRAMES, *SIZE, ColorTags(bit_depth=depth)))

    async with serving(engine, BatchPlan()) as server:
        with stub_of(server) as stub:
            answer = await converse(stub, requests_of(film))

    assert_same(answer, colorized_here(film, TensorEngine()))
    assert sum(engine.num_on_device) == NUM_FRAMES, "a picture went by the host's memory"


async def test_steering_is_done_on_the_device_too(engine: TensorEngine) -> None:
    film = list(moving_film(NUM_FRAMES, *SIZE))

    async with serving(engine, BatchPlan()) as server:
        with stub_of(server) as stub:
            steering = pb.Steering(warmth=-0.5, desaturate_blacks=30)
            answer = await converse(stub, requests_of(film, smoothing=1.0, saturation=1.5, steering=steering))

    options = Options(smoothing=1.0, saturation=1.5, warmth=-0.5, desaturate_blacks=30)
    assert_same(answer, colorized_here(film, TensorEngine(), options=options))


async def test_streams_beside_each_other_share_runs_and_get_the_bits_that_they_get_alone(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny", chain_onnx(), working_size=64)
    films = [list(moving_film(NUM_FRAMES, *SIZE, seed=10 * number)) for number in range(3)]
    with closing(open_torch(bundle)) as engine:
        engine.takes_tensors = True  # as it does on a GPU
        alone = [colorized_here(film, engine, bundle) for film in films]
        sizes: list[int] = []
        infer = engine.infer_on_device

        def counted(lightness: torch.Tensor) -> torch.Tensor:
            sizes.append(len(lightness))
            return infer(lightness)

        engine.infer_on_device = counted  # type: ignore[method-assign]
        async with serving(engine, BatchPlan(max_size=4, wait_seconds=0.05), bundle) as server:
            with stub_of(server) as stub:
                together = await asyncio.gather(*(converse(stub, requests_of(film)) for film in films))

    assert max(sizes) > 1
    for answer, expected in zip(together, alone, strict=True):
        assert_same(answer, expected)
    assert together[0].planes != together[1].planes


async def test_a_picture_that_gets_no_colour_fails_its_own_stream_alone() -> None:
    class OftenGrey(TensorEngine):
        """Gives no colour where the first pixel is black."""

        def infer(self, lightness: Any) -> Any:
            return super().infer(lightness) * (lightness[:, :, :1, :1] > 1)

    films = [list(moving_film(4, *SIZE, seed=seed)) for seed in (1, 2)]
    for frame in films[0]:
        frame.luma[:12, :12] = 16
    async with serving(OftenGrey(), BatchPlan(max_size=2, wait_seconds=0.5)) as server:
        with stub_of(server) as stub:
            grey, coloured = await asyncio.gather(*(converse(stub, requests_of(film)) for film in films))

    assert grey.refusal is not None
    assert grey.frames == []
    assert_same(coloured, colorized_here(films[1], TensorEngine()))


async def test_small_frames_go_by_the_cpu_beside_those_that_do_not(engine: TensorEngine) -> None:
    small, large = list(moving_film(4, 24, 20)), list(moving_film(4, *SIZE))

    async with serving(engine, BatchPlan(max_size=4, wait_seconds=0.05)) as server:
        with stub_of(server) as stub:
            answers = await asyncio.gather(*(converse(stub, requests_of(film)) for film in (small, large)))

    for answer, film in zip(answers, (small, large), strict=True):
        assert_same(answer, colorized_here(film, TensorEngine()))
    assert sum(engine.num_on_device) == len(large)


async def test_what_lies_on_a_device_and_what_does_not_are_no_batch(engine: TensorEngine) -> None:
    async with Scheduler(engine, max_lanes=2, batching=BatchPlan(4, 0.1)) as scheduler:
        with scheduler.lane(2) as one, scheduler.lane(2) as other:
            picture = np.full((1, 1, 8, 8), 50, np.float32)
            answers = [
                scheduler.submit(one, picture),
                scheduler.submit(other, torch.from_numpy(picture), way=scheduler.way),
            ]
            host, device = [(await asyncio.wrap_future(answer)).ab for answer in answers]

    assert (type(host), type(device)) == (np.ndarray, torch.Tensor)
    np.testing.assert_array_equal(host, device.numpy())
    assert [len(seen) for seen in engine.seen] == [1, 1]


async def test_rgb_is_composed_of_what_comes_down(engine: TensorEngine) -> None:
    film = list(moving_film(4, *SIZE))
    async with serving(engine, BatchPlan()) as server:
        with stub_of(server) as stub:
            answer = await converse(stub, requests_of(film, output_form=pb.OUTPUT_FORM_RGB24))

    colorizer = Colorizer(FAKE_MANIFEST, height=SIZE[0], width=SIZE[1], tags=ColorTags(), way=way_for(engine))
    for frame, (rgb,) in zip(film, answer.planes, strict=True):
        prepared = colorizer.prepare(frame)
        finished = colorizer.finish(prepared, colorizer.infer(engine, prepared))
        assert rgb == colorizer.compose_rgb(prepared, finished).rgb.tobytes()


async def test_photographs_go_by_the_cpu(engine: TensorEngine) -> None:
    field = smooth_field(*SIZE, 3, 100) + 128
    rgb = np.repeat(np.clip(field, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    async with serving(engine, BatchPlan()) as server:
        num_at_start = len(engine.num_on_device)
        with stub_of(server) as stub, ThreadPoolExecutor(1) as pool:
            request = pb.ColorizeImageRequest(image=encode_image(rgb, ImageFormat.PNG))
            answer = await asyncio.wrap_future(pool.submit(stub.ColorizeImage, request))

    assert answer.image == encode_image(colorize_photo(rgb, TensorEngine(), FAKE_MANIFEST), ImageFormat.PNG)
    assert len(engine.num_on_device) == num_at_start


async def test_an_engine_without_tensors_is_served_by_the_cpu() -> None:
    class HostEngine(TensorEngine):
        takes_tensors = False

    async with Scheduler(HostEngine(), max_lanes=1) as scheduler:
        assert scheduler.way is HOST
