"""How long each stage was at work."""

import time
from collections.abc import Iterator

import pytest

from kinema_core.stage_clock import StageClock

NAP = 0.02


def naps(count: int) -> Iterator[int]:
    for number in range(count):
        time.sleep(NAP)
        yield number


def test_each_stage_is_counted_by_itself() -> None:
    clock = StageClock()

    def square(number: int) -> int:
        time.sleep(NAP)
        return number * number

    found = list(map(clock.timed("work", square), clock.iterate("read", naps(3))))
    with clock.time("write"):
        pass

    seconds = clock.take()
    assert found == [0, 1, 4]
    assert seconds["read"] >= 3 * NAP
    assert seconds["work"] >= 3 * NAP
    assert seconds["write"] < seconds["work"]
    assert clock.take() == {}


def test_the_time_between_two_items_is_not_that_of_getting_them() -> None:
    clock = StageClock()

    for _ in clock.iterate("read", range(3)):
        time.sleep(NAP)

    assert clock.take()["read"] < 3 * NAP


def test_what_fails_is_counted_too() -> None:
    clock = StageClock()

    def fail() -> None:
        time.sleep(NAP)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        clock.timed("work", fail)()

    assert clock.take()["work"] >= NAP


def test_time_that_was_measured_elsewhere_is_added() -> None:
    clock = StageClock()

    clock.add("engine", 0.25)
    clock.add("engine", 0.5)

    assert clock.take() == {"engine": 0.75}
