"""ONNX Runtime on an NVIDIA GPU, by its CUDA provider.

`onnxruntime-gpu` takes the place of `onnxruntime`: both are the Python package `onnxruntime`, so that one of them alone
can be installed.
"""

import logging
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kinema_core.bundle import Bundle
from kinema_core.engines.cuda_driver import find_gpu
from kinema_core.engines.engine import F32, INPUT, OUTPUT, Precision, check_engine, check_options
from kinema_core.engines.onnx_precision import onnx_in
from kinema_core.engines.onnxruntime import SessionModel, check_interface, error_types, session_options
from kinema_core.engines.self_test import check_against_cpu, is_same_in_company
from kinema_core.engines.telemetry import disable_onnxruntime_telemetry
from kinema_core.engines.tensors import TensorEngine, find_tensors, try_tensors
from kinema_core.errors import EngineError, EngineUnavailableError

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

NAME: Final = "onnxruntime-cuda"
_PROVIDER: Final = "CUDAExecutionProvider"
_ADVICE: Final = (
    "install it with `pip uninstall --yes onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]'`, which brings "
    "onnxruntime too"
)
_PROVIDER_OPTIONS: Final = {
    "device_id": "0",
    "use_tf32": "0",  # f32 is f32; whoever wants speed asks for f16
    "cudnn_conv_algo_search": "HEURISTIC",  # what it measures may differ from start to start, and with it the bits
}


class _CudaModel(SessionModel):
    """An inference session on a GPU, whose kernels may give other bits for another number of pictures."""

    is_one_by_one = False
    """Whether each picture is run alone, for that its bits depend on nothing else."""

    def __init__(self, session: Any, errors: tuple[type[Exception], ...], *, output_stride: int) -> None:
        super().__init__(session, errors)
        self._stride = output_stride

    def run(self, lightness: F32) -> F32:
        """Return ab for L*, as `OpenModel` says."""
        if not self.is_one_by_one:
            return super().run(lightness)
        run_one = super().run
        return np.concatenate([run_one(picture[None]) for picture in lightness])

    def run_on_device(self, lightness: "torch.Tensor") -> "torch.Tensor":
        """Return ab for L*, as `TensorModel` says, when it is done."""
        import torch

        whole = lightness.contiguous()
        num, _, height, width = whole.shape
        ab = whole.new_empty((num, 2, height // self._stride, width // self._stride))
        if whole.is_cuda:  # ONNX Runtime has a stream of its own, which knows nothing of what is queued on both
            torch.cuda.current_stream().synchronize()
        try:
            for given, result in zip(*map(self._parts, (whole, ab)), strict=True):
                binding = self._session.io_binding()
                for bind, name, tensor in (
                    (binding.bind_input, INPUT, given),
                    (binding.bind_output, OUTPUT, result),
                ):
                    bind(name, tensor.device.type, 0, np.float32, tuple(tensor.shape), tensor.data_ptr())
                self._session.run_with_iobinding(binding)
                binding.synchronize_outputs()
        except self._errors as err:
            raise EngineError(f"ONNX Runtime failed on a tensor of shape {tuple(lightness.shape)}: {err}") from err
        return ab

    def _parts(self, tensor: "torch.Tensor") -> "list[torch.Tensor]":
        return [tensor[number : number + 1] for number in range(len(tensor))] if self.is_one_by_one else [tensor]


def open_onnxruntime_cuda(
    bundle: Bundle, *, precision: Precision = "f32", num_threads: int | None = None
) -> TensorEngine:
    """Open a model on this machine's GPU.

    Args:
        bundle: the model.
        precision: "f32" or "f16".
        num_threads: of what is done on the CPU.

    Raises:
        InvalidInputError: an unknown precision, or fewer than one thread.
        NoGpuError: there is no GPU or no driver.
        EngineUnavailableError: ONNX Runtime has no CUDA here, or the precision is another.
        BundleError: the model has other inputs and outputs than a Kinema model has.
        EngineError: the model cannot be read, fails its first run, or colours otherwise than the CPU.
    """
    check_options(precision, num_threads)
    gpu = find_gpu()
    if precision in {"bf16", "int8"}:
        raise EngineUnavailableError(f"ONNX Runtime computes in f32 or f16 on a GPU, not in {precision}")
    file_name, onnx_bytes = onnx_in(bundle, precision)
    onnxruntime = _load()
    errors = error_types(onnxruntime)
    try:
        options = session_options(onnxruntime, num_threads)
        options.use_deterministic_compute = True
        session = onnxruntime.InferenceSession(onnx_bytes, options, providers=[(_PROVIDER, _PROVIDER_OPTIONS)])
        taken = session.get_providers()
    except errors as err:
        raise EngineError(f"ONNX Runtime cannot put model {bundle.manifest.name!r} on {gpu}: {err}") from err
    if _PROVIDER not in taken:  # it falls back to the CPU and says so in its own log alone
        raise EngineUnavailableError(f"ONNX Runtime does not get CUDA to work on {gpu}; {_ADVICE}")
    check_interface(session, bundle, file_name)
    model = _CudaModel(session, errors, output_stride=bundle.manifest.output_stride)
    tensors = find_tensors()
    engine = TensorEngine(
        model, bundle.manifest, name=NAME, precision=precision, device=tensors.device if tensors else "cuda",
        takes_tensors=tensors is not None,
    )  # fmt: skip
    try:
        check_engine(engine, bundle.manifest)
        check_against_cpu(engine, bundle)
        if not is_same_in_company(engine, bundle.manifest):
            model.is_one_by_one = True
            _log.warning("batches_run_one_by_one", extra={"engine": engine.name, "precision": precision})
        if engine.takes_tensors:
            try_tensors(engine, bundle.manifest)
    except Exception:
        engine.close()
        raise
    return engine


def _load() -> ModuleType:
    try:
        disable_onnxruntime_telemetry()
        import onnxruntime

        providers = onnxruntime.get_available_providers()
    except (ImportError, OSError, RuntimeError, AttributeError) as err:
        raise EngineUnavailableError(f"ONNX Runtime does not load here ({err}); {_ADVICE}") from err
    if _PROVIDER not in providers:
        raise EngineUnavailableError(f"this ONNX Runtime is built without CUDA; {_ADVICE}")
    _preload(onnxruntime)
    return onnxruntime  # type: ignore[no-any-return]  # it has no types


def _preload(onnxruntime: Any) -> None:
    """Load CUDA's libraries from the packages that pip installed; where there are none, the system's are found."""
    if hasattr(onnxruntime, "preload_dlls"):  # from 1.21 on
        onnxruntime.preload_dlls()
