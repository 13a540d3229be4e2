"""Stages that overlap."""

import threading
import time
from collections.abc import Generator, Iterator

import pytest

from kinema_core.run_ahead import run_ahead


def num_workers() -> int:
    return sum(thread.name == "kinema-ahead" for thread in threading.enumerate())


def test_every_item_comes_once_and_in_order() -> None:
    assert list(run_ahead(range(100), 3)) == list(range(100))


def test_stages_can_follow_each_other() -> None:
    squared = run_ahead((i * i for i in run_ahead(range(50), 2)), 2)

    assert list(run_ahead(squared, 2)) == [i * i for i in range(50)]


def test_an_interrupt_while_the_thread_starts_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def start_and_be_interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(run_ahead(range(1000), 2))

    assert num_workers() == 0


def test_items_are_made_ahead_but_not_further_than_asked() -> None:
    made = []

    def items() -> Iterator[int]:
        for i in range(20):
            made.append(i)
            yield i

    ahead = run_ahead(items(), 3)
    next(ahead)
    time.sleep(0.2)

    assert 3 <= len(made) <= 5  # one given out, three waiting, one in the hand of the thread
    ahead.close()


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    ahead = run_ahead(items(), 3)

    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(ahead)


def test_closing_ends_the_threads_and_closes_what_they_iterate() -> None:
    closed = []

    def items() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    ahead = run_ahead((i for i in run_ahead(items(), 2)), 2)
    next(ahead)

    ahead.close()

    assert closed == [True]
    assert num_workers() == 0


def test_stages_work_at_the_same_time() -> None:
    """Two stages meet at a barrier: one after the other they would wait for ever."""
    barrier = threading.Barrier(2, timeout=5)

    def meet(items: Iterator[int]) -> Iterator[int]:
        for i in items:
            barrier.wait()
            yield i

    def first() -> Iterator[int]:
        yield 0
        for i in range(1, 5):
            barrier.wait()
            yield i

    ahead = run_ahead(meet(run_ahead(first(), 2)), 2)

    assert [next(ahead) for _ in range(4)] == [0, 1, 2, 3]
    barrier.abort()
    ahead.close()
