"""OpenVINO on the CPU: the default engine.

The model is compiled once, with free batch, height and width. Compiled for one size it would take 3 to 5 % less time
for one picture of 256x256 and up to 3 % for four (measured on one thread, f32 and bf16), but each new size of picture
or batch would first wait a quarter of a second, and the last bits would be others than with free sizes.
"""

from concurrent.futures import ThreadPoolExecutor
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
from kinema_core.engines.telemetry import without_openvino_telemetry
from kinema_core.errors import BundleError, EngineError, EngineUnavailableError

_ADVICE: Final = "install it with `pip install openvino`"


class _CompiledModel:
    """A compiled model and its one inference request."""

    def __init__(self, compiled: Any) -> None:
        self._request: Any = compiled.create_infer_request()

    def run(self, lightness: F32) -> F32:
        try:
            ab: F32 = self._request.infer({INPUT: lightness})[OUTPUT]  # a copy, by default
        except RuntimeError as err:
            raise EngineError(f"OpenVINO failed on an input of shape {lightness.shape}: {err}") from err
        return ab

    def close(self) -> None:
        self._request = None


def _load_core() -> tuple[Any, list[str]]:
    """Load OpenVINO and its CPU plugin; return its core and what the CPU can do.

    To be called on a thread that ends soon: the plugin gives the thread that loads it an alternate signal stack, and
    frees that when it is unloaded, from whichever thread. A signal that then comes to the first one (SIGTERM to the
    main thread, say) would crash the process (seen with OpenVINO 2026.4.1 and Python, whose handlers use such a stack).
    """
    with without_openvino_telemetry():
        import openvino
    core = openvino.Core()
    return core, core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def open_openvino(bundle: Bundle, *, precision: Precision = "f32", num_threads: int | None = None) -> SerialEngine:
    """Open a model on this machine's CPU.

    Args:
        bundle: the model.
        precision: "bf16" rounds weights and activations to 8 bits of mantissa and is faster, where the CPU has it.
            "int8" runs the bundle's quantized form on any CPU, and fast on those that have VNNI.
        num_threads: how many threads an inference takes; all cores that this process may use if None.

    Raises:
        InvalidInputError: an unknown precision, or fewer than one thread.
        EngineUnavailableError: OpenVINO is not installed or broken, or the precision is "f16", or the CPU lacks
            bf16, or the bundle an int8 form.
        BundleError: the model has other inputs and outputs than a Kinema model has.
        EngineError: the model cannot be compiled, or fails its first run.
    """
    check_options(precision, num_threads)
    if precision == "f16":
        raise EngineUnavailableError("OpenVINO computes in f32, bf16 or int8 on a CPU, not in f16")
    file_name, onnx_bytes = model_file(bundle, precision)
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="kinema-openvino") as pool:
            core, capabilities = pool.submit(_load_core).result()
    except (ImportError, OSError, RuntimeError, AttributeError) as err:
        raise EngineUnavailableError(f"OpenVINO does not load here ({err}); {_ADVICE}") from err
    if precision == "bf16" and "BF16" not in capabilities:
        raise EngineUnavailableError("this CPU has no bf16 (AVX512-BF16 or AMX); use precision f32")
    try:
        model = core.read_model(onnx_bytes, b"")  # the verified bytes; no weights beside them
        _check_interface(model, bundle, file_name)
        float_type = "bf16" if precision == "bf16" else "f32"  # in int8, of what is not quantized
        compiled = core.compile_model(model, "CPU", _properties(float_type, num_threads))
        actual = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    except RuntimeError as err:
        raise EngineError(f"OpenVINO cannot compile model {bundle.manifest.name!r}: {err}") from err
    if actual != float_type:
        raise EngineError(f"OpenVINO was told to compute in {float_type} and took {actual}")
    engine = SerialEngine(_CompiledModel(compiled), bundle.manifest, name="openvino", precision=precision, device="cpu")
    check_engine(engine, bundle.manifest)
    return engine


def _properties(float_type: str, num_threads: int | None) -> dict[str, str | int | bool]:
    properties: dict[str, str | int | bool] = {
        "INFERENCE_PRECISION_HINT": float_type,  # left alone, it is bf16 wherever the CPU has that
        "PERFORMANCE_HINT": "LATENCY",
        # Pinned, two engines of one thread on one machine both sit on its first core and take twice as long.
        "ENABLE_CPU_PINNING": False,
    }
    if num_threads is not None:
        properties["INFERENCE_NUM_THREADS"] = num_threads
    return properties


def _check_interface(model: Any, bundle: Bundle, file_name: str) -> None:
    def describe(port: Any) -> tuple[str, str]:
        return (port.get_any_name() if port.get_names() else "(unnamed)", port.get_element_type().get_type_name())

    inputs, outputs = [describe(port) for port in model.inputs], [describe(port) for port in model.outputs]
    if inputs != [(INPUT, "f32")] or outputs != [(OUTPUT, "f32")]:
        raise BundleError(
            f"{bundle.path / file_name} must take {INPUT} and give {OUTPUT}, both f32; it has {inputs = }, {outputs = }"
        )
