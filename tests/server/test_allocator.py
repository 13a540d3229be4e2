"""Memory that is freed stays with the server."""

import ctypes
import subprocess
import sys

import pytest

from kinema_server.allocator import keep_freed_memory

# Counts the page faults of 20 planes that come and go; a process of its own, since allocators do not forget.
_PROGRAM = """
import resource, sys
import numpy as np
from kinema_server.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def use():
    planes = [np.ones(3 << 20, np.uint8) for _ in range(3)]
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    command = [sys.executable, "-c", _PROGRAM, how]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_the_next_frame_finds_its_memory_mapped() -> None:
    assert faults("kept") < 100 < faults("given back")


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())

    assert not keep_freed_memory()
