"""Ctrl-C inside what must not be cut in two."""

import os
import signal
import threading
import time

import pytest

from kinema_core.ctrl_c import held_ctrl_c


@pytest.fixture(autouse=True)
def heed_ctrl_c() -> None:
    """Undo what a shell does to a command that it starts with `&`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0)  # Python looks for signals between two steps


def test_it_is_raised_behind_the_block() -> None:
    done = []

    def work() -> None:
        with held_ctrl_c():
            press()
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["the rest of the block"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_the_block_waits_for_is_cancelled() -> None:
    cancelled = threading.Event()

    def work() -> None:
        with held_ctrl_c(cancelled.set):
            press()
            assert cancelled.wait(10)

    with pytest.raises(KeyboardInterrupt):
        work()


def test_it_comes_before_an_error_of_the_block() -> None:
    def work() -> None:
        with held_ctrl_c():
            press()
            raise ValueError("cancelled")

    with pytest.raises(KeyboardInterrupt):
        work()


def test_a_second_one_is_not_held() -> None:
    done = []

    def work() -> None:
        with held_ctrl_c():
            press()
            press()
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not done


def test_inside_another_the_outer_one_holds() -> None:
    done = []

    def work() -> None:
        with held_ctrl_c():
            with held_ctrl_c():
                press()
            done.append("the rest of the outer block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["the rest of the outer block"]


def test_somebody_elses_handler_is_left_alone() -> None:
    pressed = []
    signal.signal(signal.SIGINT, lambda *_: pressed.append(True))

    with held_ctrl_c():
        press()

    assert pressed == [True]


def test_on_another_thread_nothing_is_done() -> None:
    handlers = []

    def work() -> None:
        with held_ctrl_c():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert handlers == [signal.default_int_handler]
