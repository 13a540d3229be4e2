"""What every engine does around the run of its model: the input and the result are checked, one run at a time."""

import threading
from typing import Protocol

from kinema_core.bundle import Manifest
from kinema_core.engines.engine import F32, check_ab, check_lightness
from kinema_core.errors import EngineError


class OpenModel(Protocol):
    """A model in the hands of a runtime. It is only ever called by one thread at a time."""

    def run(self, lightness: F32) -> F32:
        """Return ab (B, 2, h/s, w/s), in memory of its own, for L* (B, 1, h, w), which is C-contiguous and checked.

        Raises:
            EngineError: the runtime failed.
        """

    def close(self) -> None:
        """Free what the runtime holds. It is called once."""


class SerialEngine:
    """An `Engine` of an open model; the contract is that of `engine.py`."""

    def __init__(self, model: OpenModel, manifest: Manifest, *, name: str, precision: str, device: str) -> None:
        self.name = name
        self.precision = precision
        self.device = device
        self._manifest = manifest
        self._model: OpenModel | None = model
        self._lock = threading.Lock()

    def infer(self, lightness: F32) -> F32:
        """Predict ab from L*, as the contract of `Engine` says."""
        lightness = check_lightness(lightness, self._manifest)
        with self._lock:
            if self._model is None:
                raise EngineError("the engine is closed")
            ab = self._model.run(lightness)
        return check_ab(ab)

    def close(self) -> None:
        """Free the model."""
        with self._lock:
            model, self._model = self._model, None
            if model is not None:
                model.close()
