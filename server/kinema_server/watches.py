"""What is noted of each stream and film while it runs: for the metrics in sum, for `kinema top` one by one."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Gauge

from kinema_core.quality.live import LiveQuality, Reading
from kinema_server.access import caller
from kinema_server.errors import EndedError
from kinema_server.metrics import Metrics
from kinema_server.scheduler import Lane
from kinema_server.stream import Answer, LateAnswer, Tally
from kinema_server.videos import Done, Event, Opened, Progress

F32 = NDArray[np.float32]


class StreamRow(TypedDict):
    """One stream or film, as the page `/streams` lists it; it says nothing of who sent it or of what it shows."""

    number: int
    """Counted from 1 since the server's start."""
    kind: str
    """"stream" or "film"."""
    width: int
    """Pixels; 0 until it is known."""
    height: int
    seconds: float
    """Since it began."""
    credits: int
    """Frames that may be in flight; 0 for a film, which has none."""
    in_flight: int
    num_received: int
    num_answered: int
    num_cuts: int
    colourfulness: float | None
    """The last reading; None if there is none yet."""
    flicker: float | None


@dataclass(slots=True)
class Watch:
    """One stream or film."""

    metrics: Metrics
    number: int
    kind: str
    height: int = 0
    width: int = 0
    credits: int = 0
    client: str = ""
    """Whose key it came with; empty where none are asked for. Not for the page `/streams`, which asks for no key."""
    tally: Tally = field(default_factory=Tally)
    _task: asyncio.Task[object] | None = field(default_factory=asyncio.current_task)
    _is_ended: bool = False
    _started: float = field(default_factory=time.monotonic)
    _quality: LiveQuality = field(default_factory=LiveQuality)
    _reading: Reading | None = None
    _num_smoothed: int = 0
    _num_cuts: int = 0

    def smoothed(self, lightness: F32, ab: F32, is_cut: bool) -> None:  # noqa: FBT001 - as Colorizer calls it
        """Look at a frame, as `kinema_core.pipeline.OnSmoothed`; one thread at a time."""
        if is_cut and self._num_smoothed > 0:
            self._num_cuts += 1
            self.metrics.scene_cuts.inc()
        self._num_smoothed += 1
        reading = self._quality.measure(lightness, ab, is_cut=is_cut)
        if reading is not None:
            self._reading = reading
            self.metrics.observe_quality(reading)

    @contextlib.contextmanager
    def sending(self, answer: Answer | LateAnswer) -> Iterator[None]:
        """Count a stream's frame once it was sent."""
        started = time.perf_counter()
        yield
        if isinstance(answer, LateAnswer):
            self.metrics.frames.labels("late").inc()
            return
        sent = time.perf_counter()
        self.metrics.observe_frame(answer.seconds, send_seconds=sent - started, frame_seconds=sent - answer.received)

    def note(self, event: Event) -> None:
        """Count what happened to a film."""
        match event:
            case Opened():
                self.height, self.width = event.height, event.width
            case Progress():
                self.metrics.frames.labels("colorized").inc(event.num_frames - self.tally.num_answered)
                self.tally.num_received = self.tally.num_answered = event.num_frames
            case Done():
                self.metrics.frames.labels("left_out").inc(event.num_left_out)

    @property
    def in_flight(self) -> int:
        """Frames that were taken in and not answered."""
        return self.tally.num_received - self.tally.num_answered - self.tally.num_late

    def end(self) -> None:
        """Break it off, whatever it waits for."""
        assert self._task is not None
        self._is_ended = True
        self._task.cancel()

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Turn the break into an error that tells the client of it.

        Raises:
            EndedError: `end` was called.
        """
        try:
            yield
        except asyncio.CancelledError:
            if self._task is None or not self._is_ended:
                raise
            self._task.uncancel()
            raise EndedError("an operator of this server ended the stream") from None

    def row(self) -> StreamRow:
        """Say how it stands."""
        reading = self._reading or Reading(None, None)
        return StreamRow(
            number=self.number,
            kind=self.kind,
            width=self.width,
            height=self.height,
            seconds=time.monotonic() - self._started,
            credits=self.credits,
            in_flight=self.in_flight,
            num_received=self.tally.num_received,
            num_answered=self.tally.num_answered,
            num_cuts=self._num_cuts,
            colourfulness=reading.colourfulness,
            flicker=reading.flicker,
        )


class Watches:
    """The streams and films that run."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._numbers = itertools.count(1)
        self._running: dict[int, Watch] = {}
        for name, help_text, read in (
            ("kinema_streams", "Streams and films that are open.", lambda: len(self._running)),
            ("kinema_credits_granted", "Frames that open streams may have in flight.", self._num_credits),
            ("kinema_credits_used", "Frames of open streams that are in flight.", self._num_in_flight),
        ):
            Gauge(name, help_text, registry=metrics.registry).set_function(read)

    @contextlib.contextmanager
    def stream(self, height: int, width: int, lane: Lane) -> Iterator[Watch]:
        """Watch a stream, and count the frames that it leaves unanswered as it ends."""
        with self._watch("stream") as watch:
            watch.height, watch.width, watch.credits = height, width, lane.depth
            outcome = "failed"
            try:
                yield watch
            except (asyncio.CancelledError, GeneratorExit):
                outcome = "dropped"
                raise
            finally:
                self._metrics.frames.labels(outcome).inc(watch.in_flight)
                self._metrics.frames_wasted.inc(lane.num_taken - watch.tally.num_answered)

    @contextlib.contextmanager
    def film(self) -> Iterator[Watch]:
        """Watch a whole film."""
        with self._watch("film") as watch:
            yield watch

    def rows(self) -> list[StreamRow]:
        """Say how each stream and film stands, the oldest first; from any thread."""
        return [watch.row() for watch in self.running]

    @property
    def running(self) -> list[Watch]:
        """What runs, the oldest first; from any thread."""
        return list(self._running.values())

    def end(self, number: int) -> bool:
        """End a stream or film; False where none of that number runs."""
        watch = self._running.get(number)
        if watch is None:
            return False
        watch.end()
        return True

    @contextlib.contextmanager
    def _watch(self, kind: str) -> Iterator[Watch]:
        client = caller.get()
        watch = Watch(self._metrics, next(self._numbers), kind, client=client.name if client else "")
        self._running[watch.number] = watch
        try:
            with watch.ending():
                yield watch
        finally:
            del self._running[watch.number]

    def _num_credits(self) -> int:
        return sum(watch.credits for watch in self.running)

    def _num_in_flight(self) -> int:
        return sum(watch.in_flight for watch in self.running)
