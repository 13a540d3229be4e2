"""Frames no faster than agreed: a stream that sends more is read no faster, and so waits at its sender."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator

from kinema_server.stream import SentFrame

TOLERANCE = 1.02
"""How much faster than agreed a sender's clock may run; without it a camera's would fall behind for ever."""


class Pace:
    """Lets `rate` a second through, `burst` at once after a pause; the generic cell rate algorithm of ITU-T I.371."""

    def __init__(self, rate: float, *, burst: int) -> None:
        self._step = 1 / rate
        self._allowance = (burst - 1) * self._step
        self._expected = 0.0
        """When the next would come if all came evenly."""

    def wait(self, now: float) -> float:
        """Let one more through, and return how many seconds it has to wait for that; `now` never goes back."""
        expected = max(self._expected, now)
        self._expected = expected + self._step
        return max(0.0, expected - self._allowance - now)


async def paced(frames: AsyncIterator[SentFrame], rate: float | None, *, burst: int) -> AsyncGenerator[SentFrame, None]:
    """Yield the frames, at most `rate` a second and `burst` at once; as they come where there is no rate."""
    pace = None if rate is None else Pace(rate * TOLERANCE, burst=burst)
    async for frame in frames:
        if pace is not None and (seconds := pace.wait(time.monotonic())) > 0:
            await asyncio.sleep(seconds)
        yield frame
        del frame  # not to be held while the next one is waited for
