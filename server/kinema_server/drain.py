"""The end of a server's work: nothing new is begun, and streams of frames are told to go on elsewhere."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import TypeVar

from kinema_server.errors import DrainingError

T = TypeVar("T")


class Drain:
    """Whether a server is being drained; known to the calls that it would keep waiting. For one event loop."""

    def __init__(self) -> None:
        self.has_begun = False
        self._streams: set[DrainableStream] = set()
        self._all_left = asyncio.Event()
        self._all_left.set()

    def begin(self) -> None:
        """Refuse calls from now on, and tell the streams that are open."""
        self.has_begun = True
        for stream in self._streams:
            stream.tell()

    def check(self) -> None:
        """Let a call begin.

        Raises:
            DrainingError: the drain has begun.
        """
        if self.has_begun:
            raise DrainingError("this server is being stopped and takes nothing new; another one does")

    @contextlib.asynccontextmanager
    async def stream(self) -> AsyncIterator["DrainableStream"]:
        """Note that a stream of frames is open."""
        stream = DrainableStream()
        self._streams.add(stream)
        self._all_left.clear()
        try:
            yield stream
        finally:
            self._streams.discard(stream)
            if not self._streams:
                self._all_left.set()

    async def wait(self, seconds: float) -> None:
        """Return when no stream of frames is open any more, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_left.wait(), seconds)


class DrainableStream:
    """One stream of frames, as far as the drain is concerned."""

    def __init__(self) -> None:
        self._is_told = False
        self._waiting: asyncio.Timeout | None = None
        self.is_cut_short = False
        """Whether `frames` ended because of the drain, and not by themselves."""

    def tell(self) -> None:
        """Let it take nothing more."""
        self._is_told = True
        if self._waiting is not None:
            self._waiting.reschedule(0)  # long ago, so at once

    async def before_drain(self, coming: Awaitable[T]) -> T:
        """Wait for something, but not into the drain; one at a time.

        Raises:
            DrainingError: the drain began first.
        """
        waiting = asyncio.timeout(0 if self._is_told else None)
        try:
            async with waiting:
                self._waiting = waiting
                return await coming
        except TimeoutError:
            if not waiting.expired():
                raise
            raise DrainingError("this server is being stopped; another one takes the stream") from None
        finally:
            self._waiting = None
            del waiting  # it knows its task, which would never be freed where that is cancelled here

    async def frames(self, coming: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        """Yield what comes until the drain begins."""
        while not self._is_told:
            try:
                frame = await self.before_drain(anext(coming, None))
            except DrainingError:
                break
            if frame is None:
                return
            yield frame
            del frame  # not to be held while the next one is waited for
        self.is_cut_short = True
