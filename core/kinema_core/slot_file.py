"""Frames in a file of equal slots that two processes have open: the layout of `SharedMemory` in colorizer.proto.

Everything goes through `preadv` and `pwritev`, never through a mapping: what the other side does to the file can make a
call fail or change the bytes, but never end the process.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MAGIC: Final = b"kinema frames 1\0"
"""At the beginning of the file: no other file is ever taken for one."""
NONCE_BYTES: Final = 16
"""Behind MAGIC."""
SLOTS_OFFSET: Final = 4096
"""Where the slots begin."""
MAX_SLOTS: Final = 256

Bytes = NDArray[np.uint8]


def slot_bytes_for(most_bytes: int) -> int:
    """Return the size of slots that hold so many bytes: whole pages."""
    return -(-most_bytes // 4096) * 4096


def file_bytes(num_slots: int, slot_bytes: int) -> int:
    """Return how large a file is at least."""
    return SLOTS_OFFSET + num_slots * slot_bytes


class SlotFile:
    """Which frame lies in which slot of a file, and the way in and out. Threads may share it."""

    def __init__(self, fd: int, *, num_slots: int, slot_bytes: int) -> None:
        """Take over an open file, to be closed by `close`."""
        self.fd = fd
        self.num_slots = num_slots
        self.slot_bytes = slot_bytes
        self._slots: dict[int, int] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self._num_copying = 0

    def hold(self, seq: int, slot: int) -> bool:
        """Note that a frame lies there; False if another does, or there is no such slot."""
        with self._lock:
            if not 0 <= slot < self.num_slots or slot in self._slots.values():
                return False
            self._slots[seq] = slot
            return True

    def hold_any(self, seq: int) -> int | None:
        """Find a slot for a frame: the lowest that is free, so that few are ever touched; None where all are held."""
        with self._lock:
            free = set(range(self.num_slots)) - set(self._slots.values())
            if not free:
                return None
            self._slots[seq] = min(free)
            return self._slots[seq]

    def slot_of(self, seq: int) -> int | None:
        """Say where a frame lies; None where it came without a slot."""
        return self._slots.get(seq)

    def release(self, seq: int) -> None:
        """Note that a frame is answered."""
        with self._lock:
            self._slots.pop(seq, None)

    def read(self, slot: int, plane_bytes: Sequence[int]) -> list[Bytes]:
        """Copy planes of these lengths out of a slot, all at once; not to be written to.

        Raises:
            OSError: the file is closed, or gave fewer bytes.
        """
        ends = list(accumulate(plane_bytes))
        copied = np.empty(ends[-1], np.uint8)
        with self._kept_open() as fd:
            num_read = os.preadv(fd, [copied.data], self._offset(slot))
        if num_read != copied.size:
            raise OSError(f"read {num_read} bytes of a slot, where {copied.size} belong")
        copied.flags.writeable = False
        return np.split(copied, ends[:-1])

    def write(self, slot: int, planes: Sequence[NDArray[Any]]) -> None:
        """Copy arrays into a slot, one behind the other.

        Raises:
            OSError: the file is closed, sealed or out of memory.
        """
        contiguous = [np.ascontiguousarray(plane) for plane in planes]
        num_bytes = sum(plane.nbytes for plane in contiguous)
        assert num_bytes <= self.slot_bytes, "the slots were made for less"
        with self._kept_open() as fd:
            num_written = os.pwritev(fd, [plane.data for plane in contiguous], self._offset(slot))
        if num_written != num_bytes:
            raise OSError(f"wrote {num_written} bytes of {num_bytes} into a slot")

    def close(self) -> None:
        """Let go of the file; a copy that is under way still ends."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._close_if_unused()

    @contextlib.contextmanager
    def _kept_open(self) -> Iterator[int]:
        """Keep the file's number from becoming another file's while it is in use."""
        with self._lock:
            if self._is_closed:
                raise OSError("the shared memory is closed")
            self._num_copying += 1
        try:
            yield self.fd
        finally:
            with self._lock:
                self._num_copying -= 1
                self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._is_closed and not self._num_copying:
            os.close(self.fd)

    def _offset(self, slot: int) -> int:
        return SLOTS_OFFSET + slot * self.slot_bytes
