"""Films as bytes: read while they still arrive, colorized, written while they are read.

chunks ─► Upload ─► FilmReader ─► colorize_frames ─► FilmWriter ─► Download ─► chunks
          a file that grows       on threads of its own            waits for the client
"""

import asyncio
import io
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import CancelledError, Future
from contextlib import closing
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias, cast

from kinema_core.bundle import Manifest
from kinema_core.engines.engine import Engine
from kinema_core.errors import CancelledWorkError, InvalidInputError
from kinema_core.frame_way import way_for
from kinema_core.media.deinterlacer import Deinterlace
from kinema_core.media.reader import FilmReader
from kinema_core.media.writer import FilmWriter
from kinema_core.pipeline import Colorizer, OnSmoothed, Options, colorize_frames

MAX_CHUNK_BYTES = 1 << 20
"""The largest piece of a film in one message."""
_DOWNLOAD_BYTES = 1 << 18
"""How much of the new film is collected before it is sent."""
_EVENTS_AHEAD = 4
"""Events that may wait for the client."""


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """How a film is to be colorized and written."""

    model: str
    """Empty for the default."""
    options: Options
    codec: str
    crf: int | None
    deinterlace: Deinterlace
    is_lenient: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """What the film is."""

    height: int
    width: int
    working_shape: tuple[int, int]
    codec: str
    num_frames: int | None
    """As its container says, or about so many; None where nothing tells."""
    options: Options


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the film is."""

    num_frames: int


@dataclass(frozen=True, slots=True)
class Done:
    """The end of the film."""

    num_frames: int
    num_left_out: int


Event: TypeAlias = Opened | Progress | Done | bytes
"""What happens to a film; bytes are the next of the new one."""


def colorize_video(
    upload: "Upload",
    request: VideoRequest,
    engine: Engine,
    manifest: Manifest,
    handover: "Handover",
    *,
    max_pixels: int,
    on_smoothed: OnSmoothed | None = None,
) -> None:
    """Colorize one film, in a thread that may wait: for more of the film, for the engine, and for the client.

    Raises:
        InvalidInputError: a picture is larger than `max_pixels`, or the codec does not take an option.
        MediaError: the film cannot be read, or not be written as Matroska.
        EngineError: the engine failed.
        CancelledWorkError: the upload was abandoned.
    """
    tell = handover.put
    download = Download(tell)
    source, target = cast("BinaryIO", upload), cast("BinaryIO", download)  # as much of files as FFmpeg needs
    with FilmReader(source, deinterlace=request.deinterlace, is_lenient=request.is_lenient) as film:
        if film.height * film.width > max_pixels:
            size = f"{film.width}x{film.height}"
            raise InvalidInputError("chunk", f"the film's pictures must have at most {max_pixels} pixels, got {size}")
        pictures = film.frames(with_chroma=request.options.keep_colour)
        colorizer = Colorizer(
            manifest,
            height=film.height,
            width=film.width,
            tags=film.tags,
            options=request.options,
            on_smoothed=on_smoothed,
            way=way_for(engine),
        )
        with (
            FilmWriter.like(
                film, target, codec=request.codec, crf=request.crf, is_lenient=request.is_lenient
            ) as writer,
            closing(colorize_frames(pictures, colorizer, engine)) as frames,
        ):
            shape, options = colorizer.working_shape, request.options
            tell(Opened(film.height, film.width, shape, request.codec, film.num_frames, options))
            for frame in frames:
                writer.write(frame)
                tell(Progress(writer.num_frames))
    download.flush()
    tell(Done(writer.num_frames, film.num_damaged))


class Upload(io.RawIOBase):
    """A film that is still arriving, as a file: reading waits for what is not there yet; where the end is nobody knows.

    One thread appends, another reads. The bytes lie in a temporary file without a name.
    """

    def __init__(self, *, max_bytes: int) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._num_bytes = 0
        self._position = 0
        self._is_complete = False
        self._error: Exception | None = None
        self._changed = threading.Condition()

    def append(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            InvalidInputError: the film is too large for this server.
        """
        with self._changed:
            if self._num_bytes + len(chunk) > self._max_bytes:
                raise InvalidInputError("chunk", f"a film must have at most {self._max_bytes} bytes here")
            self._spool.seek(self._num_bytes)
            self._spool.write(chunk)
            self._num_bytes += len(chunk)
            self._changed.notify_all()

    def complete(self) -> None:
        """Say that nothing follows."""
        with self._changed:
            self._is_complete = True
            self._changed.notify_all()

    def fail(self, error: Exception) -> None:
        """Say that nothing follows because of `error`, which is raised where the film is read."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, of what is there already if that is anything; none at the end.

        Raises what `fail` was given.
        """
        with self._changed:
            self._wait_for(lambda: self._num_bytes > self._position)
            available = max(0, self._num_bytes - self._position)
            self._spool.seek(self._position)
            data = self._spool.read(available if size < 0 else min(size, available))
            self._position += len(data)
            return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; from the end only once the end is there, else -1 says to FFmpeg that it is unknown."""
        with self._changed:
            if whence == io.SEEK_END and not self._is_complete:
                return -1
            origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._num_bytes}[whence]
            self._position = max(0, origin + offset)
            return self._position

    def tell(self) -> int:
        """Return the place of the next byte to be read."""
        return self._position

    def close(self) -> None:
        """Let the bytes go."""
        self._spool.close()
        super().close()

    def _wait_for(self, is_there: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: is_there() or self._is_complete or self._error is not None)
        if self._error is not None:
            raise self._error


class Download:
    """The new film, as a file that can only be written to."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._collected = bytearray()

    def write(self, data: bytes) -> int:
        """Take the next bytes; waits while the client does not take them."""
        self._collected += data
        if len(self._collected) >= _DOWNLOAD_BYTES:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Send what is left."""
        if self._collected:
            self._tell(bytes(self._collected))
            self._collected.clear()


class Handover:
    """Events on their way from the thread that makes them to the event loop, a few at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue(_EVENTS_AHEAD)
        self._pending: Future[None] | None = None
        self._is_abandoned = False

    def put(self, event: Event) -> None:
        """Wait until there is room for an event; called in the thread.

        Raises:
            CancelledWorkError: nobody takes events any more.
        """
        self._pending = asyncio.run_coroutine_threadsafe(self._events.put(event), self._loop)
        if self._is_abandoned:
            self._pending.cancel()
        try:
            self._pending.result()
        except CancelledError:
            raise abandoned() from None

    def abandon(self) -> None:
        """Take no more; the thread is told."""
        self._is_abandoned = True
        if self._pending is not None:
            self._pending.cancel()

    async def events(self, until: "asyncio.Future[None]") -> AsyncGenerator[Event, None]:
        """Take events until `until` is done and all that came before it are taken."""
        while not (until.done() and self._events.empty()):
            getting = asyncio.ensure_future(self._events.get())
            waited: set[asyncio.Future[Any]] = {getting, until}
            try:
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if getting.done():
                    yield getting.result()
            finally:
                getting.cancel()


def abandoned() -> CancelledWorkError:
    """Return what a film fails with that nobody waits for."""
    return CancelledWorkError("nobody waits for this film any more")
