"""PyTorch, on an NVIDIA GPU and, as the last resort, on the CPU. It runs the same ONNX file as the others.

On a GPU weights lie channels last and each shape of input is captured as a CUDA graph, so that a hundred small kernels
are one call; a batch is cut into powers of two, so that shapes are few. TF32 is off, for f32 means f32. Another size of
batch may take another kernel, whose last bits are others: where that shows when the engine is opened, each picture of a
batch is run alone.

On a CPU pictures are computed one at a time on one thread, whatever `num_threads` says: oneDNN chooses its kernels by
the batch and by the number of threads, and the bits would depend on both.

torch is imported when an engine is opened, TensorRT on a GPU among them: who serves by another never loads it.
"""

import logging
from typing import TYPE_CHECKING, Any, Final, Literal

from kinema_core.bundle import Bundle
from kinema_core.engines.batch_parts import parts_of
from kinema_core.engines.cuda_driver import find_gpu
from kinema_core.engines.engine import F32, INPUT, OUTPUT, Precision, check_engine, check_options, model_file
from kinema_core.engines.self_test import check_against_cpu, is_same_in_company
from kinema_core.engines.tensors import TensorEngine
from kinema_core.errors import BundleError, EngineError, EngineUnavailableError

if TYPE_CHECKING:
    import torch

    from kinema_core.engines.torch_run import Run

_log = logging.getLogger(__name__)

CPU_NAME: Final = "torch"
CUDA_NAME: Final = "torch-cuda"
_ADVICE: Final = "install it with `pip install torch onnx`"


class TorchEngine(TensorEngine):
    """An `Engine` of a module."""

    def __init__(self, bundle: Bundle, run: "Run", *, device: Literal["cpu", "cuda"], precision: Precision) -> None:
        self._module = _Module(run)
        is_cuda = device == "cuda"
        super().__init__(
            self._module, bundle.manifest, name=CUDA_NAME if is_cuda else CPU_NAME, precision=precision, device=device,
            takes_tensors=is_cuda,  # on a CPU they would spare no way, and are there to be tested
        )  # fmt: skip

    def run_one_by_one(self) -> None:
        """Run each picture of a batch alone from now on."""
        self._module.is_one_by_one = True


class _Module:
    """A module that is ready to run."""

    is_one_by_one = False
    """Whether each picture is run alone, for that its bits depend on nothing else."""

    def __init__(self, run: "Run") -> None:
        self._run: Run | None = run

    def run(self, lightness: F32) -> F32:
        import torch

        given = torch.tensor(lightness)  # copied, for torch warns of memory that may only be read
        ab: F32 = self.run_on_device(given).cpu().numpy()
        return ab

    def run_on_device(self, lightness: "torch.Tensor") -> "torch.Tensor":
        """Return ab for L*, as `TensorModel` says."""
        assert self._run is not None, "closed"
        import torch

        try:
            parts = [lightness[part] for part in parts_of(len(lightness), 1 if self.is_one_by_one else None)]
            results = [self._run(part) for part in parts]
            return results[0] if len(results) == 1 else torch.cat(results)
        except RuntimeError as err:  # torch.OutOfMemoryError is one, too
            raise EngineError(f"torch failed on an input of shape {tuple(lightness.shape)}: {err}") from err

    def close(self) -> None:
        self._run = None


def open_torch(bundle: Bundle, *, precision: Precision = "f32", num_threads: int | None = None) -> TorchEngine:
    """Open a model on this machine's CPU.

    Args:
        bundle: the model.
        precision: "f32", or "bf16", in which all convolutions but the first and the last compute with 8 bits of
            mantissa.
        num_threads: checked, and else of no account, as the module says.

    Raises:
        InvalidInputError: an unknown precision, or fewer than one thread.
        EngineUnavailableError: torch is not installed or broken, or the precision is another, or the model has an
            operator that `onnx_to_torch` does not know.
        BundleError: the model has other inputs and outputs than a Kinema model has.
        EngineError: the model cannot be read, or fails its first run.
    """
    check_options(precision, num_threads)
    if precision == "f16":
        raise EngineUnavailableError("torch computes in f32 or bf16 on a CPU, not in f16")
    module = _load(bundle, precision)
    from kinema_core.engines.torch_run import run_on_cpu

    engine = TorchEngine(bundle, run_on_cpu(module), device="cpu", precision=precision)
    check_engine(engine, bundle.manifest)
    return engine


def open_torch_cuda(
    bundle: Bundle,
    *,
    precision: Precision = "f32",
    num_threads: int | None = None,
    with_graphs: bool = True,
    with_compiler: bool = False,
) -> TorchEngine:
    """Open a model on this machine's GPU.

    Args:
        bundle: the model.
        precision: "f32", or "f16" or "bf16", in which all convolutions but the first and the last compute in
            16 bits.
        num_threads: checked, and else of no account.
        with_graphs: whether CUDA graphs are captured.
        with_compiler: whether torch.compile fuses kernels, which takes it a minute for each new size or batch.

    Raises:
        InvalidInputError: an unknown precision, or fewer than one thread.
        NoGpuError: there is no GPU or no driver.
        EngineUnavailableError: as `open_torch`; or torch is built without CUDA.
        BundleError: the model has other inputs and outputs than a Kinema model has.
        EngineError: the model cannot be read, fails its first run, or colours otherwise than the CPU.
    """
    check_options(precision, num_threads)
    gpu = find_gpu()
    module = _load(bundle, precision)
    import torch

    if not torch.cuda.is_available():
        raise EngineUnavailableError(f"torch {torch.__version__} does not get CUDA to work on {gpu}")
    from kinema_core.engines.torch_run import run_on_cuda

    try:
        run = run_on_cuda(module, with_graphs=with_graphs, with_compiler=with_compiler)
    except RuntimeError as err:
        raise EngineError(f"torch cannot put model {bundle.manifest.name!r} on {gpu}: {err}") from err
    engine = TorchEngine(bundle, run, device="cuda", precision=precision)
    try:
        check_engine(engine, bundle.manifest)
        check_against_cpu(engine, bundle)
        if not is_same_in_company(engine, bundle.manifest):
            engine.run_one_by_one()
            _log.warning("batches_run_one_by_one", extra={"engine": engine.name, "precision": precision})
    except Exception:
        engine.close()
        raise
    return engine


def _load(bundle: Bundle, precision: Precision) -> "torch.nn.Module":
    file_name, onnx_bytes = model_file(bundle, precision)
    if precision == "int8":
        raise EngineUnavailableError("torch computes in floating point here, not in int8")
    try:
        import torch

        from kinema_core.engines.onnx_to_torch import convolve_in, interface, module_from_onnx
    except (ImportError, OSError, RuntimeError, AttributeError) as err:
        raise EngineUnavailableError(f"torch does not load here ({err}); {_ADVICE}") from err
    try:
        module = module_from_onnx(onnx_bytes)
    except EngineUnavailableError:
        raise
    except EngineError as err:
        raise EngineError(f"torch cannot run model {bundle.manifest.name!r}: {err}") from err
    _check_interface(interface(onnx_bytes), bundle, file_name)
    if precision != "f32":
        convolve_in(module, torch.float16 if precision == "f16" else torch.bfloat16)
    return module


def _check_interface(ports: tuple[Any, Any], bundle: Bundle, file_name: str) -> None:
    inputs, outputs = ports
    if inputs != [(INPUT, True)] or outputs != [(OUTPUT, True)]:
        raise BundleError(
            f"{bundle.path / file_name} must take {INPUT} and give {OUTPUT}, both f32; it has {inputs = }, {outputs = }"
        )
