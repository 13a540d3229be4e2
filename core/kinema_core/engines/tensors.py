"""Engines with a second door: PyTorch's tensors, taken and given where they lie."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from kinema_core.bundle import Manifest
from kinema_core.engines.cuda_memory import Handle
from kinema_core.engines.engine import F32
from kinema_core.engines.self_test import fixed_pictures
from kinema_core.engines.serial import OpenModel, SerialEngine
from kinema_core.errors import EngineError

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

_ERRORS: Final = (EngineError, RuntimeError, TypeError, ValueError, AttributeError)
"""What an engine, a runtime's bindings or torch raises: no reason to go without colour."""


@dataclass(frozen=True, slots=True)
class Tensors:
    """Where PyTorch has its tensors."""

    device: str
    """As torch names it."""
    queue: Callable[[], Handle]
    """Returns the stream in which the calling thread's work on them is queued."""


class TensorModel(OpenModel, Protocol):
    """An open model that runs on tensors as well."""

    def run_on_device(self, lightness: "torch.Tensor") -> "torch.Tensor":
        """Return ab (B, 2, h/s, w/s), a tensor of its own, for L* (B, 1, h, w), both float32 on the model's device.

        What the calling thread has queued on the input comes first; what it queues on the result comes behind.

        Raises:
            EngineError: the runtime failed.
        """


class TensorEngine(SerialEngine):
    """An `Engine` that takes and gives tensors of its own device as well."""

    def __init__(
        self, model: TensorModel, manifest: Manifest, *, name: str, precision: str, device: str, takes_tensors: bool
    ) -> None:
        super().__init__(model, manifest, name=name, precision=precision, device=device)
        self.takes_tensors = takes_tensors
        """Whether `infer_on_device` is to be used."""
        self._on_device = model

    def infer_on_device(self, lightness: "torch.Tensor") -> "torch.Tensor":
        """Predict ab (B, 2, h/s, w/s) from L* (B, 1, h, w), both float32 on `device`.

        The result is the caller's own, and checked for being a colour, which waits for it. The input is not checked.

        Raises:
            EngineError: the engine is closed, the model cannot run, or what it gave is no colour.
        """
        from kinema_core.engines.torch_run import check_colour_on_device

        with self._lock:
            if self._model is None:
                raise EngineError("the engine is closed")
            ab = self._on_device.run_on_device(lightness)
        check_colour_on_device(ab, lightness)
        return ab


def find_tensors() -> Tensors | None:
    """Return where PyTorch has the GPU's tensors; None where it is not installed, or without CUDA."""
    try:
        import torch
    except (ImportError, OSError, RuntimeError):
        return None
    if not torch.cuda.is_available():
        return None
    return Tensors("cuda", lambda: torch.cuda.current_stream().cuda_stream)


def try_tensors(engine: TensorEngine, manifest: Manifest) -> None:
    """See that tensors get the bits that arrays get; else the engine takes none, with a warning."""
    pictures = fixed_pictures(manifest.working_size)
    try:
        found = _through_tensors(engine, pictures)
        if np.array_equal(found, engine.infer(pictures)):
            return
        reason = "tensors get other bits than arrays"
    except _ERRORS as err:
        reason = str(err)
    engine.takes_tensors = False
    _log.warning("tensors_not_taken", extra={"engine": engine.name, "precision": engine.precision, "reason": reason})


def _through_tensors(engine: TensorEngine, lightness: F32) -> F32:
    import torch

    ab: F32 = engine.infer_on_device(torch.from_numpy(lightness).to(engine.device)).cpu().numpy()
    return ab
