"""Encoders' threads, kept from taking the machine over."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from av.container import OutputContainer


def write_header(container: OutputContainer) -> None:
    """Write a container's header, which opens its encoders."""
    with _kept_scheduling():
        container.start_encoding()


@contextlib.contextmanager
def _kept_scheduling() -> Iterator[None]:
    """Undo what is done meanwhile to the scheduling of this thread, and give it to the threads that were started, too.

    SVT-AV1, where root runs it, gives the thread that opens it and each of its own the highest real-time priority, and
    whatever that thread starts from then on inherits it: two such threads that wait for a third, each spinning on a
    core, can keep it waiting, and all other programs with it.
    """
    if not hasattr(os, "sched_setscheduler"):  # macOS
        yield
        return
    before, this = _threads(), threading.get_native_id()
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in {this} | (_threads() - before):
            with contextlib.suppress(ProcessLookupError):  # it has ended
                if os.sched_getscheduler(thread) != policy:
                    os.sched_setscheduler(thread, policy, priority)


def _threads() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}
