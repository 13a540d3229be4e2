"""One stream of frames: many may be on their way to the engine at a time, and all are answered in order."""

import asyncio
import contextlib
import enum
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from kinema_core.bundle import Manifest
from kinema_core.color import rgb_to_grey
from kinema_core.errors import InvalidInputError
from kinema_core.frames import ColorFrame, ColorTags, LumaFrame, Plane, RgbFrame, chroma_shape
from kinema_core.pipeline import F32, Colorizer, OnSmoothed, Options, Prepared
from kinema_server.errors import LateError
from kinema_server.scheduler import Inferred, Lane, Scheduler

T = TypeVar("T")


class PixelFormat(enum.Enum):
    """How the planes of a frame that is received are laid out; named as in FFmpeg."""

    GRAY8 = "gray"
    GRAY10LE = "gray10le"
    YUV420P = "yuv420p"
    YUV420P10LE = "yuv420p10le"
    RGB24 = "rgb24"

    @property
    def bit_depth(self) -> int:
        """8 or 10."""
        return 10 if self in {PixelFormat.GRAY10LE, PixelFormat.YUV420P10LE} else 8

    def plane_bytes(self, height: int, width: int) -> tuple[int, ...]:
        """Return the length of each plane of a frame."""
        sample_bytes = 2 if self.bit_depth == 10 else 1
        if self is PixelFormat.RGB24:
            return (height * width * 3,)
        if self in {PixelFormat.GRAY8, PixelFormat.GRAY10LE}:
            return (height * width * sample_bytes,)
        chroma_height, chroma_width = chroma_shape(height, width)
        chroma_bytes = chroma_height * chroma_width * sample_bytes
        return height * width * sample_bytes, chroma_bytes, chroma_bytes


class OutputForm(enum.Enum):
    """What comes back for each frame."""

    CHROMA = "chroma"
    """Cb and Cr, which belong to the very Y' that was sent."""
    YUV420 = "yuv420"
    """The Y' that was sent, Cb and Cr."""
    RGB24 = "rgb24"


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What a stream is and how it is to be colorized."""

    height: int
    width: int
    pixel_format: PixelFormat
    tags: ColorTags
    """GREY_TAGS for RGB24: its frames are reduced to grey first."""
    time_base: Fraction
    model: str
    """Empty for the default."""
    output_form: OutputForm
    options: Options
    max_delay_seconds: float | None = None
    """How long after it was taken in a frame may reach the engine; None for however long."""
    max_frame_rate: float | None = None
    """Frames a second that are sent at most; None where nobody said."""


@dataclass(frozen=True, slots=True, eq=False)
class SentFrame:
    """A frame as it was received."""

    seq: int
    pts: int
    picture: Plane
    """(H, W), Y' as the stream's tags say; (H, W, 3), sRGB, in a stream of RGB24. Not to be written to."""
    is_cut: bool | None
    chroma: tuple[Plane, Plane] | None = None
    """The picture's own (Cb, Cr), where the stream keeps colour."""


class StageSeconds(NamedTuple):
    """Where a picture's time went, in seconds."""

    prepare: float
    """Luma to lightness at the model's size."""
    queue: float
    """Waiting for the engine."""
    engine: float
    temporal: float
    """Cut detection and smoothing; 0 for a photograph."""
    compose: float
    """Chroma upsampling and composition."""

    @property
    def finish(self) -> float:
        """All that comes behind the engine."""
        return self.temporal + self.compose


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A frame in colour."""

    seq: int
    frame: ColorFrame | RgbFrame
    is_cut: bool
    seconds: StageSeconds
    received: float
    """When the frame was taken in, by `perf_counter`."""


@dataclass(frozen=True, slots=True, eq=False)
class LateAnswer:
    """A frame that was not computed: its turn came after its deadline."""

    seq: int
    pts: int


@dataclass(slots=True, eq=False)
class _Underway:
    """A frame between its sender and its answer."""

    sent: SentFrame
    received: float
    prepared: Prepared | None = None
    """Written once, as the next is, before the engine has it."""
    prepare_seconds: float = 0.0


@dataclass(slots=True)
class Tally:
    """What a stream did so far."""

    num_received: int = 0
    num_answered: int = 0
    num_cuts: int = 0
    num_late: int = 0

    def count(self, answer: Answer | LateAnswer) -> None:
        """Count a frame that was answered, or that was too late."""
        if isinstance(answer, LateAnswer):
            self.num_late += 1
        else:
            self.num_answered += 1
            self.num_cuts += answer.is_cut


@dataclass(slots=True, eq=False)
class _SmoothedClock:
    """When a frame was smoothed.

    An object of its own: a method of the stream's, called by its colorizer, would keep both from being freed at once.
    """

    on_smoothed: OnSmoothed | None
    at: float = 0.0
    """By `perf_counter`."""

    def note(self, lightness: F32, ab: F32, is_cut: bool) -> None:  # noqa: FBT001 - as Colorizer calls it
        if self.on_smoothed is not None:
            self.on_smoothed(lightness, ab, is_cut)
        self.at = time.perf_counter()


@dataclass(slots=True)
class Stream:
    """Colorize the frames of one stream. The temporal state is its own; the engine is shared."""

    spec: StreamSpec
    manifest: Manifest
    scheduler: Scheduler
    lane: Lane
    """As deep as the stream's credits."""
    tally: Tally
    on_smoothed: OnSmoothed | None = None
    """Is told of every frame, as Colorizer says."""
    _colorizer: Colorizer = field(init=False)
    _smoothed: _SmoothedClock = field(init=False)

    def __post_init__(self) -> None:
        spec = self.spec
        self._smoothed = _SmoothedClock(self.on_smoothed)
        self._colorizer = Colorizer(
            self.manifest,
            height=spec.height,
            width=spec.width,
            tags=spec.tags,
            options=spec.options,
            on_smoothed=self._smoothed.note,
            way=self.scheduler.way,
        )

    @property
    def working_shape(self) -> tuple[int, int]:
        """(h, w) at which the model sees the frames."""
        return self._colorizer.working_shape

    def export_state(self) -> bytes:
        """Write down what the frames answered so far leave to the next."""
        return self._colorizer.export_state()

    def import_state(self, state: bytes) -> None:
        """Go on behind the frames of another stream, as Colorizer says; before the first frame.

        Raises:
            InvalidInputError: it is not a state of such a stream.
        """
        self._colorizer.import_state(state)

    async def colorize(
        self, frames: AsyncIterator[SentFrame], translate: Callable[[Answer | LateAnswer], T]
    ) -> AsyncGenerator[tuple[Answer | LateAnswer, T], None]:
        """Yield an answer for each frame, in order; no further frame is taken while `lane.depth` are unanswered.

        Beside each answer comes what `translate` made of it, outside the event loop.

        An error of `frames`, or of a frame, is raised after the answers to the frames before it. Closing this
        generator cancels all that is still on its way.
        """
        on_their_way: asyncio.Queue[tuple[_Underway, asyncio.Future[Inferred]] | None] = asyncio.Queue()
        inferences: set[asyncio.Future[Inferred]] = set()
        credits_left = asyncio.Semaphore(self.lane.depth)

        async def read() -> None:
            try:
                while True:
                    await credits_left.acquire()
                    sent = await anext(frames, None)
                    if sent is None:
                        return
                    self.tally.num_received += 1
                    frame = _Underway(sent, time.perf_counter())
                    inference = asyncio.wrap_future(self._submit(frame))
                    inferences.add(inference)
                    on_their_way.put_nowait((frame, inference))
                    del sent, frame, inference  # not to be held while the next one is waited for
            finally:
                on_their_way.put_nowait(None)

        reader = asyncio.create_task(read())
        try:
            while (coming := await on_their_way.get()) is not None:
                frame, inference = coming
                inferred = None
                with contextlib.suppress(LateError):
                    inferred = await inference
                answer, translated = await self.scheduler.run_frame(self._answer, frame, inferred, translate)
                inferences.discard(inference)
                yield answer, translated
                self.tally.count(answer)
                del coming, frame, inference, inferred, answer, translated  # the same
                credits_left.release()
            await reader
        finally:
            reader.cancel()
            for inference in inferences:
                inference.cancel()
            await asyncio.gather(reader, *inferences, return_exceptions=True)

    def _submit(self, frame: _Underway) -> Future[Inferred]:
        max_delay = math.inf if self.spec.max_delay_seconds is None else self.spec.max_delay_seconds
        prepare, deadline = partial(self._prepare, frame), frame.received + max_delay
        return self.scheduler.submit_frame(self.lane, prepare, way=self._colorizer.way, deadline=deadline)

    def _prepare(self, frame: _Underway) -> Any:
        started = time.perf_counter()
        sent = frame.sent
        luma = LumaFrame(self._luma(sent), sent.pts, self.spec.time_base, self.spec.tags, sent.is_cut, sent.chroma)
        frame.prepared = self._colorizer.prepare(luma)
        frame.prepare_seconds = time.perf_counter() - started
        return self._colorizer.picture(frame.prepared)

    def _luma(self, sent: SentFrame) -> Plane:
        if self.spec.pixel_format is PixelFormat.RGB24:
            return rgb_to_grey(sent.picture.astype(np.uint8, copy=False))
        if self.spec.tags.bit_depth == 10:
            for index, plane in enumerate((sent.picture, *(sent.chroma or ()))):
                if plane.max() > 1023:
                    raise InvalidInputError(
                        f"frame.planes[{index}]", f"10-bit samples are 0 to 1023, got {plane.max()} in frame {sent.seq}"
                    )
        return sent.picture

    def _answer(
        self, frame: _Underway, inferred: Inferred | None, translate: Callable[[Answer | LateAnswer], T]
    ) -> tuple[Answer | LateAnswer, T]:
        """Answer a frame, which was too late where nothing is inferred; call it in the order of the frames."""
        answer = self._skip(frame.sent) if inferred is None else self._finish(frame, inferred)
        return answer, translate(answer)

    def _skip(self, late: SentFrame) -> LateAnswer:
        self._colorizer.skip(is_cut=late.is_cut)
        return LateAnswer(late.seq, late.pts)

    def _finish(self, frame: _Underway, inferred: Inferred) -> Answer:
        prepared = frame.prepared
        assert prepared is not None, "it was prepared before it went to the engine"
        started = time.perf_counter()
        finished = self._colorizer.finish(prepared, inferred.ab)
        is_rgb = self.spec.output_form is OutputForm.RGB24
        compose = self._colorizer.compose_rgb if is_rgb else self._colorizer.compose
        composed = compose(prepared, finished)
        seconds = StageSeconds(
            frame.prepare_seconds,
            inferred.queue_seconds,
            inferred.engine_seconds,
            self._smoothed.at - started,
            time.perf_counter() - self._smoothed.at,
        )
        return Answer(frame.sent.seq, composed, finished.is_cut, seconds, frame.received)
