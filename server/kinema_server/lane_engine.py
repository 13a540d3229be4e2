"""A lane of the scheduler in the shape of an engine, for threads that may wait for it."""

from concurrent.futures import CancelledError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import CancelledWorkError
from kinema_core.frame_way import HOST, FrameWay
from kinema_server.scheduler import Lane, Scheduler

F32 = NDArray[np.float32]


class LaneEngine:
    """Infers one picture at a time, in its lane's turn."""

    def __init__(self, scheduler: Scheduler, lane: Lane) -> None:
        self._scheduler = scheduler
        self._lane = lane
        engine = scheduler.engine
        self.name, self.precision, self.device = engine.name, engine.precision, engine.device
        self.takes_tensors = scheduler.way is not HOST
        """Whether it has a use for `infer_on_device`."""
        self.queue_seconds = 0.0
        """The waits for the engine, in all."""
        self.engine_seconds = 0.0
        """The engine's work, in all."""

    def infer(self, lightness: F32) -> F32:
        """Infer as Engine says.

        Raises:
            CancelledWorkError: the lane or the scheduler is closed.
        """
        ab: F32 = self._infer(lightness, HOST)
        return ab

    def infer_on_device(self, lightness: Any) -> Any:
        """Infer as the engine's `infer_on_device` does.

        Raises:
            CancelledWorkError: the lane or the scheduler is closed.
        """
        return self._infer(lightness, self._scheduler.way)

    def _infer(self, picture: Any, way: FrameWay) -> Any:
        try:
            inferred = self._scheduler.submit(self._lane, picture, way=way).result()
        except CancelledError:
            raise CancelledWorkError("nobody waits for this picture any more") from None
        self.queue_seconds += inferred.queue_seconds
        self.engine_seconds += inferred.engine_seconds
        return inferred.ab

    def close(self) -> None:
        """Do nothing: the engine is its opener's to close."""
