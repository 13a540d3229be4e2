"""How long each stage of a film's way was at work."""

import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from time import perf_counter
from typing import ParamSpec, TypeVar

Item = TypeVar("Item")
Parameters = ParamSpec("Parameters")


class StageClock:
    """Seconds by stage. The stages overlap on threads of their own, so they add up to more than what has passed."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, stage: str, seconds: float) -> None:
        """Count that many seconds more for a stage."""
        with self._lock:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    @contextmanager
    def time(self, stage: str) -> Generator[None, None, None]:
        """Count the block."""
        began = perf_counter()
        try:
            yield
        finally:
            self.add(stage, perf_counter() - began)

    def timed(self, stage: str, function: Callable[Parameters, Item]) -> Callable[Parameters, Item]:
        """Return `function`, counted whenever it runs."""

        def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Item:
            with self.time(stage):
                return function(*args, **kwargs)

        return run

    def iterate(self, stage: str, items: Iterable[Item]) -> Generator[Item, None, None]:
        """Yield `items`, and count what it takes to get them."""
        iterator = iter(items)
        while True:
            with self.time(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def take(self) -> dict[str, float]:
        """Return the seconds since the last time, and begin anew."""
        with self._lock:
            taken, self._seconds = self._seconds, {}
        return taken
