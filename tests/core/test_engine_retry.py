"""An engine that is given another chance."""

from collections.abc import Callable

import numpy as np
import pytest

from kinema_core.engines.engine import F32, check_colour
from kinema_core.engines.retry import RetryingEngine
from kinema_core.errors import EngineError, InvalidInputError, OutOfMemoryError
from tests.fakes import FakeEngine

RAMP = np.linspace(0, 100, 8 * 16, dtype=np.float32).reshape(1, 1, 8, 16)


class Flaky(FakeEngine):
    """Fails so many times, as it is told."""

    def __init__(self, num_failures: int, failure: Exception | Callable[[F32], F32]) -> None:
        super().__init__()
        self.num_failures = num_failures
        self.failure = failure

    def infer(self, lightness: F32) -> F32:
        ab = super().infer(lightness)
        if self.num_failures == 0:
            return ab
        self.num_failures -= 1
        if isinstance(self.failure, Exception):
            raise self.failure
        return self.failure(ab)


def broken_at(ab: F32, value: float) -> F32:
    ab[0, 0, 0, 0] = value
    return ab


FAILURES = [
    EngineError("out of order"),
    MemoryError(),
    lambda ab: 0 * ab,
    lambda ab: broken_at(ab, np.nan),
    lambda ab: broken_at(ab, 1e30),
    lambda ab: ab[:, :, :-1],
    lambda ab: ab[:, :1],
    lambda ab: ab[0],
]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("num_failures", [1, 2])
def test_what_fails_once_or_twice_comes_out_as_if_nothing_had_happened(
    num_failures: int, failure: Exception | Callable[[F32], F32], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Flaky(num_failures, failure), FakeEngine()

    found = RetryingEngine(first, lambda: second).infer(RAMP)

    np.testing.assert_array_equal(found, FakeEngine().infer(RAMP))
    assert caplog.text.count("inference_failed") == num_failures
    assert (first.is_closed, len(second.seen)) == ((True, 1) if num_failures == 2 else (False, 0))


@pytest.mark.parametrize("failure", FAILURES)
def test_what_fails_three_times_is_a_typed_error(failure: Exception | Callable[[F32], F32]) -> None:
    expected = OutOfMemoryError if isinstance(failure, MemoryError) else EngineError

    with pytest.raises(expected, match="after 3 tries"):
        RetryingEngine(Flaky(9, failure), lambda: Flaky(9, failure)).infer(RAMP)


def test_an_engine_that_does_not_open_again_is_an_error_and_the_next_inference_tries_anew() -> None:
    opened: list[FakeEngine] = []

    def reopen() -> FakeEngine:
        opened.append(FakeEngine())
        if len(opened) == 1:
            raise EngineError("the device is gone")
        return opened[-1]

    engine = RetryingEngine(Flaky(9, EngineError("x")), reopen)
    with pytest.raises(EngineError, match="the device is gone"):
        engine.infer(RAMP)

    np.testing.assert_array_equal(engine.infer(RAMP), FakeEngine().infer(RAMP))


def test_a_wrong_input_is_not_tried_again() -> None:
    engine = Flaky(9, InvalidInputError("lightness", "must be float32"))

    with pytest.raises(InvalidInputError):
        RetryingEngine(engine, FakeEngine).infer(RAMP)

    assert len(engine.seen) == 1


def test_a_closed_engine_is_not_opened_again() -> None:
    engine = RetryingEngine(Flaky(9, EngineError("closed")), lambda: pytest.fail("opened again"))
    engine.close()
    engine.close()

    with pytest.raises(EngineError):
        engine.infer(RAMP)


def test_a_picture_without_content_may_have_no_colour() -> None:
    check_colour(np.zeros((1, 2, 4, 8), np.float32), np.full((1, 1, 8, 16), 3, np.float32))
