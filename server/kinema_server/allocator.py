"""What the C library does with memory that a frame leaves behind: docs/adr/0024-freed-memory-is-kept.md."""

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""Their numbers in glibc's malloc.h."""
_TRIM_BYTES: Final = 64 << 20
_MMAP_BYTES: Final = 32 << 20
"""The most that glibc takes; planes of frames up to 4096x2304 are smaller."""


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed for the next frame; False where it is not glibc, and nothing changes."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _TRIM_BYTES) and mallopt(_MMAP_THRESHOLD, _MMAP_BYTES))
