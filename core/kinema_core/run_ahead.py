"""Overlap the stages of a pipeline: a generator that works on a thread of its own."""

import queue
import threading
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


def run_ahead(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """Iterate `items` on a thread of its own, at most `depth` items ahead of the consumer.

    An error in `items` is raised here, after the items before it. Closing this generator ends the thread and closes
    `items`, if that is a generator.
    """
    producer = _Producer(items, depth)
    try:
        producer.start()
        while not isinstance(entry := producer.take(), _End):
            yield entry
        if entry.error is not None:
            raise entry.error
    finally:
        producer.abandon()
        with suppress(RuntimeError):  # Ctrl-C came before the thread ran; when it does, it finds itself abandoned
            producer.join()


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


class _Producer(threading.Thread, Generic[Item]):
    def __init__(self, items: Iterable[Item], depth: int) -> None:
        super().__init__(name="kinema-ahead", daemon=True)
        self._items = items
        self._is_abandoned = threading.Event()
        # SimpleQueues, which Ctrl-C cannot leave locked: queue.Queue and Condition are written in Python.
        self._ready: queue.SimpleQueue[Item | _End] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(depth):
            self._room.put(None)

    def take(self) -> Item | _End:
        """Wait for the next item, or the end of them."""
        entry = self._ready.get()
        self._room.put(None)
        return entry

    def abandon(self) -> None:
        """Let the thread end soon; nothing is taken any more."""
        self._is_abandoned.set()
        self._room.put(None)  # it may wait for room

    def run(self) -> None:
        if self._is_abandoned.is_set():
            return
        error: BaseException | None = None
        try:
            for item in self._items:
                self._room.get()
                if self._is_abandoned.is_set():
                    break
                self._ready.put(item)
        except BaseException as raised:  # noqa: BLE001  # the consumer raises it, whatever it is
            error = raised
        finally:
            if isinstance(self._items, Generator):
                self._items.close()
        self._ready.put(_End(error))
