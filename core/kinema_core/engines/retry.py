"""An engine that is given another chance."""

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from kinema_core.engines.engine import F32, Engine, check_colour
from kinema_core.errors import EngineError, OutOfMemoryError

T = TypeVar("T")

_log = logging.getLogger(__name__)

NUM_TRIES = 3
"""At once, at once again, and by an engine that was opened anew."""


class RetryingEngine:
    """Runs a model by another engine; what fails is tried again, the third time after the engine was opened anew.

    What it returns is the engine's own result, so the bits stay the same: `reopen` must open the same kind of engine.
    """

    def __init__(self, engine: Engine, reopen: Callable[[], Engine]) -> None:
        self.name = engine.name
        self.precision = engine.precision
        self.device = engine.device
        self._engine = engine
        self._reopen = reopen
        self._lock = threading.Lock()
        self._is_closed = False

    def infer(self, lightness: F32) -> F32:
        """Predict ab from L*, as the contract of `Engine` says.

        Raises:
            InvalidInputError: the input is not as the contract says; that is not tried again.
            EngineError: it failed three times.
            OutOfMemoryError: so it did, the last time for want of memory.
        """

        def attempt(engine: Engine) -> F32:
            ab = engine.infer(lightness)
            check_colour(ab, lightness)
            return ab

        return self._try(attempt)

    @property
    def takes_tensors(self) -> bool:
        """Whether the engine has `infer_on_device`, for tensors of its own device."""
        return bool(getattr(self._engine, "takes_tensors", False))

    def infer_on_device(self, lightness: Any) -> Any:
        """Predict ab as the engine's `infer_on_device` does, which checks them; errors are those of `infer`."""
        return self._try(lambda engine: cast(Any, engine).infer_on_device(lightness))

    def _try(self, attempt: Callable[[Engine], T]) -> T:
        with self._lock:
            for number in range(1, NUM_TRIES + 1):
                try:
                    if number == NUM_TRIES and not self._is_closed:
                        self._open_anew()
                    ab = attempt(self._engine)
                except (EngineError, MemoryError) as err:
                    if number == NUM_TRIES or self._is_closed:
                        raise _final(err, number) from err
                    _log.warning(
                        "inference_failed try=%d of=%d reason='%s'", number, NUM_TRIES, str(err) or "no memory"
                    )
                else:
                    return ab
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Free the model; nothing is tried again after that."""
        with self._lock:
            self._is_closed = True
            self._engine.close()

    def _open_anew(self) -> None:
        self._engine.close()  # first, for there may be memory for one alone
        self._engine = self._reopen()


def _final(err: Exception, number: int) -> Exception:
    tries = f"after {number} tries"
    if isinstance(err, MemoryError):
        return OutOfMemoryError(f"the model finds no memory, {tries}; close other programs, or choose --working-size")
    return EngineError(f"{err} ({tries})")
