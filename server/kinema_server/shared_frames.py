"""Frames in memory that a client on the same machine shares: see SharedMemory in colorizer.proto.

What a client offers is a number of a process and of a file in it. It is used only if it can be nothing else than
memory that this very client made for this purpose, and otherwise left alone: the stream goes on with planes.
"""

import contextlib
import fcntl
import hashlib
import hmac
import ipaddress
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

from kinema_core.slot_file import MAGIC, MAX_SLOTS, NONCE_BYTES, SlotFile, file_bytes
from kinema_server.errors import BusyError, SharedMemoryError
from kinema_server.stream import StreamSpec
from kinema_server.stream_memory import answer_bytes

logger = logging.getLogger(__name__)

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


@dataclass(frozen=True, slots=True)
class Offer:
    """Memory that a client says it has."""

    pid: int
    fd: int
    num_slots: int
    slot_bytes: int
    nonce_sha256: bytes

    @property
    def num_bytes(self) -> int:
        """What the slots take when all were used."""
        return file_bytes(self.num_slots, self.slot_bytes)


class SharedFrames(SlotFile):
    """A client's memory, open and found to be what it should."""

    def __init__(self, fd: int, offer: Offer, nonce: bytes) -> None:
        super().__init__(fd, num_slots=offer.num_slots, slot_bytes=offer.slot_bytes)
        self.nonce = nonce


def is_local(peer: str) -> bool:
    """Tell whether a peer, as gRPC names it, is on this machine; a proxy that is cannot be told from a client."""
    scheme, _, address = peer.partition(":")
    if scheme == "unix":
        return True
    host = unquote(address).rpartition(":")[0].strip("[]")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


@contextlib.contextmanager
def opened(
    offer: Offer, spec: StreamSpec, room: contextlib.AbstractContextManager[None]
) -> Iterator[SharedFrames | None]:
    """Open what a client offers, until the stream ends; None where that cannot be, which the log says.

    Args:
        offer: what it says it has.
        spec: the stream whose frames and answers are to fit.
        room: what the memory takes of the server's; raises BusyError where there is not so much.
    """
    with contextlib.ExitStack() as stack:
        memory = None
        try:
            with contextlib.ExitStack() as attempt:
                check(offer, spec)
                attempt.enter_context(room)
                memory = attempt.enter_context(contextlib.closing(open_offer(offer)))
                stack.enter_context(attempt.pop_all())
        except (SharedMemoryError, BusyError) as error:
            logger.info("shared_memory_not_used", extra={"reason": str(error)})
        yield memory


def check(offer: Offer, spec: StreamSpec) -> None:
    """Look at an offer's numbers.

    Raises:
        SharedMemoryError: they do not fit the stream.
    """
    needed = max(sum(spec.pixel_format.plane_bytes(spec.height, spec.width)), answer_bytes(spec))
    if not 1 <= offer.num_slots <= MAX_SLOTS:
        raise SharedMemoryError(f"must have 1 to {MAX_SLOTS} slots, got {offer.num_slots}")
    if not needed <= offer.slot_bytes < needed + 4096:
        raise SharedMemoryError(f"slots must have {needed} bytes for such a stream, got {offer.slot_bytes}")


def open_offer(offer: Offer) -> SharedFrames:
    """Open the memory. Nothing is read or written before the file is known to be a memfd of this user's.

    Raises:
        SharedMemoryError: it is not there, or not what it should be.
    """
    with contextlib.ExitStack() as stack:
        try:
            # O_PATH opens nothing: no device wakes up, no pipe waits.
            found = os.open(f"/proc/{offer.pid:d}/fd/{offer.fd:d}", os.O_PATH)
            stack.callback(os.close, found)
            _check_file(os.fstat(found))
            # Who holds a lease on the file could let others wait for it.
            fd = os.open(f"/proc/self/fd/{found}", os.O_RDWR | os.O_NONBLOCK)
            on_failure = stack.enter_context(contextlib.ExitStack())
            on_failure.callback(os.close, fd)
            if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
                raise SharedMemoryError("must be sealed against shrinking and growing")
            if (num_bytes := os.fstat(fd).st_size) < offer.num_bytes:
                raise SharedMemoryError(f"must have {offer.num_bytes} bytes, got {num_bytes}")
            head = os.pread(fd, len(MAGIC) + NONCE_BYTES, 0)
        except OSError as error:
            raise SharedMemoryError(f"cannot be opened: {error.strerror}") from error
        nonce = head.removeprefix(MAGIC)
        digest = hashlib.sha256(nonce).digest()
        if not head.startswith(MAGIC) or not hmac.compare_digest(digest, offer.nonce_sha256):
            raise SharedMemoryError("does not begin as the client said")
        on_failure.pop_all()
        return SharedFrames(fd, offer, nonce)


def _check_file(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_dev != _device_of_memfds():
        raise SharedMemoryError("must be a memfd")
    if status.st_uid != os.geteuid():
        raise SharedMemoryError("must be this user's")


@cache
def _device_of_memfds() -> int:
    """Return the number of the file system that every memfd is in, and nothing that has a name."""
    fd = os.memfd_create("kinema")
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)
