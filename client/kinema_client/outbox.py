"""A caller's frames on their way: taken as credits allow, and kept until they are answered."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kinema_core.errors import InvalidInputError
from kinema_core.frames import LumaFrame


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """A frame that is on its way."""

    seq: int
    frame: LumaFrame
    time: float
    """When it was taken from the caller, by `perf_counter`."""


class Outbox:
    """The caller's frames, numbered from 0; one at a time is taken, and only while a server waits for it.

    A stream may need several calls, one after the other. Each begins with what the one before left unanswered. A thread
    of gRPC's that still serves a call that is over takes no more; the frame that it waits for just then is the next
    call's.
    """

    def __init__(self, frames: Iterable[LumaFrame]) -> None:
        self.error: Exception | None = None
        """What the caller's own iterator raised, or what is wrong with its frames."""
        self._iterator = iter(frames)
        self._first: LumaFrame | None = None
        self._num_taken = 0
        self._unanswered: deque[Sent] = deque()
        self._num_sent = 0
        """How many of them the present call has been given."""
        self._call = 0
        self._num_credits = 0
        self._is_exhausted = False
        self._is_stopped = False
        self._is_taking = False
        self._changed = threading.Condition()

    @property
    def num_unanswered(self) -> int:
        """Frames that were taken and have no answer."""
        return len(self._unanswered)

    def first(self) -> LumaFrame | None:
        """Wait for the first frame, before all else; None if there is none."""
        with self._changed:
            if not self._is_stopped:
                self._take()
        return self._first

    def begin_call(self) -> int:
        """Begin another call, without credit; return its number. All that is unanswered is to be sent in it."""
        with self._changed:
            self._call += 1
            self._num_credits = self._num_sent = 0
            self._changed.notify_all()
            return self._call

    def grant(self, num_credits: int) -> None:
        """Allow that many frames more."""
        with self._changed:
            self._num_credits += num_credits
            self._changed.notify_all()

    def frames_for(self, call: int) -> Iterator[Sent]:
        """Yield what is to be sent in a call, as credits allow, until the frames or the call are over."""
        while (sent := self._next_for(call)) is not None:
            yield sent

    def answered(self, seq: int) -> Sent | None:
        """Give the frame back that this answers, and a credit; None if it is not the one that is next."""
        with self._changed:
            if not self._num_sent or self._unanswered[0].seq != seq:
                return None
            self._num_sent -= 1
            self._num_credits += 1
            self._changed.notify_all()
            return self._unanswered.popleft()

    def is_done(self) -> bool:
        """Tell whether every frame that the caller has is answered."""
        with self._changed:
            return self._is_exhausted and not self._unanswered

    def stop(self) -> None:
        """Take no more."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def wait_until_left(self) -> None:
        """Wait for a thread that is inside the caller's iterator, so that the caller may close what it reads from."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_taking)
            self._unanswered.clear()
            self._num_sent = 0

    def _next_for(self, call: int) -> Sent | None:
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._num_credits or self._is_over(call))
                if self._is_over(call):
                    return None
                if self._num_sent < len(self._unanswered):
                    self._num_sent += 1
                    self._num_credits -= 1
                    return self._unanswered[self._num_sent - 1]
                if self._is_exhausted:
                    return None
                self._take()

    def _is_over(self, call: int) -> bool:
        return self._is_stopped or self._call != call

    def _take(self) -> None:
        """Take the next frame, or let another thread do so that is at it already; meanwhile the lock is not held."""
        if self._is_taking:
            self._changed.wait()
            return
        self._is_taking = True
        self._changed.release()
        frame, error = None, None
        try:
            frame = next(self._iterator, None)
            if frame is not None and self._first is not None:
                _check_alike(frame, self._first)
        except Exception as raised:  # noqa: BLE001 - carried to the caller, whose own error it is
            frame, error = None, raised
        finally:
            self._changed.acquire()
            self._is_taking = False
            self._changed.notify_all()
        if frame is None:
            self.error, self._is_exhausted = error, True
            return
        self._first = self._first or frame
        self._unanswered.append(Sent(self._num_taken, frame, time.perf_counter()))
        self._num_taken += 1


def _check_alike(frame: LumaFrame, first: LumaFrame) -> None:
    if (frame.luma.shape, frame.tags) != (first.luma.shape, first.tags):
        now, then = (f"{f.luma.shape[1]}x{f.luma.shape[0]} {f.tags}" for f in (frame, first))
        raise InvalidInputError("frames", f"must all be like the first, {then}; got {now} at pts {frame.pts}")
