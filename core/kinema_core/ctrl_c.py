"""Ctrl-C, kept out of what it must not cut in two.

Python raises KeyboardInterrupt between any two steps of the main thread. Inside gRPC that can leave a call that no
thread attends to, or a lock that nobody gives back, and closing the channel then waits for ever; between the making of
a file and the `with` that would remove it, it leaves the file.
"""

import _thread
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType


def _nothing() -> None:
    pass


@contextmanager
def held_ctrl_c(cancel: Callable[[], object] = _nothing) -> Generator[None, None, None]:
    """Raise KeyboardInterrupt behind the block instead of somewhere inside; a second Ctrl-C is not held.

    Where Ctrl-C raises nothing anyway, because this is not the main thread or somebody else handles the signal,
    nothing is changed.

    Args:
        cancel: ends what the block waits for. Called on a thread of its own when Ctrl-C is pressed.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; in place of what the block raised.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    is_pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal is_pressed
        if is_pressed:
            signal.default_int_handler(number, frame)
        is_pressed = True
        _thread.start_new_thread(cancel, ())  # threading.Thread takes locks, which the main thread may hold just now

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if is_pressed:
            raise KeyboardInterrupt
