"""The shape of a pixel in Matroska's header.

FFmpeg writes it (DisplayWidth and DisplayHeight, RFC 9559, 5.1.4.1.28) from a field that PyAV cannot set. For pictures
of two halves side by side, however, it writes both elements, too: so the film is declared to be of that kind, which
reserves the space, and when it is finished the sizes are put in and the declaration (StereoMode) is taken out.
"""

import re
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Final

from av.video.stream import VideoStream

from kinema_core.errors import OutputMismatchError
from kinema_core.media.ebml import SEGMENT, read_element

_TRACKS: Final = b"\x16\x54\xae\x6b"
_MAX_HEADER_BYTES: Final = 1 << 20
"""Tracks come before chapters, cover art and fonts; a few hundred bytes for each sound track."""
_RESERVED: Final = re.compile(rb"\x53\xb8\x81\x01\x54\xb0([\x81-\x84])", re.DOTALL)
"""StereoMode = 1 (left and right), then DisplayWidth with its length."""
_CHECKSUM: Final = b"\xbf\x84"
_VOID: Final = b"\xec\x82\0\0"


def reserve_aspect(stream: VideoStream) -> None:
    """Have space left in the header of the Matroska file that `stream` is written to."""
    stream.metadata["stereo_mode"] = "left_right"


def write_aspect(path: Path, *, shape: tuple[int, int], aspect: Fraction) -> None:
    """Put the width of a pixel by its height into a finished Matroska file of pictures (height, width).

    Raises:
        OutputMismatchError: the file has no space reserved.
    """
    with path.open("r+b") as file:
        header = file.read(_MAX_HEADER_BYTES)
        start, size = _find_tracks(header)
        tracks = bytearray(header[start : start + size])
        match = _RESERVED.search(tracks)
        if match is None or not tracks.startswith(_CHECKSUM):
            raise OutputMismatchError(f"{path} has another header than is known of FFmpeg; write .mp4 or .mov instead")
        width_at = match.end()
        width_size = match[1][0] - 0x80
        height_at = width_at + width_size + 3  # behind the name and the length of DisplayHeight
        height_size = tracks[height_at - 1] - 0x80
        width, height = _display_size(shape, aspect, 256**width_size - 1, 256**height_size - 1)
        tracks[match.start() : match.start() + len(_VOID)] = _VOID
        tracks[width_at : width_at + width_size] = width.to_bytes(width_size, "big")
        tracks[height_at : height_at + height_size] = height.to_bytes(height_size, "big")
        tracks[2:6] = zlib.crc32(tracks[6:]).to_bytes(4, "little")
        file.seek(start)
        file.write(tracks)


def _find_tracks(header: bytes) -> tuple[int, int]:
    """Give where the content of Tracks begins, and its size."""
    at = 0
    while True:
        name, start, size = read_element(header, at)
        if name == SEGMENT:
            at = start
            continue
        assert size is not None, "FFmpeg leaves only the sizes of a pipe's Segment and Clusters open"
        if name == _TRACKS:
            return start, size
        at = start + size


def _display_size(shape: tuple[int, int], aspect: Fraction, max_width: int, max_height: int) -> tuple[int, int]:
    """Give the (width, height) to show: of the exact shape where it fits, and at most as high as the picture."""
    display = Fraction(shape[1], shape[0]) * aspect
    max_height = min(max_height, shape[0])
    scale = Fraction(min(max_width // display.numerator, max_height // display.denominator))
    if not scale:
        scale = min(Fraction(max_width, display.numerator), Fraction(max_height, display.denominator))
    return max(1, round(display.numerator * scale)), max(1, round(display.denominator * scale))
