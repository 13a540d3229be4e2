"""TensorRT and TensorRT-RTX on an NVIDIA GPU.

The ONNX file is built into a plan for this GPU once and kept (`plan_cache.py`). What is opened is held against ONNX
Runtime on the CPU; where it colours otherwise, the next safer precision is taken, with a warning.
"""

import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kinema_core.bundle import Bundle
from kinema_core.engines.cuda_driver import Gpu, find_gpu
from kinema_core.engines.cuda_memory import Cuda, CudaRuntime
from kinema_core.engines.engine import Precision, check_engine, check_options
from kinema_core.engines.onnx_precision import onnx_in
from kinema_core.engines.plan_cache import CacheKey, PlanCache
from kinema_core.engines.self_test import check_against_cpu, is_same_in_company, max_delta_e
from kinema_core.engines.tensorrt_model import TensorRtModel
from kinema_core.engines.tensorrt_plan import BUILD_VERSION, Profile, build_plan, profiles_for
from kinema_core.engines.tensorrt_runtime import TensorRt, TensorRtName, compute_capabilities, load_tensorrt, target_of
from kinema_core.engines.tensors import TensorEngine, Tensors, find_tensors, try_tensors
from kinema_core.errors import EngineError, EngineUnavailableError, InvalidInputError

_log = logging.getLogger(__name__)

_SAFER: Final[dict[Precision, tuple[Precision, ...]]] = {
    "f32": (), "f16": ("bf16", "f32"), "bf16": ("f32",), "int8": ("f16", "f32"),
}  # fmt: skip
"""What is tried instead of a precision that colours otherwise than the CPU. bf16 has the range of f32, f16 has not."""

_ERRORS_OF_BINDINGS: Final = (RuntimeError, TypeError, ValueError, AttributeError)
"""What a version raises whose API differs, or that cannot make an object: no reason to go without colour."""
_FIRST_WITH_BF16: Final = (8, 0)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a plan is opened with; tests give fakes."""

    runtime: TensorRt
    cuda: Cuda
    gpu: Gpu
    cache: PlanCache
    tensors: Tensors | None = None
    """Where PyTorch has its tensors on the GPU; None without it."""


def open_tensorrt(bundle: Bundle, *, precision: Precision = "f32", num_threads: int | None = None) -> TensorEngine:
    """Open a model with TensorRT 10 or 11; see `open_on`."""
    return _open("tensorrt", bundle, precision, num_threads)


def open_tensorrt_rtx(bundle: Bundle, *, precision: Precision = "f32", num_threads: int | None = None) -> TensorEngine:
    """Open a model with TensorRT-RTX; see `open_on`."""
    return _open("tensorrt-rtx", bundle, precision, num_threads)


def find_machine(name: TensorRtName) -> Machine:
    """Ask the driver for its GPU, and load what a plan is run with after that.

    Raises:
        NoGpuError: there is no GPU or no driver.
        EngineUnavailableError: a package is missing, broken or of another version, or has no code for this GPU.
    """
    gpu = find_gpu()  # first: a runtime without a driver can end the process
    try:
        runtime = load_tensorrt(name)
        target_of(runtime, gpu)
    except _ERRORS_OF_BINDINGS as err:
        raise EngineUnavailableError(f"{name} is of a version that Kinema does not know: {err}") from err
    return Machine(runtime, CudaRuntime(), gpu, PlanCache(), find_tensors())


def open_on(machine: Machine, bundle: Bundle, precision: Precision, report: Path | None = None) -> TensorEngine:
    """Open a model with a runtime that was found; a plan is built if none is kept.

    Args:
        machine: what to run on.
        bundle: the model.
        precision: what to compute in; the engine's own precision tells what it came to.
        report: where to write what TensorRT's inspector tells of the plan, as JSON.

    Raises:
        EngineUnavailableError: the bundle has no form for the precision.
        BundleError: the model has other inputs and outputs than a Kinema model has.
        InvalidInputError: the report cannot be written.
        EngineError: the plan cannot be built, loaded or run, or colours otherwise than the CPU in every precision.
    """
    allowed = max_delta_e(precision)
    failures: list[str] = []
    for tried in (precision, *_SAFER[precision]):
        try:
            return _open_in(machine, bundle, tried, min(allowed, max_delta_e(tried)), report)
        except EngineUnavailableError:
            raise
        except (EngineError, *_ERRORS_OF_BINDINGS) as err:
            failures.append(f"{tried}: {err}")
            _log.warning(
                "precision_refused",
                extra={"engine": machine.runtime.name, "precision": tried, "reason": str(err)},
            )
    raise EngineError(f"{machine.runtime.title} does not colour right here. {'; '.join(failures)}")


def keep_plan(machine: Machine, bundle: Bundle, precision: Precision, report: Path | None = None) -> str:
    """Have a checked plan of a model kept for this machine's GPU, and say what came of it.

    Raises what `open_on` raises.
    """
    opened = open_on(machine, bundle, precision, report)
    opened.close()
    return f"{opened.precision} for {machine.gpu}, kept in {machine.cache.folder}"


def build_for_all(bundle: Bundle, precision: Precision) -> tuple[int, list[str]]:
    """Build a model with TensorRT-RTX for every GPU that it lists, on a machine that needs none; nothing is kept.

    Returns:
        The plan's size in bytes, and the compute capabilities, as in "8.9".

    Raises:
        EngineUnavailableError: TensorRT-RTX is not installed, or the bundle has no form for the precision.
        BundleError: the model has other inputs and outputs than a Kinema model has.
        EngineError: it cannot be built.
    """
    runtime = load_tensorrt("tensorrt-rtx")
    targets = {
        capability: target
        for capability, target in compute_capabilities(runtime).items()
        if precision != "bf16" or capability >= _FIRST_WITH_BF16
    }
    built = build_plan(
        runtime, onnx_in(bundle, precision)[1], profiles_for(bundle.manifest.working_size),
        size_multiple=bundle.manifest.size_multiple, targets=tuple(targets.values()),
    )  # fmt: skip
    return len(built.plan), [f"{major}.{minor}" for major, minor in targets]


def _open(name: TensorRtName, bundle: Bundle, precision: Precision, num_threads: int | None) -> TensorEngine:
    check_options(precision, num_threads)
    return open_on(find_machine(name), bundle, precision)


def _open_in(
    machine: Machine, bundle: Bundle, precision: Precision, allowed: float, report: Path | None
) -> TensorEngine:
    _, onnx_bytes = onnx_in(bundle, precision)
    profiles = profiles_for(bundle.manifest.working_size)
    keys = _Keys(machine, bundle, onnx_bytes, precision, profiles)
    plan = machine.cache.load(keys.of_plan)
    loaded = None if plan is None else _deserialize(machine, plan)
    if loaded is None:
        plan = _build(machine, bundle, onnx_bytes, profiles, keys)
        loaded = _deserialize(machine, plan)
        if loaded is None:
            raise EngineError(f"{machine.runtime.title} does not load its own plan: {_why_not(machine, plan)}")
        machine.cache.save(keys.of_plan, plan)
    if report is not None:
        _write_report(machine.runtime, loaded, report)
    config, kernels = _runtime_config(machine, loaded, keys.of_kernels)
    stride = bundle.manifest.output_stride
    tensors = machine.tensors
    model = TensorRtModel(
        machine.runtime, loaded, machine.cuda, profiles, output_stride=stride, runtime_config=config, tensors=tensors
    )
    engine = TensorEngine(
        model, bundle.manifest, name=machine.runtime.name, precision=precision,
        device=tensors.device if tensors else "cuda", takes_tensors=tensors is not None,
    )  # fmt: skip
    try:
        check_engine(engine, bundle.manifest)
        check_against_cpu(engine, bundle, allowed)
        if not is_same_in_company(engine, bundle.manifest):
            model.batch_limit = 1
            _log.warning("batches_run_one_by_one", extra={"engine": engine.name, "precision": precision})
        if engine.takes_tensors:
            try_tensors(engine, bundle.manifest)
    except Exception:
        with suppress(EngineError, *_ERRORS_OF_BINDINGS):  # the first failure tells more
            engine.close()
        raise
    if kernels is not None:
        machine.cache.save(keys.of_kernels, bytes(kernels.serialize()))
    return engine


class _Keys:
    """What is kept of a plan, and under what."""

    def __init__(
        self, machine: Machine, bundle: Bundle, onnx_bytes: bytes, precision: Precision, profiles: tuple[Profile, ...]
    ) -> None:
        here = {
            "runtime": machine.runtime.name,
            "version": machine.runtime.version,
            "gpu": machine.gpu.name,
            "compute capability": ".".join(map(str, machine.gpu.compute_capability)),
            "driver": ".".join(map(str, machine.gpu.cuda_version)),
        }
        model = {
            "model": bundle.digest,
            "onnx": hashlib.sha256(onnx_bytes).hexdigest(),
            "precision": precision,
            "profiles": repr(profiles),
            "build": str(BUILD_VERSION),
        }
        self.of_plan = CacheKey("plan", here | model)
        self.of_timings = CacheKey("timings", here)
        self.of_kernels = CacheKey("kernels", here | model)


def _build(
    machine: Machine, bundle: Bundle, onnx_bytes: bytes, profiles: tuple[Profile, ...], keys: _Keys
) -> bytes:  # fmt: skip
    target = target_of(machine.runtime, machine.gpu)
    built = build_plan(
        machine.runtime, onnx_bytes, profiles, size_multiple=bundle.manifest.size_multiple,
        targets=() if target is None else (target,), timings=machine.cache.load(keys.of_timings) or b"",
    )  # fmt: skip
    if built.timings:
        machine.cache.save(keys.of_timings, built.timings)
    _log.info("plan_built", extra={"engine": machine.runtime.name, "bytes": len(built.plan)})
    return built.plan


def _deserialize(machine: Machine, plan: bytes) -> Any | None:
    """Return the plan's ICudaEngine; None, and a line in the log, where it does not load."""
    loader = machine.runtime.module.Runtime(machine.runtime.logger)
    engine = loader.deserialize_cuda_engine(plan)  # None, where it fails
    if engine is None:
        _log.warning("plan_not_loaded", extra={"reason": machine.runtime.complaint()})
    return engine


def _why_not(machine: Machine, plan: bytes) -> str:
    """Say what TensorRT-RTX finds wrong with a plan; TensorRT has said it in its log."""
    trt = machine.runtime.module
    if not hasattr(trt, "EngineInvalidityDiagnostics"):
        return "see plan_not_loaded in the log"
    loader = trt.Runtime(machine.runtime.logger)
    _, diagnostics = loader.get_engine_validity(plan[: loader.engine_header_size])
    machine.runtime.complaint()
    members = trt.EngineInvalidityDiagnostics.__members__
    found = [name for name, member in members.items() if int(member) & int(diagnostics)]
    return ", ".join(found).lower().replace("_", " ") or "see plan_not_loaded in the log"


def _runtime_config(machine: Machine, engine: Any, key: CacheKey) -> tuple[Any, Any]:
    """Return TensorRT-RTX's runtime configuration and its cache of kernels; (None, None) for TensorRT.

    Kernels are not specialized for a size: what is compiled in the background and then put in the place of others
    would change the bits from one frame to the next.
    """
    trt = machine.runtime.module
    if not hasattr(trt, "DynamicShapesKernelSpecializationStrategy"):
        return None, None
    config = engine.create_runtime_config()
    config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.NONE
    config.cuda_graph_strategy = trt.CudaGraphStrategy.DISABLED  # the model captures its own
    kernels = config.create_runtime_cache()
    kept = machine.cache.load(key)
    if kept is not None:
        with suppress(RuntimeError):  # then they are compiled anew
            kernels.deserialize(kept)
    config.set_runtime_cache(kernels)
    return config, kernels


def _write_report(runtime: TensorRt, engine: Any, path: Path) -> None:
    inspector = engine.create_engine_inspector()
    text = inspector.get_engine_information(runtime.module.LayerInformationFormat.JSON)
    try:
        path.write_text(text)
    except OSError as err:
        raise InvalidInputError("report", f"{path} cannot be written: {err.strerror}") from err
