"""What an engine other than torch's needs to know of PyTorch's tensors, to take and give them where they lie."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from kinema_core.bundle import Manifest
from kinema_core.engines.cuda_memory import Handle
from kinema_core.engines.engine import F32, Engine
from kinema_core.engines.self_test import fixed_pictures
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


class TensorTaker(Engine, Protocol):
    """An engine with a second door."""

    takes_tensors: bool
    """Whether `infer_on_device` is to be used."""

    def infer_on_device(self, lightness: "torch.Tensor") -> "torch.Tensor":
        """Predict ab (B, 2, h/s, w/s) from L* (B, 1, h, w), both float32 on the engine's `device`.

        The result is the caller's own, and checked for being a colour. The input is not checked.

        Raises:
            EngineError: the engine is closed, the model cannot run, or what it gave is no colour.
        """


def find_tensors() -> Tensors | None:
    """Return where PyTorch has the GPU's tensors; None where it is not installed, or without CUDA."""
    try:
        import torch
    except (ImportError, OSError, RuntimeError):
        return None
    if not torch.cuda.is_available():
        return None
    return Tensors("cuda", lambda: torch.cuda.current_stream().cuda_stream)


def try_tensors(engine: TensorTaker, manifest: Manifest) -> None:
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


def _through_tensors(engine: TensorTaker, lightness: F32) -> F32:
    import torch

    ab: F32 = engine.infer_on_device(torch.from_numpy(lightness).to(engine.device)).cpu().numpy()
    return ab
