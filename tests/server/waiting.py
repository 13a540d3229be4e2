"""Waiting for what is bound to happen."""

import asyncio
import time
from collections.abc import Callable


async def until(is_so: Callable[[], object], seconds: float = 10.0) -> None:
    """Return once `is_so` says so; fail where it does not in time."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.005)
