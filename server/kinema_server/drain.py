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
        self._told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_cut_short = False
        """Whether `frames` ended because of the drain, and not by themselves."""

    def tell(self) -> None:
        """Let it take nothing more."""
        if not self._told.done():
            self._told.set_result(None)

    async def before_drain(self, coming: Awaitable[T]) -> T:
        """Wait for something, but not into the drain.

        Raises:
            DrainingError: the drain began first.
        """
        waiting = asyncio.ensure_future(coming)
        try:
            await asyncio.wait((waiting, self._told), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise DrainingError("this server is being stopped; another one takes the stream")
            return waiting.result()
        finally:
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait((waiting,))

    async def frames(self, coming: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        """Yield what comes until the drain begins."""
        try:
            while not self._told.done():
                frame = await self.before_drain(anext(coming, None))
                if frame is None:
                    return
                yield frame
        except DrainingError:
            pass
        self.is_cut_short = True
