"""What the engines for a GPU do where something is missing; ONNX Runtime's is also run, with its CPU provider."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch as pytorch
from numpy.typing import NDArray

from kinema_core.bundle import Bundle
from kinema_core.device.way import DeviceWay
from kinema_core.engines import onnxruntime_cuda, tensorrt, torch
from kinema_core.engines.cuda_driver import Gpu
from kinema_core.engines.cuda_memory import CudaRuntime
from kinema_core.engines.engine import Precision
from kinema_core.engines.onnxruntime_cuda import open_onnxruntime_cuda
from kinema_core.engines.select import GPU_ENGINES, open_engine
from kinema_core.engines.tensorrt_runtime import TensorRtName, load_tensorrt
from kinema_core.engines.tensors import Tensors
from kinema_core.errors import EngineError, EngineUnavailableError, NoGpuError
from kinema_core.frame_way import way_for
from tests.core.tiny_models import WEIGHTS, chain_onnx, convolution_onnx, convolve, quantized_onnx, tiny_bundle

F32 = NDArray[np.float32]

FAKE_GPU = Gpu("Fake GPU", (8, 9), 24 << 30, (13, 0))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny", working_size=64)


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tensorrt, onnxruntime_cuda, torch):
        monkeypatch.setattr(module, "find_gpu", lambda: FAKE_GPU)


@pytest.fixture
def cpu_for_cuda(a_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001  # pytest's way to ask for it
    """Have ONNX Runtime's CPU provider in the place of its CUDA provider."""
    monkeypatch.setattr(onnxruntime_cuda, "_PROVIDER", "CPUExecutionProvider")
    monkeypatch.setattr(onnxruntime_cuda, "_PROVIDER_OPTIONS", {})


@pytest.mark.parametrize("name", list(GPU_ENGINES))
def test_without_a_driver_no_runtime_is_touched(name: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none() -> Gpu:
        raise NoGpuError("no driver")

    for module in (tensorrt, onnxruntime_cuda, torch):
        monkeypatch.setattr(module, "find_gpu", find_none)
    for package in ("tensorrt", "tensorrt_rtx", "onnxruntime"):
        monkeypatch.delitem(sys.modules, package, raising=False)

    with pytest.raises(NoGpuError, match="driver"):
        open_engine(bundle, name)

    assert not {"tensorrt", "tensorrt_rtx", "onnxruntime"} & set(sys.modules)


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize(
    ("name", "package"),
    [("tensorrt", "tensorrt"), ("tensorrt-rtx", "tensorrt_rtx"), ("onnxruntime-cuda", "onnxruntime")],
)
def test_without_its_package_an_engine_says_what_to_install(
    name: str, package: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(EngineUnavailableError, match=r"does not load here.*pip (un)?install"):
        open_engine(bundle, name)


@pytest.mark.parametrize(("name", "version"), [("tensorrt", "9.3.0"), ("tensorrt", "12.0"), ("tensorrt-rtx", "2.0")])
def test_a_version_that_is_not_known_to_work_is_not_used(
    name: TensorRtName, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = name.replace("-", "_")
    module = ModuleType(package)
    module.__version__ = version  # type: ignore[attr-defined]  # as TensorRT has it
    module.ILogger = object  # type: ignore[attr-defined]  # the same
    monkeypatch.setitem(sys.modules, package, module)

    with pytest.raises(EngineUnavailableError, match=f"must be of version .*, found {version}"):
        load_tensorrt(name)


@pytest.mark.usefixtures("a_gpu")
def test_a_version_that_names_things_otherwise_is_not_used(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("tensorrt_rtx")
    module.__version__ = "1.0"  # type: ignore[attr-defined]  # as TensorRT has it
    module.ILogger = type("ILogger", (), {})  # type: ignore[attr-defined]  # the same
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", module)

    with pytest.raises(EngineUnavailableError, match=r"does not know: .*ComputeCapability"):
        open_engine(bundle, "tensorrt-rtx")


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("cudaMalloc", lambda cuda: cuda.allocate(16)),
        ("cudaMemcpyAsync", lambda cuda: cuda.copy_on_device(4096, 8192, 16, 0)),
        ("cudaEventRecord", lambda cuda: cuda.record(0, 0)),  # PyTorch tells its streams by their numbers
    ],
)
def test_cuda_python_says_what_is_wrong_where_no_driver_is(function: str, call: Callable[[CudaRuntime], None]) -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is for Linux on x86-64")
    if runtime.cudaGetDeviceCount()[0] == runtime.cudaError_t.cudaSuccess:
        pytest.skip("there is a GPU, with which nothing is wrong")

    with pytest.raises(EngineError, match=rf"CUDA failed: {function} says .*\(\d+\)"):
        call(CudaRuntime())


def test_without_cuda_python_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda", None)
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)

    with pytest.raises(EngineUnavailableError, match="pip install cuda-bindings"):
        CudaRuntime()


@pytest.mark.usefixtures("a_gpu")
def test_an_onnxruntime_without_cuda_says_what_to_install(bundle: Bundle) -> None:
    with pytest.raises(EngineUnavailableError, match=r"built without CUDA.*onnxruntime-gpu"):
        open_onnxruntime_cuda(bundle)


@pytest.mark.usefixtures("cpu_for_cuda")
@pytest.mark.parametrize("precision", ["f32", "f16"])
def test_the_session_computes_the_model_in_the_precision_asked_for(precision: Precision, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "chain", chain_onnx(), working_size=64)
    lightness = np.random.default_rng(0).uniform(0, 100, (3, 1, 64, 96)).astype(np.float32)
    expected = open_engine(bundle, "onnxruntime").engine.infer(lightness)

    engine = open_onnxruntime_cuda(bundle, precision=precision)

    assert (engine.name, engine.precision, engine.device) == ("onnxruntime-cuda", precision, "cuda")
    difference = float(np.abs(engine.infer(lightness) - expected).max())
    assert difference < (1e-3 if precision == "f32" else 0.5)
    assert (difference > 1e-3) == (precision == "f16")
    engine.close()


@pytest.mark.usefixtures("cpu_for_cuda")
def test_where_company_changes_the_bits_each_picture_runs_alone(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(onnxruntime_cuda, "is_same_in_company", lambda *_: False)
    lightness = np.random.default_rng(0).uniform(0, 100, (3, 1, 64, 64)).astype(np.float32)
    engine = open_onnxruntime_cuda(bundle)
    seen: list[tuple[int, ...]] = []
    model = engine._model
    assert isinstance(model, onnxruntime_cuda._CudaModel)
    run = model._session.run

    def watched(names: list[str], feed: dict[str, F32]) -> list[F32]:
        seen.append(feed["lightness"].shape)
        results: list[F32] = run(names, feed)
        return results

    monkeypatch.setattr(model._session, "run", watched)

    ab = engine.infer(lightness)

    assert seen == [(1, 1, 64, 64)] * 3
    np.testing.assert_allclose(ab, convolve(lightness), rtol=0, atol=2e-5)
    assert "batches_run_one_by_one" in [record.getMessage() for record in caplog.records]


@pytest.mark.usefixtures("cpu_for_cuda")
@pytest.mark.parametrize("is_one_by_one", [False, True])
def test_onnxruntime_gives_tensors_the_bits_of_arrays_by_their_addresses(
    is_one_by_one: bool, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime_cuda, "find_tensors", lambda: Tensors("cpu", lambda: None))
    monkeypatch.setattr(onnxruntime_cuda, "is_same_in_company", lambda *_: not is_one_by_one)
    engine = open_onnxruntime_cuda(bundle)
    wide = pytorch.rand(3, 1, 64, 192, generator=pytorch.Generator().manual_seed(1)) * 100

    ab = engine.infer_on_device(wide[..., ::2])

    assert engine.takes_tensors
    np.testing.assert_array_equal(ab.numpy(), engine.infer(wide[..., ::2].numpy()))
    assert isinstance(way_for(engine), DeviceWay)
    with pytest.raises(EngineError, match="failed on a tensor"):
        engine.infer_on_device(pytorch.ones(1, 2, 32, 32))
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer_on_device(wide)


@pytest.mark.usefixtures("cpu_for_cuda")
def test_where_onnxruntime_takes_no_address_it_serves_on_by_arrays(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise EngineError("on purpose")

    monkeypatch.setattr(onnxruntime_cuda, "find_tensors", lambda: Tensors("cpu", lambda: None))
    monkeypatch.setattr(onnxruntime_cuda._CudaModel, "run_on_device", fail)

    engine = open_onnxruntime_cuda(bundle)

    assert not engine.takes_tensors
    assert np.isfinite(engine.infer(np.full((1, 1, 32, 32), 50, np.float32))).all()
    assert "tensors_not_taken" in [record.getMessage() for record in caplog.records]


@pytest.mark.usefixtures("cpu_for_cuda")
def test_a_session_that_colours_otherwise_does_not_open(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    other = convolution_onnx(WEIGHTS[::-1].copy())
    monkeypatch.setattr(onnxruntime_cuda, "onnx_in", lambda *_: ("model.onnx", other))

    with pytest.raises(EngineError, match="colours otherwise than the CPU"):
        open_onnxruntime_cuda(bundle)


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_onnxruntime_on_a_gpu_refuses_a_precision_rather_than_run_another(tmp_path: Path, precision: Precision) -> None:
    bundle = tiny_bundle(tmp_path / "both", int8_onnx=quantized_onnx())

    with pytest.raises(EngineUnavailableError, match=f"not in {precision}"):
        open_onnxruntime_cuda(bundle, precision=precision)
