import io
import re

import pytest

from kinema_client.commands.progress import SECONDS_BETWEEN_LINES, WorkProgress


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def work(progress: WorkProgress, clock: FakeClock, num_steps: int, seconds_each: float) -> None:
    with progress:
        for _ in range(num_steps):
            clock.now += seconds_each
            progress.advance()


def test_a_log_gets_a_plain_line_now_and_then() -> None:
    clock, log = FakeClock(), io.StringIO()

    work(WorkProgress("old.mp4", "frames", 1000, stream=log, clock=clock), clock, 200, 0.125)

    assert log.getvalue().splitlines() == [
        "old.mp4: 80 of 1000 frames, 8.0 a second, 1:55 left",
        "old.mp4: 160 of 1000 frames, 8.0 a second, 1:45 left",
    ]


def test_work_that_is_soon_done_leaves_the_log_alone() -> None:
    clock, log = FakeClock(), io.StringIO()

    work(WorkProgress("old.mp4", "frames", 5, stream=log, clock=clock), clock, 5, SECONDS_BETWEEN_LINES / 6)

    assert log.getvalue() == ""


@pytest.mark.parametrize(("total", "expected"), [(None, "x: 1 y, 0.1 a second"), (1, "x: 1 of 1 y, 0.1 a second")])
def test_no_time_is_promised_where_none_is_known(total: int | None, expected: str) -> None:
    clock, log = FakeClock(), io.StringIO()

    work(WorkProgress("x", "y", total, stream=log, clock=clock), clock, 1, SECONDS_BETWEEN_LINES)

    assert log.getvalue().strip() == expected


def test_hours_are_written_as_hours() -> None:
    clock, log = FakeClock(), io.StringIO()

    work(WorkProgress("x", "y", 401, stream=log, clock=clock), clock, 1, 10.0)

    assert "1:06:40 left" in log.getvalue()


def test_a_terminal_gets_a_bar_that_names_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    clock, terminal = FakeClock(), FakeTerminal()

    work(WorkProgress("[old] film.mp4", "frames", 3, stream=terminal, clock=clock), clock, 3, 0.1)

    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "[old] film.mp4" in shown
    assert "3/3" in shown


def test_the_rate_is_the_mean_over_all_the_work() -> None:
    clock = FakeClock()
    progress = WorkProgress("x", "y", None, stream=io.StringIO(), clock=clock)

    work(progress, clock, 8, 0.5)

    assert progress.rate == pytest.approx(2.0)
    assert progress.seconds == pytest.approx(4.0)
