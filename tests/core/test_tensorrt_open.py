"""What is opened on a GPU is built once, kept, and held against the CPU; on FakeTensorRt and FakeCuda."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.bundle import Bundle
from kinema_core.engines import tensorrt as tensorrt_engine
from kinema_core.engines.cuda_driver import Gpu
from kinema_core.engines.plan_cache import PlanCache
from kinema_core.engines.select import open_engine
from kinema_core.engines.tensorrt import Machine, open_on
from kinema_core.errors import BundleError, EngineError, InvalidInputError
from tests.core.fake_tensorrt import FakeContext, FakeCuda, FakeTensorRt, fake_tensorrt
from tests.core.tiny_models import WEIGHTS, chain_onnx, convolution_onnx, convolve, tiny_bundle

F32 = NDArray[np.float32]

FAKE_GPU = Gpu("Fake GPU", (9, 0), 80 << 30, (13, 0))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny", working_size=64)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    cuda = FakeCuda()
    return Machine(fake_tensorrt(cuda), cuda, FAKE_GPU, PlanCache(tmp_path / "cache"))


def fake_of(machine: Machine) -> FakeTensorRt:
    fake = machine.runtime.module
    assert isinstance(fake, FakeTensorRt)
    return fake


def with_version(machine: Machine, version: str) -> Machine:
    assert isinstance(machine.cuda, FakeCuda)
    return Machine(fake_tensorrt(machine.cuda, version=version), machine.cuda, machine.gpu, machine.cache)


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_engine_that_opens_colours_as_the_model_does(machine: Machine, bundle: Bundle) -> None:
    engine = open_on(machine, bundle, "f32")
    lightness = np.random.default_rng(0).uniform(0, 100, (5, 1, 64, 96)).astype(np.float32)

    ab = engine.infer(lightness)

    np.testing.assert_allclose(ab, convolve(lightness), rtol=0, atol=2e-5)
    assert (engine.name, engine.precision, engine.device) == ("tensorrt", "f32", "cuda")
    engine.close()
    engine.close()
    assert isinstance(machine.cuda, FakeCuda)
    assert machine.cuda.is_empty
    with pytest.raises(EngineError, match="closed"):
        engine.infer(lightness)


def test_a_plan_is_built_once_and_kept(machine: Machine, bundle: Bundle) -> None:
    for _ in range(3):
        open_on(machine, bundle, "f32").close()

    assert fake_of(machine).num_builds == 1


Change = Callable[[Machine, Bundle, Path], tuple[Machine, Bundle]]


def another_version(machine: Machine, bundle: Bundle, _folder: Path) -> tuple[Machine, Bundle]:
    return with_version(machine, "10.14"), bundle


def another_gpu(machine: Machine, bundle: Bundle, _folder: Path) -> tuple[Machine, Bundle]:
    gpu = Gpu("Another", (8, 9), 8 << 30, (13, 0))
    return Machine(machine.runtime, machine.cuda, gpu, machine.cache), bundle


def another_model(machine: Machine, _bundle: Bundle, folder: Path) -> tuple[Machine, Bundle]:
    return machine, tiny_bundle(folder / "other", convolution_onnx(WEIGHTS * np.float32(0.5)), working_size=64)


def another_profile(machine: Machine, _bundle: Bundle, folder: Path) -> tuple[Machine, Bundle]:
    return machine, tiny_bundle(folder / "other", working_size=96)


@pytest.mark.parametrize("change", [another_version, another_gpu, another_model, another_profile])
def test_another_version_gpu_model_or_profile_gets_a_plan_of_its_own(
    machine: Machine,
    bundle: Bundle,
    tmp_path: Path,
    change: Change,
) -> None:
    open_on(machine, bundle, "f32").close()
    other_machine, other_bundle = change(machine, bundle, tmp_path)
    before = fake_of(other_machine).num_builds

    open_on(other_machine, other_bundle, "f32").close()

    assert fake_of(other_machine).num_builds == before + 1
    open_on(machine, bundle, "f32").close()
    assert len(list((tmp_path / "cache").glob("*.plan"))) == 2


def test_a_kept_plan_that_does_not_load_is_built_anew(
    machine: Machine, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    open_on(machine, bundle, "f32").close()
    load = PlanCache.load
    broken = b'{"version": "9.9", "profiles": []}\n'
    monkeypatch.setattr(PlanCache, "load", lambda self, key: broken if key.kind == "plan" else load(self, key))

    open_on(machine, bundle, "f32").close()

    assert fake_of(machine).num_builds == 2
    assert events(caplog) == ["plan_not_loaded"]


def test_a_runtime_that_does_not_load_its_own_plan_is_an_error(
    machine: Machine, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        fake_of(machine), "Runtime", lambda _: type("_", (), {"deserialize_cuda_engine": lambda *_: None})()
    )

    with pytest.raises(EngineError, match="does not load its own plan"):
        open_on(machine, bundle, "f32")


def test_timings_go_from_one_build_to_the_next(machine: Machine, bundle: Bundle, tmp_path: Path) -> None:
    open_on(machine, bundle, "f32").close()

    open_on(machine, tiny_bundle(tmp_path / "other", working_size=96), "f32").close()

    (kept,) = (tmp_path / "cache").glob("*.timings")
    assert kept.read_bytes().endswith(b"timed;timed;")


@pytest.mark.parametrize(
    ("distort", "reason"),
    [
        (lambda ab: ab * np.float32(np.nan), "not finite"),
        (lambda ab: ab + np.float32(4), "colours otherwise than the CPU"),
    ],
    ids=["NaN", "other colours"],
)
def test_a_precision_that_colours_otherwise_gives_way_to_a_safer_one(
    machine: Machine,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    distort: Callable[[F32], F32],
    reason: str,
) -> None:
    bundle = tiny_bundle(tmp_path / "chain", chain_onnx(), working_size=64)
    fake_of(machine).distort = lambda ab, precision: distort(ab) if precision == "f16" else ab

    engine = open_on(machine, bundle, "f16")

    refused = [
        (vars(r)["precision"], vars(r)["reason"]) for r in caplog.records if r.getMessage() == "precision_refused"
    ]
    assert [precision for precision, _ in refused] == ["f16", "bf16"]
    assert "cannot read the model: Conv middle: no bf16 here" in refused[1][1]
    assert reason in refused[0][1]
    assert engine.precision == "f32"
    engine.close()
    assert isinstance(machine.cuda, FakeCuda)
    assert machine.cuda.is_empty


def test_f16_is_kept_where_it_colours_as_the_cpu_does(machine: Machine, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "chain", chain_onnx(), working_size=64)
    seen = set()

    def note(ab: F32, precision: str) -> F32:
        seen.add(precision)
        return ab

    fake_of(machine).distort = note

    engine = open_on(machine, bundle, "f16")

    assert (engine.precision, seen) == ("f16", {"f16"})


def test_where_every_precision_colours_otherwise_nothing_opens(machine: Machine, bundle: Bundle) -> None:
    fake_of(machine).distort = lambda ab, _: -ab

    with pytest.raises(EngineError, match=r"f32: tensorrt in f32 colours otherwise than the CPU: a mean ΔE00 of"):
        open_on(machine, bundle, "f32")

    assert isinstance(machine.cuda, FakeCuda)
    assert machine.cuda.is_empty


def test_where_company_changes_the_bits_each_picture_runs_alone(
    machine: Machine, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    fake_of(machine).distort = lambda ab, _: ab + np.float32(1e-4 * len(ab))
    lightness = np.random.default_rng(0).uniform(0, 100, (5, 1, 64, 64)).astype(np.float32)

    engine = open_on(machine, bundle, "f32")

    assert events(caplog) == ["batches_run_one_by_one"]
    alone = np.concatenate([engine.infer(picture[None]) for picture in lightness])
    np.testing.assert_array_equal(engine.infer(lightness), alone)


def test_without_memory_for_it_a_model_does_not_open(bundle: Bundle, tmp_path: Path) -> None:
    cuda = FakeCuda(max_bytes=1000)
    machine = Machine(fake_tensorrt(cuda), cuda, FAKE_GPU, PlanCache(tmp_path / "cache"))

    with pytest.raises(EngineError, match="no memory"):
        open_on(machine, bundle, "f32")

    assert cuda.is_empty


def test_a_model_that_is_no_kinema_model_is_refused_whatever_the_precision(machine: Machine, tmp_path: Path) -> None:
    stranger = tiny_bundle(tmp_path / "stranger", convolution_onnx(input_name="grey"))

    with pytest.raises(BundleError, match="must take lightness"):
        open_on(machine, stranger, "f16")


def test_the_inspectors_report_is_written_where_it_is_asked_for(
    machine: Machine, bundle: Bundle, tmp_path: Path
) -> None:
    open_on(machine, bundle, "f32", tmp_path / "plan.json").close()

    assert (tmp_path / "plan.json").read_text() == '{"Layers": ["Conv"]}'
    with pytest.raises(InvalidInputError, match="report"):
        open_on(machine, bundle, "f32", tmp_path / "missing" / "plan.json")


@pytest.mark.parametrize("call", ["set_device_memory", "execute_async_v3"])
def test_a_version_whose_api_differs_is_an_error_like_any_other(
    machine: Machine, bundle: Bundle, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differ(*_: object, **__: object) -> None:
        raise TypeError("incompatible function arguments")

    monkeypatch.setattr(FakeContext, call, differ)

    with pytest.raises(EngineError, match="f32: incompatible function arguments"):
        open_on(machine, bundle, "f32")

    assert isinstance(machine.cuda, FakeCuda)
    assert machine.cuda.is_empty


def test_auto_takes_a_gpu_that_works_before_the_cpu(
    machine: Machine, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_engine, "find_machine", lambda _name: machine)

    choice = open_engine(bundle)

    assert (choice.engine.name, choice.passed_over) == ("tensorrt", {})


def test_auto_takes_the_next_engine_where_a_gpu_colours_otherwise(
    machine: Machine, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tensorrt_engine, "find_machine", lambda _name: machine)
    fake_of(machine).distort = lambda ab, _: -ab

    choice = open_engine(bundle)

    assert choice.engine.device == "cpu"
    assert "colours otherwise than the CPU" in choice.passed_over["tensorrt"]
    assert "engine_skipped" in events(caplog)
