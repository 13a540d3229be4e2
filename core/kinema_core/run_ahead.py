"""Overlap the stages of a pipeline: a generator that works on a thread of its own."""

import queue
import threading
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

_LOOK_UP_SECONDS = 0.05
"""How often a full queue's thread looks whether anybody still waits for it."""


def run_ahead(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """Iterate `items` on a thread of its own, at most `depth` items ahead of the consumer.

    An error in `items` is raised here, after the items before it. Closing this generator ends the thread and closes
    `items`, if that is a generator.
    """
    producer = _Producer(items, depth)
    try:
        producer.start()
        while not isinstance(entry := producer.ready.get(), _End):
            yield entry
        if entry.error is not None:
            raise entry.error
    finally:
        producer.is_abandoned.set()
        with suppress(RuntimeError):  # Ctrl-C came before the thread ran; when it does, it finds itself abandoned
            producer.join()


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


class _Producer(threading.Thread, Generic[Item]):
    def __init__(self, items: Iterable[Item], depth: int) -> None:
        super().__init__(name="kinema-ahead", daemon=True)
        self.ready: queue.Queue[Item | _End] = queue.Queue(depth)
        self.is_abandoned = threading.Event()
        self._items = items

    def run(self) -> None:
        if self.is_abandoned.is_set():
            return
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._offer(item):
                    break
        except BaseException as raised:  # noqa: BLE001  # the consumer raises it, whatever it is
            error = raised
        finally:
            if isinstance(self._items, Generator):
                self._items.close()
        self._offer(_End(error))

    def _offer(self, entry: Item | _End) -> bool:
        """Wait for room in the queue; False where nobody waits for entries any more."""
        while not self.is_abandoned.is_set():
            try:
                self.ready.put(entry, timeout=_LOOK_UP_SECONDS)
            except queue.Full:
                continue
            return True
        return False
