"""One engine, lent to many: each borrower has a lane, and the lanes take turns.

    lane 1  ▪▪▪ ─┐
    lane 2  ▪   ─┼─ in turn ─► batch ─► engine thread
    lane 3  ▪▪  ─┘

A batch holds pictures of one size that lie on one device, as many as the plan allows; where larger batches gain
nothing it is one picture. The engine gives a picture the same bits in any batch.

A lane holds at most `depth` pictures and there are at most `max_lanes` lanes, so all that waits is bounded, and a
borrower with many pictures waiting delays another by one picture, not by all of them. A picture whose deadline has
passed when its turn comes is not run, and costs its lane no turn. Work on the CPU beside the engine goes to a small
pool of threads: none of it runs in the event loop.
"""

import asyncio
import contextlib
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, ParamSpec, Protocol, Self, TypeVar

from kinema_core.engines.engine import Engine
from kinema_core.errors import CancelledWorkError
from kinema_core.frame_way import HOST, FrameWay, way_for
from kinema_server.batching import BatchPlan
from kinema_server.errors import BusyError, LateError

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """What the engine made of one picture."""

    ab: Any
    """(1, 2, h/s, w/s), Lab units, as the picture's way gives it: on the CPU an array of float32."""
    queue_seconds: float
    """The wait for the engine."""
    engine_seconds: float


@dataclass(slots=True, eq=False)
class _Job:
    way: FrameWay
    answer: Future[Inferred]
    deadline: float
    """By `perf_counter`, as all times here."""
    picture: Any = None
    """(1, 1, h, w), L* 0-100, as `way` takes it; None until it is prepared."""
    submitted: float = 0.0
    """When it was ready for the engine."""
    taken: float = 0.0
    """When it became part of a batch."""

    def goes_with(self, other: "_Job") -> bool:
        """Tell whether both can be in one batch."""
        return self.way is other.way and self.picture.shape == other.picture.shape


class Wait(NamedTuple):
    """What one picture of a batch waited for, in seconds."""

    queue: float
    """Its turn."""
    batch: float
    """Others that might join it."""


class EngineWatch(Protocol):
    """Is told, on the engine's thread, what the engine does."""

    def ran(self, waits: Sequence[Wait], engine_seconds: float) -> None:
        """A run gave its answers, one for each of the pictures that waited."""

    def failed(self) -> None:
        """A run failed."""


class Lane:
    """One borrower's place: what it waits for, in order. Only its scheduler writes to it."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.jobs: deque[_Job] = deque()
        self.num_taken = 0
        """Pictures that went on to the engine."""
        self.is_closed = False

    def drop(self) -> None:
        """Take no more, and cancel what waits."""
        self.is_closed = True
        for job in self.jobs:
            job.answer.cancel()
        self.jobs.clear()

    @property
    def is_ready(self) -> bool:
        """Whether the first picture is prepared; those behind it wait for it."""
        return bool(self.jobs) and self.jobs[0].picture is not None

    def next_job(self) -> _Job | None:
        """Take the next picture that is ready and still wanted; tell those that are too late."""
        while self.is_ready:
            job = self.jobs.popleft()
            if not job.answer.set_running_or_notify_cancel():
                continue
            job.taken = time.perf_counter()
            if job.taken <= job.deadline:
                self.num_taken += 1
                return job
            job.answer.set_exception(LateError(f"its turn came {job.taken - job.deadline:.3f} s too late"))
        return None


class Scheduler:
    """Run one engine on one thread for many lanes. Use it by `async with`; the engine stays the caller's to close."""

    def __init__(
        self,
        engine: Engine,
        *,
        max_lanes: int,
        max_videos: int = 1,
        batching: BatchPlan | None = None,
        num_cpu_threads: int | None = None,
        watch: EngineWatch | None = None,
    ) -> None:
        self.engine = engine
        self.way = way_for(engine)
        """Where the frames of streams and films are worked on: beside the engine, if it has a GPU of its own."""
        self._batching = batching or BatchPlan()
        self._watch = watch
        self._max_lanes = max_lanes
        self._num_lanes = 0
        self._turns: deque[Lane] = deque()  # the lanes where something waits; the next one first
        self._is_closed = False
        self._changed = threading.Condition()
        self._worker = threading.Thread(target=self._work, name="kinema-engine", daemon=True)
        num_cpu_threads = num_cpu_threads or min(8, os.cpu_count() or 1)
        self._frame_pool = ThreadPoolExecutor(num_cpu_threads, thread_name_prefix="kinema-frame")
        # A photograph can be large and waits for the engine in its thread: one at a time, out of the frames' way.
        self._photo_pool = ThreadPoolExecutor(1, thread_name_prefix="kinema-photo")
        # A film waits in its thread for as long as its client likes, so that none may wait behind it.
        self._max_videos = max_videos
        self._num_videos = 0
        self._video_pool = ThreadPoolExecutor(max_videos, thread_name_prefix="kinema-video")

    async def __aenter__(self) -> Self:
        self._worker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Drop what waits, and return when the threads have ended."""
        with self._changed:
            self._is_closed = True
            for lane in self._turns:
                lane.drop()
            self._turns.clear()
            self._changed.notify_all()
        self._worker.join()
        for pool in (self._frame_pool, self._photo_pool, self._video_pool):
            pool.shutdown(cancel_futures=True)

    @property
    def num_lanes(self) -> int:
        """Lanes that are open."""
        return self._num_lanes

    @property
    def num_videos(self) -> int:
        """Whole films under way."""
        return self._num_videos

    @property
    def num_waiting(self) -> int:
        """Pictures that wait for the engine."""
        with self._changed:
            return sum(job.picture is not None for lane in self._turns for job in lane.jobs)

    @contextlib.contextmanager
    def lane(self, depth: int) -> Iterator[Lane]:
        """Open a lane for at most `depth` waiting pictures; on leaving, what still waits in it is dropped.

        Raises:
            BusyError: all lanes are taken.
        """
        if self._num_lanes >= self._max_lanes:
            raise BusyError(f"all {self._max_lanes} places for streams and photographs are taken; try again later")
        lane = Lane(depth)
        self._num_lanes += 1
        try:
            yield lane
        finally:
            self._num_lanes -= 1
            with self._changed:
                lane.drop()
                with contextlib.suppress(ValueError):
                    self._turns.remove(lane)

    def submit(self, lane: Lane, picture: Any, *, way: FrameWay = HOST, deadline: float = math.inf) -> Future[Inferred]:
        """Queue a picture (1, 1, h, w), L* 0-100, as `way` takes it, in a lane.

        The answer is LateError where its turn comes after `deadline`, by `perf_counter`.

        Raises:
            CancelledWorkError: the lane or the scheduler is closed.
        """
        job = _Job(way, Future(), deadline)
        with self._changed:
            self._take_in(lane, job)
            self._make_ready(lane, job, picture)
        return job.answer

    def submit_frame(
        self, lane: Lane, prepare: Callable[[], Any], *, way: FrameWay = HOST, deadline: float = math.inf
    ) -> Future[Inferred]:
        """Queue a picture as `submit` does, once `prepare` made it on a thread for frames.

        Its place in the lane is taken now: pictures go to the engine in the order of these calls, whichever is prepared
        first. What `prepare` raises is the answer. Nobody is woken between the two.

        Raises:
            CancelledWorkError: the lane or the scheduler is closed.
        """
        job = _Job(way, Future(), deadline)
        with self._changed:
            self._take_in(lane, job)
        preparing = self._frame_pool.submit(_bound(self._prepare, lane, job, prepare))
        preparing.add_done_callback(lambda done: done.cancelled() and job.answer.cancel())
        return job.answer

    def _prepare(self, lane: Lane, job: _Job, prepare: Callable[[], Any]) -> None:
        try:
            if job.answer.cancelled():
                self._leave_out(lane, job)
                return
            picture = prepare()
            with self._changed:
                self._make_ready(lane, job, picture)
        except Exception as error:  # noqa: BLE001 - carried to who waits for the answer
            self._leave_out(lane, job)
            if job.answer.set_running_or_notify_cancel():
                job.answer.set_exception(error)
            del prepare, job, lane  # else the error's traceback would keep them, and they the stream

    def _take_in(self, lane: Lane, job: _Job) -> None:
        """Give a picture its place; call it, and the next two, with the lock."""
        if self._is_closed or lane.is_closed:
            raise CancelledWorkError("nobody waits for this picture any more")
        assert len(lane.jobs) < lane.depth, "a borrower keeps to its lane's depth"
        lane.jobs.append(job)

    def _make_ready(self, lane: Lane, job: _Job, picture: Any) -> None:
        if self._is_closed or lane.is_closed:
            raise CancelledWorkError("nobody waits for this picture any more")
        job.picture, job.submitted = picture, time.perf_counter()
        self._offer(lane)

    def _offer(self, lane: Lane) -> None:
        """Let a lane have a turn where its first picture is ready."""
        if lane.is_ready and lane not in self._turns:
            self._turns.append(lane)
            self._changed.notify()

    def _leave_out(self, lane: Lane, job: _Job) -> None:
        with self._changed:
            with contextlib.suppress(ValueError):
                lane.jobs.remove(job)
            self._offer(lane)

    async def run_frame(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a frame's work on the CPU, outside the event loop."""
        return await asyncio.wrap_future(self._frame_pool.submit(_bound(work, *args, **kwargs)))

    async def run_photo(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a photograph's work on the CPU, outside the event loop, after the photographs before it."""
        return await asyncio.wrap_future(self._photo_pool.submit(_bound(work, *args, **kwargs)))

    async def run_video(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a whole film's work on a thread of its own.

        Raises:
            BusyError: as many films as may be are under way.
        """
        if self._num_videos >= self._max_videos:
            raise BusyError(f"all {self._max_videos} places for whole films are taken; try again later")
        self._num_videos += 1
        try:
            return await asyncio.wrap_future(self._video_pool.submit(_bound(work, *args, **kwargs)))
        finally:
            self._num_videos -= 1

    def _next_batch(self) -> list[_Job]:
        """Wait for the next pictures, all of one size; none when the scheduler is closed."""
        batch: list[_Job] = []
        with self._changed:
            self._changed.wait_for(lambda: self._turns or self._is_closed)
            until = time.perf_counter() + self._batching.wait_seconds
            while not self._is_closed:
                self._fill(batch)
                # Alone, a lane has more on its way only after it got its answers.
                is_alone = self._num_lanes <= 1 or not batch
                left = until - time.perf_counter()
                if self._turns or is_alone or len(batch) >= self._batching.max_size or left <= 0:
                    break
                self._changed.wait(left)
        return batch

    def _fill(self, batch: list[_Job]) -> None:
        """Take pictures in turn, up to a full batch or one that does not go with it."""
        while self._turns and len(batch) < self._batching.max_size:
            lane = self._turns[0]
            if batch and not lane.jobs[0].goes_with(batch[0]):
                return
            self._turns.popleft()
            job = lane.next_job()
            self._offer(lane)
            if job is not None:
                batch.append(job)

    def _work(self) -> None:
        while not self._is_closed:
            self._infer(self._next_batch())  # no name keeps the batch, nor by its error all of a stream, until the next

    def _infer(self, batch: list[_Job]) -> None:
        if not batch:
            return
        started = time.perf_counter()
        results = None
        try:
            results = batch[0].way.infer(self.engine, [job.picture for job in batch])
        except Exception as error:  # noqa: BLE001 - carried to the lanes that wait for it; the thread serves on
            if self._watch is not None:
                self._watch.failed()
            if len(batch) == 1:  # and not named here any more: the error's traceback would keep it, and it the error
                batch.pop().answer.set_exception(error)
        if results is None:
            for job in batch:  # one picture may be the culprit: the others shall not suffer for it
                self._infer([job])
            return
        seconds = time.perf_counter() - started
        if self._watch is not None:
            self._watch.ran([Wait(job.taken - job.submitted, started - job.taken) for job in batch], seconds)
        for job, ab in zip(batch, results, strict=True):
            job.answer.set_result(Inferred(ab, started - job.submitted, seconds))


def _bound(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[[], R]:
    """Bind the arguments, and the context of the call that it is for: the request's id goes into the log."""
    return partial(copy_context().run, partial(work, *args, **kwargs))
