"""What all steps on a device have in common."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

from kinema_core.errors import EngineError

P = ParamSpec("P")
R = TypeVar("R")


def device_step(step: Callable[P, R]) -> Callable[P, R]:
    """Have `step` run without gradients, and raise EngineError where torch or the device fails."""

    @wraps(step)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with torch.inference_mode():
                return step(*args, **kwargs)
        except torch.OutOfMemoryError as err:
            raise EngineError(
                "the GPU has no memory left; end other programs that use it, or choose --working-size"
            ) from err
        except RuntimeError as err:
            raise EngineError(f"torch failed on the GPU: {err}") from err

    return run
