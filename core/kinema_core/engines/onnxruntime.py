"""ONNX Runtime on the CPU: where OpenVINO cannot run. It computes in f32 and int8."""

import os
from types import ModuleType
from typing import Any, Final

from kinema_core.bundle import Bundle
from kinema_core.engines.engine import (
    F32,
    INPUT,
    OUTPUT,
    Precision,
    check_engine,
    check_options,
    model_file,
)
from kinema_core.engines.serial import SerialEngine
from kinema_core.engines.telemetry import disable_onnxruntime_telemetry
from kinema_core.errors import BundleError, EngineError, EngineUnavailableError

_ADVICE: Final = "install it with `pip install onnxruntime`"
_ERRORS_ONLY: Final = 3
"""Severity at which ONNX Runtime writes to stderr; its warnings are about graphs, not about what a user did."""


class SessionModel:
    """An inference session as an open model."""

    def __init__(self, session: Any, errors: tuple[type[Exception], ...]) -> None:
        self._session: Any = session
        self._errors = errors

    def run(self, lightness: F32) -> F32:
        """Return ab for L*, as `OpenModel` says."""
        try:
            ab: F32 = self._session.run([OUTPUT], {INPUT: lightness})[0]
        except self._errors as err:
            raise EngineError(f"ONNX Runtime failed on an input of shape {lightness.shape}: {err}") from err
        return ab

    def close(self) -> None:
        """Free the session."""
        self._session = None


def open_onnxruntime(bundle: Bundle, *, precision: Precision = "f32", num_threads: int | None = None) -> SerialEngine:
    """Open a model on this machine's CPU.

    Args:
        bundle: the model.
        precision: "f32", or "int8" where the bundle has that form.
        num_threads: how many threads an inference takes; one a CPU that this process may use if None.

    Raises:
        InvalidInputError: an unknown precision, or fewer than one thread.
        EngineUnavailableError: ONNX Runtime is not installed or broken, or the precision is "f16" or "bf16", or
            "int8" and the bundle has no such form.
        BundleError: the model has other inputs and outputs than a Kinema model has.
        EngineError: the model cannot be read, or fails its first run.
    """
    check_options(precision, num_threads)
    if precision in {"f16", "bf16"}:
        raise EngineUnavailableError(f"ONNX Runtime computes in f32 or int8 on a CPU, not in {precision}")
    file_name, onnx_bytes = model_file(bundle, precision)
    try:
        disable_onnxruntime_telemetry()
        import onnxruntime

        errors = error_types(onnxruntime)
    except (ImportError, OSError, RuntimeError, AttributeError) as err:
        raise EngineUnavailableError(f"ONNX Runtime does not load here ({err}); {_ADVICE}") from err
    try:
        session = onnxruntime.InferenceSession(
            onnx_bytes, session_options(onnxruntime, num_threads), providers=["CPUExecutionProvider"]
        )
    except errors as err:
        raise EngineError(f"ONNX Runtime cannot read model {bundle.manifest.name!r}: {err}") from err
    check_interface(session, bundle, file_name)
    engine = SerialEngine(
        SessionModel(session, errors), bundle.manifest, name="onnxruntime", precision=precision, device="cpu"
    )
    check_engine(engine, bundle.manifest)
    return engine


def session_options(onnxruntime: ModuleType, num_threads: int | None) -> Any:
    """Return how a session runs: on `num_threads` threads, or on one a CPU that this process may use if None."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    # Always a number: left to itself, ONNX Runtime takes the machine's cores, whatever share of them this process
    # has, and binds its threads to them.
    options.intra_op_num_threads = num_threads or _num_usable_cpus()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # decoder and encoder need the cores, too
    return options


def _num_usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def error_types(onnxruntime: ModuleType) -> tuple[type[Exception], ...]:
    """List what ONNX Runtime raises: a dozen exceptions without a common base of their own."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    own = (value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception))
    return (*own, RuntimeError, ValueError)


def check_interface(session: Any, bundle: Bundle, file_name: str) -> None:
    """Refuse a model that is not a Kinema model.

    Raises:
        BundleError: other inputs and outputs than a Kinema model has.
    """
    inputs = [(port.name, port.type) for port in session.get_inputs()]
    outputs = [(port.name, port.type) for port in session.get_outputs()]
    if inputs != [(INPUT, "tensor(float)")] or outputs != [(OUTPUT, "tensor(float)")]:
        raise BundleError(
            f"{bundle.path / file_name} must take {INPUT} and give {OUTPUT}, both f32; it has {inputs = }, {outputs = }"
        )
