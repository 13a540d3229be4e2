"""Memory of this process's that a server on the same machine reads frames from and writes answers to.

It is a memfd: it has no name, and is gone with the last process that has it open, however that ended.
"""

import fcntl
import hashlib
import logging
import os
import secrets
import sys
from collections.abc import Sequence
from typing import Any, Final, Literal, Self, TypeAlias

from numpy.typing import NDArray

from kinema_core.slot_file import MAGIC, NONCE_BYTES, SlotFile, file_bytes, slot_bytes_for

logger = logging.getLogger(__name__)

SharedMemoryChoice: TypeAlias = Literal["auto", "on", "off"]

NUM_SLOTS: Final = 9
"""The credits that a server gives by default, and one whose answer is just being read. Frames beyond go as planes."""


class SharedFrames(SlotFile):
    """The memory of one call."""

    def __init__(self, fd: int, slot_bytes: int, nonce: bytes) -> None:
        super().__init__(fd, num_slots=NUM_SLOTS, slot_bytes=slot_bytes)
        self.nonce = nonce

    @property
    def nonce_sha256(self) -> bytes:
        """What the server is told of the nonce."""
        return hashlib.sha256(self.nonce).digest()

    def put(self, seq: int, planes: Sequence[NDArray[Any]]) -> int | None:
        """Copy a frame into a free slot; None where there is none, or the system has no memory left."""
        slot = self.hold_any(seq)
        if slot is None:
            return None
        try:
            self.write(slot, planes)
        except OSError:
            self.release(seq)
            return None
        return slot

    @classmethod
    def create(cls, most_bytes: int) -> Self | None:
        """Make memory whose slots hold so many bytes; None where the system has none to give."""
        if sys.platform != "linux":
            return None
        nonce = secrets.token_bytes(NONCE_BYTES)
        try:
            memory = cls(
                os.memfd_create("kinema", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), slot_bytes_for(most_bytes), nonce
            )
        except OSError as error:
            logger.info("no_shared_memory", extra={"reason": error.strerror})
            return None
        try:
            os.ftruncate(
                memory.fd, file_bytes(memory.num_slots, memory.slot_bytes)
            )  # takes nothing yet: pages come as slots are written
            fcntl.fcntl(memory.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            os.pwrite(memory.fd, MAGIC + nonce, 0)
        except OSError as error:
            logger.info("no_shared_memory", extra={"reason": error.strerror})
            memory.close()
            return None
        return memory


def is_this_machine(target: str) -> bool:
    """Tell whether a server's address is this very machine, as far as its text tells."""
    return target.startswith(("localhost:", "127.", "[::1]:", "unix:"))


def is_offered(choice: SharedMemoryChoice, target: str) -> bool:
    """Tell whether a server of this address is to be offered memory."""
    return choice == "on" or (choice == "auto" and is_this_machine(target))
