"""Every engine keeps the contract of engines/engine.py; the first that runs is taken."""

import ctypes
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinema_core.bundle import Bundle
from kinema_core.engines import onnxruntime_cuda, tensorrt, torch
from kinema_core.engines.cuda_driver import Gpu
from kinema_core.engines.engine import Engine, Precision, check_ab
from kinema_core.engines.openvino import open_openvino
from kinema_core.engines.select import CPU_ENGINES, GPU_ENGINES, open_engine
from kinema_core.errors import BundleError, EngineError, EngineUnavailableError, InvalidInputError, NoGpuError
from tests.core.tiny_models import (
    RUNTIMES,
    WEIGHTS,
    convolution_onnx,
    convolve,
    quantized_convolve,
    quantized_onnx,
    tiny_bundle,
)

F32 = NDArray[np.float32]

# Nine products of L* up to 100 and weights of 0.1, summed in float32: each rounds by at most 1e-6, so 2e-5 is ample.
TOLERANCE = 2e-5

sides = st.integers(1, 4).map(lambda n: 32 * n)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module", params=list(CPU_ENGINES))
def engine(request: pytest.FixtureRequest, bundle: Bundle) -> Iterator[Engine]:
    opened = open_engine(bundle, request.param).engine
    yield opened
    opened.close()


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no GPU, whatever this machine has."""

    def find_none() -> Gpu:
        raise NoGpuError("no driver")

    for module in (tensorrt, onnxruntime_cuda, torch):
        monkeypatch.setattr(module, "find_gpu", find_none)


@pytest.fixture
def fine_weights() -> F32:
    """Return weights of sum 0: what they give depends on differences of neighbours alone."""
    weights: F32 = 100 * WEIGHTS
    weights -= weights.mean(axis=(2, 3), keepdims=True)
    return weights


def random_lightness(seed: int, batch: int = 1, height: int = 64, width: int = 96) -> F32:
    return np.random.default_rng(seed).uniform(0, 100, (batch, 1, height, width)).astype(np.float32)


def fine_lightness() -> F32:
    """Return L* of 50 with a hundredth of noise: in bf16, which has 8 bits, all of it is 50."""
    return (50 + np.random.default_rng(0).uniform(0, 0.01, (1, 1, 64, 64))).astype(np.float32)


def detail(ab: NDArray[np.floating]) -> float:
    """Return the lesser standard deviation of a and b, away from the border, which is padded with black."""
    return float(ab[..., 1:-1, 1:-1].std(axis=(0, 2, 3)).min())


@given(seed=st.integers(0, 2**32 - 1), batch=st.integers(1, 4), height=sides, width=sides)
@settings(max_examples=25)
def test_an_engine_computes_the_model_at_every_size(
    engine: Engine, seed: int, batch: int, height: int, width: int
) -> None:
    lightness = random_lightness(seed, batch, height, width)

    ab = engine.infer(lightness)

    assert ab.dtype == np.float32
    assert ab.flags.c_contiguous
    np.testing.assert_allclose(ab, convolve(lightness), rtol=0, atol=TOLERANCE)


@given(seed=st.integers(0, 2**32 - 1), batch=st.integers(2, 5), height=sides, width=sides)
@settings(max_examples=25)
def test_a_picture_gets_the_same_bits_alone_and_in_company(
    engine: Engine, seed: int, batch: int, height: int, width: int
) -> None:
    lightness = random_lightness(seed, batch, height, width)

    together = engine.infer(lightness)

    np.testing.assert_array_equal(together, np.concatenate([engine.infer(picture[None]) for picture in lightness]))


@pytest.mark.parametrize("name", list(CPU_ENGINES))
def test_the_bits_do_not_depend_on_the_number_of_threads(name: str, bundle: Bundle) -> None:
    lightness = random_lightness(1, 2)

    results = [open_engine(bundle, name, num_threads=n).engine.infer(lightness) for n in (1, 2, 3)]

    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("name", list(CPU_ENGINES))
def test_f32_keeps_what_bf16_would_lose(name: str, tmp_path: Path, fine_weights: F32) -> None:
    opened = open_engine(tiny_bundle(tmp_path / "fine", convolution_onnx(fine_weights)), name).engine

    ab = opened.infer(fine_lightness())

    expected = convolve(fine_lightness(), fine_weights)
    assert opened.precision == "f32"
    assert detail(expected) > 0.05
    # Nine products of L* 50 and weights around 10, each rounded by 6e-8 of it: 1e-3 in all at the worst.
    np.testing.assert_allclose(ab, expected, rtol=0, atol=1e-3)


def test_bf16_is_near_and_really_bf16(bundle: Bundle, tmp_path: Path, fine_weights: F32) -> None:
    try:
        coarse = open_openvino(bundle, precision="bf16")
    except EngineUnavailableError as err:
        pytest.skip(str(err))
    fine = open_openvino(tiny_bundle(tmp_path / "fine", convolution_onnx(fine_weights)), precision="bf16")
    lightness = random_lightness(0)

    ab, lost = coarse.infer(lightness), fine.infer(fine_lightness())

    assert coarse.precision == "bf16"
    # An input, a weight, the bias and the sum are rounded to 8 bits of mantissa: by at most 2^-9 of their size each.
    largest = convolve(lightness, np.abs(WEIGHTS), 5.0)
    np.testing.assert_array_less(np.abs(ab - convolve(lightness)), largest * 4 * 2.0**-9)
    assert detail(lost) < 0.01 * detail(convolve(fine_lightness(), fine_weights))


@pytest.mark.parametrize("name", RUNTIMES)
def test_int8_runs_the_quantized_form_and_f32_the_other(name: str, tmp_path: Path) -> None:
    both = tiny_bundle(tmp_path / "both", int8_onnx=quantized_onnx())
    lightness = random_lightness(0, 2)

    f32, int8 = (open_engine(both, name, precision=precision).engine for precision in ("f32", "int8"))

    assert (f32.precision, int8.precision) == ("f32", "int8")
    np.testing.assert_allclose(f32.infer(lightness), convolve(lightness), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(int8.infer(lightness), quantized_convolve(lightness), rtol=0, atol=TOLERANCE)
    assert np.abs(int8.infer(lightness) - f32.infer(lightness)).max() > 100 * TOLERANCE


@pytest.mark.parametrize("name", RUNTIMES)
def test_the_bits_of_int8_depend_neither_on_threads_nor_on_company(name: str, tmp_path: Path) -> None:
    both = tiny_bundle(tmp_path / "both", int8_onnx=quantized_onnx())
    lightness = random_lightness(1, 3)

    alone, together = (open_engine(both, name, precision="int8", num_threads=n).engine for n in (1, 3))

    np.testing.assert_array_equal(
        together.infer(lightness), np.concatenate([alone.infer(picture[None]) for picture in lightness])
    )


@pytest.mark.parametrize("name", ["auto", *CPU_ENGINES])
def test_a_bundle_without_an_int8_form_says_what_it_has(name: str, bundle: Bundle) -> None:
    with pytest.raises(EngineUnavailableError, match="'tiny' has no int8 form, only f32") as caught:
        open_engine(bundle, name, precision="int8")

    assert "no engine runs" not in str(caught.value)


@pytest.mark.parametrize("name", RUNTIMES)
def test_an_int8_form_that_is_no_kinema_model_is_named(name: str, tmp_path: Path) -> None:
    both = tiny_bundle(tmp_path / "both", int8_onnx=convolution_onnx(input_name="grey"))

    with pytest.raises(BundleError, match=r"model\.int8\.onnx must take lightness"):
        open_engine(both, name, precision="int8")


def test_the_input_is_only_read_and_the_result_is_the_callers_own(engine: Engine) -> None:
    lightness = random_lightness(0)
    before = lightness.copy()
    lightness.flags.writeable = False

    first = engine.infer(lightness)
    kept = first.copy()
    second = engine.infer(random_lightness(1))
    second[:] = 0

    np.testing.assert_array_equal(lightness, before)
    np.testing.assert_array_equal(first, kept)


def test_an_input_that_is_not_contiguous_counts_as_its_values(engine: Engine) -> None:
    lightness = random_lightness(0, 1, 64, 192)[..., ::2]

    np.testing.assert_array_equal(engine.infer(lightness), engine.infer(lightness.copy()))


@pytest.mark.parametrize(
    "shape",
    [(1, 64, 96), (0, 1, 64, 96), (1, 2, 64, 96), (1, 1, 64, 90), (1, 1, 33, 96), (1, 1, 0, 96), (1, 1, 32, 8224)],
)
def test_a_shape_that_the_model_does_not_take_is_refused(engine: Engine, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match="got") as caught:
        engine.infer(np.zeros(shape, np.float32))

    assert caught.value.field == "lightness"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.5, 100.5])
def test_a_value_outside_lightness_is_refused(engine: Engine, value: float) -> None:
    lightness = random_lightness(0)
    lightness[0, 0, 17, 3] = value

    with pytest.raises(InvalidInputError, match=r"L\* 0 to 100"):
        engine.infer(lightness)


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.float16])
def test_another_type_than_float32_is_refused(engine: Engine, dtype: type) -> None:
    with pytest.raises(InvalidInputError, match=f"float32, got {np.dtype(dtype)}"):
        engine.infer(np.zeros((1, 1, 32, 32), dtype))


def test_threads_may_share_an_engine(engine: Engine) -> None:
    pictures = [random_lightness(seed, 1, 32 * (1 + seed % 3), 64) for seed in range(24)]
    expected = [engine.infer(picture) for picture in pictures]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(engine.infer, pictures))

    for result, alone in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, alone)


@pytest.mark.parametrize("name", list(CPU_ENGINES))
def test_a_closed_engine_says_so_and_may_be_closed_again(name: str, bundle: Bundle) -> None:
    closed = open_engine(bundle, name).engine

    closed.close()
    closed.close()

    with pytest.raises(EngineError, match="closed"):
        closed.infer(random_lightness(0))


@pytest.mark.parametrize("name", list(CPU_ENGINES))
@pytest.mark.parametrize(
    ("make_onnx", "error", "message"),
    [
        (lambda: convolution_onnx(input_name="grey"), BundleError, r"must take lightness.*grey"),
        (lambda: convolution_onnx(output_name="rgb"), BundleError, r"must take lightness.*rgb"),
        (lambda: convolution_onnx(stride=1), EngineError, r"\(2, 2, 32, 64\).*promises float32 \(2, 2, 16, 32\)"),
        (lambda: convolution_onnx(np.full_like(WEIGHTS, np.nan)), EngineError, "not finite"),
        (lambda: convolution_onnx(np.full_like(WEIGHTS, 3e38)), EngineError, "not finite"),
        (lambda: b"no model", EngineError, "tiny"),
        (lambda: convolution_onnx()[:-40], EngineError, "tiny"),
    ],
    ids=["another input", "another output", "another stride", "NaN", "overflow", "no ONNX", "cut off"],
)
def test_a_model_that_is_not_what_its_manifest_says_does_not_open(
    name: str, make_onnx: Callable[[], bytes], error: type[Exception], message: str, tmp_path: Path
) -> None:
    false = tiny_bundle(tmp_path / "false", make_onnx())

    with pytest.raises(error, match=message):
        open_engine(false, name)


def test_a_result_that_is_not_finite_is_an_error() -> None:
    ab = np.zeros((1, 2, 16, 16), np.float32)
    assert check_ab(ab) is ab

    ab[0, 1, 3, 4] = np.nan

    with pytest.raises(EngineError, match="not finite"):
        check_ab(ab)


@pytest.mark.parametrize("package", list(CPU_ENGINES))
def test_without_its_package_an_engine_is_unavailable_and_says_what_to_install(
    package: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # makes its import fail

    with pytest.raises(EngineUnavailableError, match=f"pip install {package}"):
        open_engine(bundle, package)


@pytest.mark.parametrize("package", list(CPU_ENGINES))
def test_with_a_broken_package_an_engine_is_unavailable_and_says_what_broke(
    package: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / f"{package}.py").write_text("raise OSError('libtbb.so.12: cannot open shared object file')\n")
    monkeypatch.delitem(sys.modules, package)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(EngineUnavailableError, match=r"libtbb\.so\.12.*pip install"):
        open_engine(bundle, package)


@pytest.mark.usefixtures("no_gpu")
def test_auto_takes_the_first_that_runs_and_says_so(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "kinema_core"):
        choice = open_engine(bundle)

    assert choice.engine.name == next(iter(CPU_ENGINES)) == "openvino"
    assert list(choice.passed_over) == list(GPU_ENGINES)
    assert choice.reason == f"openvino (cpu, f32): in place of {', '.join(GPU_ENGINES)}: no driver"
    *skipped, opened = caplog.records
    assert [(r.getMessage(), vars(r)["engine"], r.levelname) for r in skipped] == [
        ("engine_skipped", name, "INFO") for name in GPU_ENGINES
    ]
    assert (opened.getMessage(), vars(opened)["reason"]) == ("engine_opened", choice.reason)


@pytest.mark.usefixtures("no_gpu")
def test_auto_passes_over_what_does_not_run_and_says_why(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)

    choice = open_engine(bundle, "auto")

    assert choice.engine.name == "onnxruntime"
    assert "; openvino: OpenVINO does not load here" in choice.reason
    assert [(r.getMessage(), vars(r)["engine"]) for r in caplog.records] == [("engine_skipped", "openvino")]


@pytest.mark.usefixtures("no_gpu")
def test_where_no_engine_runs_the_error_tells_the_reason_of_each(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in CPU_ENGINES:
        monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(EngineUnavailableError, match=r"pip install openvino.*pip install onnxruntime"):
        open_engine(bundle)


def test_a_model_that_is_no_kinema_model_is_not_tried_on_every_engine(tmp_path: Path) -> None:
    stranger = tiny_bundle(tmp_path / "stranger", convolution_onnx(input_name="grey"))

    with pytest.raises(BundleError, match=r"model\.onnx"):
        open_engine(stranger)


@pytest.mark.parametrize(
    ("name", "precision", "num_threads", "field", "allowed"),
    [
        ("tensorflow", "f32", None, "engine", "auto, .*, openvino, onnxruntime"),
        ("auto", "f64", None, "precision", "f32, f16, bf16, int8"),
        ("auto", "f32", 0, "num_threads", "at least 1"),
    ],
)
def test_an_option_out_of_range_is_refused_with_what_is_allowed(
    bundle: Bundle, name: str, precision: str, num_threads: int | None, field: str, allowed: str
) -> None:
    with pytest.raises(InvalidInputError, match=allowed) as caught:
        open_engine(bundle, name, precision=precision, num_threads=num_threads)  # type: ignore[arg-type]  # on purpose

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("name", "precision"),
    [("onnxruntime", "bf16"), ("onnxruntime", "f16"), ("openvino", "f16"), ("torch", "f16")],
)
def test_a_cpu_refuses_a_precision_rather_than_run_another(bundle: Bundle, name: str, precision: Precision) -> None:
    with pytest.raises(EngineUnavailableError, match=f"not in {precision}"):
        open_engine(bundle, name, precision=precision)


@pytest.mark.parametrize("name", list(CPU_ENGINES))
def test_a_runtime_reports_nothing_to_its_maker(name: str, bundle: Bundle, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "import sys, time\n"
        "from kinema_core.bundle import load_bundle\n"
        "from kinema_core.engines.select import open_engine\n"
        f"engine = open_engine(load_bundle({str(bundle.path)!r}), {name!r}).engine\n"
        "time.sleep(0.5)  # reports are sent in the background\n"
        "engine.close()\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
    )
    # Not with this process's environment: under CI the runtimes are silent of themselves.
    environment = {"HOME": str(home), "PYTHONPATH": ":".join(sys.path)}

    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)

    assert list(home.rglob("*")) == []  # both leave an identifier there before they report


class SignalStack(ctypes.Structure):
    """`stack_t` of sigaltstack(2)."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def signal_stack() -> tuple[int | None, int]:
    stack = SignalStack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    return stack.address, stack.size


@pytest.mark.skipif(sys.platform != "linux", reason="sigaltstack(2) with Linux's layout")
@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_opening_an_engine_leaves_the_thread_its_signal_stack(tmp_path: Path, name: str) -> None:
    """A stack that an engine brought and later frees would crash the process at its next signal."""
    before = signal_stack()

    engine = open_engine(tiny_bundle(tmp_path / "bundle"), name).engine

    assert signal_stack() == before
    engine.close()
