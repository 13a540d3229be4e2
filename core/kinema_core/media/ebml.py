"""The elements that Matroska is made of (RFC 8794, 4 and 5): as much as FFmpeg does not tell."""

from typing import Final

SEGMENT: Final = b"\x18\x53\x80\x67"
"""Holds all of the film behind the file's own header (RFC 9559, 5.1)."""
_HEADER: Final = b"\x1a\x45\xdf\xa3"


def read_element(data: bytes, at: int) -> tuple[bytes, int, int | None]:
    """Give the name of the element at `at`, where its content begins, and its size; None where the size is left open.

    Raises:
        ValueError: there is no element, or `data` ends in its name or size.
    """
    name_size = _vint_length(data, at)
    size_at = at + name_size
    num_bytes = _vint_length(data, size_at)
    largest = (1 << 7 * num_bytes) - 1
    size = int.from_bytes(data[size_at : size_at + num_bytes], "big") & largest
    return data[at:size_at], size_at + num_bytes, None if size == largest else size


def promised_size(start: bytes) -> int | None:
    """Give how many bytes a Matroska file must have at least, by its first bytes (some hundred will do).

    None where it is no such file, or was written to a pipe and leaves its size open.
    """
    try:
        name, content_at, size = read_element(start, 0)
        if name != _HEADER or size is None:
            return None
        name, content_at, size = read_element(start, content_at + size)
    except ValueError:
        return None
    return content_at + size if name == SEGMENT and size is not None else None


def _vint_length(data: bytes, at: int) -> int:
    """Give the length of the number of variable length at `at`, which its first byte tells."""
    length = 9 - data[at].bit_length() if at < len(data) else 9
    if length > 8 or at + length > len(data):
        raise ValueError(f"no EBML element at byte {at}")
    return length
