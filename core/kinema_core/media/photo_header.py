"""The size of an encoded photo, read from its header before anything is decoded."""

import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's markers of a frame header; the three left out are tables and an extension (ITU-T T.81, table B.1)."""


def read_photo_size(data: bytes) -> tuple[int, int] | None:
    """Give (height, width), before any EXIF rotation, of a JPEG, PNG, WebP, TIFF or BMP; None for anything else."""
    try:
        if data.startswith(b"\xff\xd8"):
            return _jpeg_size(data)
        if data.startswith(_PNG):
            width, height = struct.unpack_from(">II", data, 16)
            return height, width
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp_size(data)
        if data.startswith((b"II*\0", b"MM\0*")):
            return _tiff_size(data)
        if data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
            return abs(height), width  # negative where the rows run top-down
    except struct.error:  # cut short
        pass
    return None


def is_cut_png(data: bytes) -> bool:
    """Tell whether a PNG promises a chunk that is longer than what is left of it.

    OpenCV makes room for a chunk by its length alone: a few bytes would have it fill gigabytes.
    """
    if not data.startswith(_PNG):
        return False
    at = len(_PNG)
    while at < len(data):
        if at + 8 > len(data):
            return True
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IEND":
            return at + 8 + length > len(data)  # what follows is not looked at
        at += 12 + length  # length, kind, content, checksum
    return at > len(data)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk the segments to the frame header."""
    at = 2
    while True:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker & 0xFF in _SOF_MARKERS:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height, width
        if marker == 0xFFFF:  # a fill byte
            at += 1
        elif marker >> 8 == 0xFF and length >= 2:
            at += 2 + length
        else:
            return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Read the first chunk: extended, lossless or lossy (RFC 9649)."""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return height, width
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    return None


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    """Look for tags 256 (width) and 257 (height) in the first directory (TIFF 6.0)."""
    order = "<" if data.startswith(b"II") else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (num_entries,) = struct.unpack_from(order + "H", data, at)
    found: dict[int, int] = {}
    for entry in range(at + 2, at + 2 + 12 * num_entries, 12):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in {256, 257}:
            (found[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, entry + 8)
    return (found[257], found[256]) if len(found) == 2 else None
