"""TensorRT takes and gives tensors where they lie; FakeTensorRt and FakeCuda, with torch on the CPU in its place."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema_core.bundle import Bundle
from kinema_core.device.way import DeviceWay
from kinema_core.engines.cuda_driver import Gpu
from kinema_core.engines.plan_cache import PlanCache
from kinema_core.engines.tensorrt import Machine, open_on
from kinema_core.engines.tensors import TensorEngine, Tensors, find_tensors
from kinema_core.errors import EngineError
from kinema_core.frame_way import HOST, way_for
from kinema_core.frames import ColorTags
from kinema_core.pipeline import Colorizer, colorize_frames
from tests.core.fake_tensorrt import FakeCuda, FakeStream, fake_tensorrt
from tests.core.tiny_models import chain_onnx, tiny_bundle
from tests.tensors import moving_film


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny", chain_onnx(), working_size=64)


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


@pytest.fixture
def queue() -> FakeStream:
    """Return the stream of PyTorch's work; like every fake stream it runs only when it is waited for."""
    return FakeStream(0)


@pytest.fixture
def machine(cuda: FakeCuda, queue: FakeStream, tmp_path: Path) -> Machine:
    gpu = Gpu("Fake GPU", (9, 0), 80 << 30, (13, 0))
    return Machine(fake_tensorrt(cuda), cuda, gpu, PlanCache(tmp_path / "cache"), Tensors("cpu", lambda: queue))


@pytest.fixture
def engine(machine: Machine, bundle: Bundle) -> Iterator[TensorEngine]:
    opened = open_on(machine, bundle, "f32")
    yield opened
    opened.close()


def random_lightness(seed: int, batch: int, height: int = 64, width: int = 96) -> torch.Tensor:
    return torch.rand(batch, 1, height, width, generator=torch.Generator().manual_seed(seed)) * 100


def test_tensors_get_the_bits_of_arrays_whatever_came_before_and_at_the_end_nothing_is_left(
    machine: Machine, engine: TensorEngine, cuda: FakeCuda
) -> None:
    assert engine.takes_tensors
    for seed, (batch, height) in enumerate([(1, 64), (11, 64), (11, 64), (11, 64), (2, 128), (20, 160), (1, 64)]):
        lightness = random_lightness(seed, batch, height)

        ab = engine.infer_on_device(lightness)

        np.testing.assert_array_equal(ab.numpy(), engine.infer(lightness.numpy()))
    assert cuda.num_launches > 0
    engine.close()
    assert machine.cuda is cuda
    assert cuda.is_empty
    with pytest.raises(EngineError, match="closed"):
        engine.infer_on_device(random_lightness(0, 1))


def test_what_is_queued_on_a_tensor_comes_before_the_model(engine: TensorEngine, queue: FakeStream) -> None:
    real, late = random_lightness(1, 3), torch.full((3, 1, 64, 96), torch.nan)
    queue.work.append(lambda: late.copy_(real))  # type: ignore[arg-type]  # what it returns is nobody's

    ab = engine.infer_on_device(late)

    np.testing.assert_array_equal(ab.numpy(), engine.infer(real.numpy()))


def test_a_tensor_with_gaps_is_read_as_it_is_meant(engine: TensorEngine) -> None:
    wide = random_lightness(2, 2, width=192)

    ab = engine.infer_on_device(wide[..., ::2])

    np.testing.assert_array_equal(ab.numpy(), engine.infer(wide[..., ::2].numpy()))


def test_a_film_goes_the_devices_way(engine: TensorEngine, bundle: Bundle) -> None:
    film = list(moving_film(6, 96, 160))
    way = way_for(engine)

    assert isinstance(way, DeviceWay)
    results = [
        list(
            colorize_frames(film, Colorizer(bundle.manifest, height=96, width=160, tags=ColorTags(), way=each), engine)
        )
        for each in (way, HOST)
    ]

    for frame, expected in zip(*results, strict=True):
        difference = np.abs(frame.cb.astype(int) - expected.cb.astype(int))
        assert np.percentile(difference, 99.9) <= 1  # as in test_device_way.py


def test_after_a_run_that_failed_the_next_one_gets_its_own_result(
    machine: Machine, engine: TensorEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    lightness = random_lightness(3, 5)

    def fail(*_: object) -> None:
        raise EngineError("CUDA failed: on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(machine.cuda, "copy_on_device", fail)
        with pytest.raises(EngineError, match="on purpose"):
            engine.infer_on_device(lightness)

    np.testing.assert_array_equal(engine.infer_on_device(lightness).numpy(), engine.infer(lightness.numpy()))


def test_no_colour_at_all_is_an_error(machine: Machine, engine: TensorEngine) -> None:
    machine.runtime.module.distort = lambda ab, _precision: ab * np.float32(0)

    with pytest.raises(EngineError, match="no colour at all"):
        engine.infer_on_device(random_lightness(4, 2))


def copies_the_number_three(cuda: FakeCuda) -> Callable[..., None]:
    def copy(target: int, _source: int, num_bytes: int, stream: FakeStream) -> None:
        stream.work.append(lambda: cuda._at(target, num_bytes).view(np.float32).fill(3))

    return copy


def fails(_: FakeCuda) -> Callable[..., None]:
    def copy(*_: object) -> None:
        raise EngineError("CUDA failed: invalid argument")

    return copy


@pytest.mark.parametrize("spoil", [copies_the_number_three, fails])
def test_where_tensors_get_other_colours_none_are_taken_and_the_engine_serves_on(
    spoil: Callable[[FakeCuda], Callable[..., None]],
    machine: Machine,
    bundle: Bundle,
    cuda: FakeCuda,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(cuda, "copy_on_device", spoil(cuda))

    engine = open_on(machine, bundle, "f32")

    assert not engine.takes_tensors
    assert way_for(engine) is HOST
    assert np.isfinite(engine.infer(random_lightness(5, 2).numpy())).all()
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == ["tensors_not_taken"]


def test_without_pytorch_or_its_cuda_there_are_no_tensors(
    machine: Machine, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch.cuda.is_available():
        assert find_tensors() is None
    monkeypatch.setitem(sys.modules, "torch", None)

    assert find_tensors() is None

    alone = Machine(machine.runtime, machine.cuda, machine.gpu, machine.cache)
    assert way_for(open_on(alone, bundle, "f32")) is HOST
