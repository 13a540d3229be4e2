"""The client for asyncio: the same calls, awaited. Client does the work, on threads.

gRPC's own asyncio client is not used: where a server refuses a stream while a frame is being sent, it loses the
server's reason (grpc/grpc#36066), and the reason is what names the field at fault.
"""

import asyncio
import concurrent.futures
from collections.abc import AsyncIterable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Generic, Self, Unpack

from kinema_client.answers import Accepted, Model, Summary, Timings
from kinema_client.choices import PhotoChoices, StreamChoices, VideoChoices
from kinema_client.client import Client
from kinema_client.convert import FrameT, ImageFormat
from kinema_client.security import Tls
from kinema_client.shared_frames import SharedMemoryChoice
from kinema_client.stream import ColorStream
from kinema_client.video import VideoStream
from kinema_core.frames import ColorFrame, LumaFrame, RgbFrame

Frames = Iterable[LumaFrame] | AsyncIterable[LumaFrame]


class AsyncClient:
    """Talk to the server at `target`, `host:port`. Use it by `async with`; it connects with the first call."""

    def __init__(
        self,
        target: str,
        *,
        tls: Tls | None = None,
        api_key: str | None = None,
        resume_seconds: float = 30.0,
        shared_memory: SharedMemoryChoice = "auto",
    ) -> None:
        """Note where the server is; arguments and errors are those of Client."""
        self._client = Client(
            target, tls=tls, api_key=api_key, resume_seconds=resume_seconds, shared_memory=shared_memory
        )

    async def __aenter__(self) -> Self:
        self._client.__enter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._client.__exit__)

    def colorize_frames(self, frames: Frames, **choices: Unpack[StreamChoices]) -> "AsyncColorStream[ColorFrame]":
        """Colorize frames, as Client.colorize_frames does; a plain iterable is iterated beside the event loop."""
        source = _source(frames)
        return AsyncColorStream(self._client.colorize_frames(source, **choices), source)

    def colorize_frames_to_rgb(self, frames: Frames, **choices: Unpack[StreamChoices]) -> "AsyncColorStream[RgbFrame]":
        """Colorize frames, as Client.colorize_frames_to_rgb does."""
        source = _source(frames)
        return AsyncColorStream(self._client.colorize_frames_to_rgb(source, **choices), source)

    def colorize_video(self, film: BinaryIO | Iterable[bytes], **choices: Unpack[VideoChoices]) -> "AsyncVideoStream":
        """Colorize a film as it lies in a file, as Client.colorize_video does; it is read beside the event loop."""
        return AsyncVideoStream(self._client.colorize_video(film, **choices))

    async def colorize_image(
        self,
        image: bytes,
        *,
        output_format: ImageFormat = "png",
        **choices: Unpack[PhotoChoices],
    ) -> bytes:
        """Colorize an encoded photograph, as Client.colorize_image does."""
        return await asyncio.to_thread(
            self._client.colorize_image,
            image,
            output_format=output_format,
            **choices,
        )

    async def list_models(self) -> list[Model]:
        """Name the server's models, as Client.list_models does."""
        return await asyncio.to_thread(self._client.list_models)


class AsyncColorStream(Generic[FrameT]):
    """Frames in colour, in order, as ColorStream has them: `async for` over it, and `aclose` it if you stop early."""

    def __init__(self, stream: ColorStream[FrameT], source: Iterable[LumaFrame]) -> None:
        self._stream = stream
        self._source = source
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kinema-stream")

    @property
    def accepted(self) -> Accepted | None:
        """What the server really uses; None before the first frame came back."""
        return self._stream.accepted

    @property
    def timings(self) -> Timings | None:
        """Where the time of the frame that came back last went."""
        return self._stream.timings

    @property
    def is_cut(self) -> bool | None:
        """Whether a new shot begins with the frame that came back last."""
        return self._stream.is_cut

    @property
    def summary(self) -> Summary | None:
        """Known once the stream has ended."""
        return self._stream.summary

    @property
    def num_resumed(self) -> int:
        """How often another server went on with the stream, as if nothing had been."""
        return self._stream.num_resumed

    @property
    def num_restarted(self) -> int:
        """How often another went on that could not use the state: smoothing over time began anew there."""
        return self._stream.num_restarted

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FrameT:
        """Return the next frame in colour; raises what ColorStream.read raises."""
        frame = None
        try:
            if not self._stream.is_closed:
                frame = await asyncio.get_running_loop().run_in_executor(self._thread, self._stream.read)
        finally:
            if frame is None:
                await self.aclose()
        if frame is None:
            raise StopAsyncIteration
        return frame

    async def aclose(self) -> None:
        """Cancel what is on its way; returns once nothing reads the caller's frames any more."""
        if isinstance(self._source, _AsyncSource):
            self._source.cancel()
        await asyncio.to_thread(self._stream.close)
        await asyncio.to_thread(self._thread.shutdown)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class AsyncVideoStream:
    """The bytes of a Matroska file, as VideoStream has them: `async for` over it, and `aclose` it if you stop early."""

    def __init__(self, stream: VideoStream) -> None:
        self.stream = stream
        """For `accepted`, `num_frames` and `summary`."""
        self._pieces = iter(stream)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kinema-video")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece; raises what VideoStream raises."""
        piece = None
        try:
            piece = await asyncio.get_running_loop().run_in_executor(self._thread, next, self._pieces, None)
        finally:
            if piece is None:
                await self.aclose()
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Cancel the film, if it has not ended."""
        await asyncio.to_thread(self.stream.close)
        await asyncio.to_thread(self._thread.shutdown)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _source(frames: Frames) -> Iterable[LumaFrame]:
    return _AsyncSource(frames) if isinstance(frames, AsyncIterable) else frames


class _AsyncSource:
    """Frames of the event loop's, for a thread to iterate."""

    def __init__(self, frames: AsyncIterable[LumaFrame]) -> None:
        self._frames = aiter(frames)
        self._loop = asyncio.get_running_loop()
        self._pending: Future[LumaFrame | None] | None = None
        self._is_cancelled = False

    def __iter__(self) -> Iterator[LumaFrame]:
        while not self._is_cancelled:
            self._pending = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
            try:
                frame = self._pending.result()
            except concurrent.futures.CancelledError:
                return
            if frame is None:
                return
            yield frame

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._pending is not None:
            self._pending.cancel()

    async def _next(self) -> LumaFrame | None:
        return await anext(self._frames, None)
