"""The way through a container, in the file's order: pictures decoded, packets of all other streams passed on."""

from __future__ import annotations  # Packet is generic in PyAV's stubs alone

import heapq
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, TypeAlias

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from kinema_core.errors import DamagedPictureError, InvalidInputError, MediaError, OutOfMemoryError
from kinema_core.media.ebml import promised_size
from kinema_core.media.ffmpeg_errors import ffmpeg_errors

_log = logging.getLogger(__name__)

PacketSink: TypeAlias = "Callable[[Packet[Stream]], None]"
"""Takes a packet of a stream that is not decoded; it may change the packet."""

_TEXT_ART_CODECS = {"ansi", "bintext", "idf", "xbin"}
"""FFmpeg draws text files with these; somebody who names a text file has made a mistake."""
_FILM_ADVICE = "give a complete film, such as .mp4, .mkv, .mov or .avi"
_RECORDING_ADVICE = (
    "it begins as an MP4 or MOV, whose index (moov) seems to be missing, as where a recording or a copy broke off; "
    "copy it again"
)
_DAMAGE_ADVICE = "copy the film again, or say --lenient to leave out what cannot be decoded"
_REPAIR_ADVICE = "copy the film again, or say --lenient to take the part that plays"
_HIDING_CODECS = {"mpeg4", "vp8", "vp9"}
"""Their packets need not hold a picture that is shown."""
_INDEX_ADVICE = "name the file instead of a pipe, or pipe `ffmpeg -i IN -c copy -f matroska -`"
_START_BYTES = 4096
"""More than any header of EBML takes."""
_MAX_PENDING_BYTES = 1 << 28
"""How much of the other streams may come before the first picture; the whole sound of most films is less."""


class Demuxer:
    """Demuxes an open container once and decodes one of its video streams."""

    def __init__(
        self,
        source: str | BinaryIO,
        name: str,
        *,
        file_format: str | None = None,
        options: dict[str, str] | None = None,
        is_lenient: bool = False,
    ) -> None:
        """Open `source`; messages call it `name`.

        Args:
            source: a URL of FFmpeg's `file` or `pipe` protocol, or a file that can be read and sought in.
            name: what people call it.
            file_format: FFmpeg's name of the container; found by looking at it where None.
            options: for that container's demuxer.
            is_lenient: whether pictures that cannot be decoded are left out, and not an error.

        Raises:
            MediaError: it cannot be opened, or has no pictures.
        """
        self.name = name
        self._is_lenient = is_lenient
        self._is_pipe = isinstance(source, str) and source.startswith("pipe:")
        self._file = None if self._is_pipe or file_format is not None else source
        self._start = _read_start(self._file)
        advice = _RECORDING_ADVICE if self._start[4:8] == b"ftyp" else _FILM_ADVICE
        try:
            with ffmpeg_errors(f"{name} cannot be opened as a film", advice=advice):
                self.container = av.open(
                    source, mode="r", format=file_format, options=options or {}, metadata_errors="replace"
                )
        except OutOfMemoryError as err:  # a damaged index may ask for more than FFmpeg ever allocates
            raise MediaError(f"{name} cannot be opened as a film: it asks for too much memory; {advice}") from err
        except ValueError as err:  # a name with a NUL
            raise MediaError(f"{name!r} cannot be opened as a film: {err}; {_FILM_ADVICE}") from err
        try:
            self.stream = _pick_stream(self.container, name)
        except MediaError:
            self.container.close()
            raise
        self.stream.thread_type = ThreadType.AUTO
        self._sink: PacketSink | None = None
        self._pending: list[Packet[Stream]] | None = []
        self._pending_bytes = 0
        self._num_pictures = 0
        self._num_packets = 0
        self._last_is_cut = False
        self.num_damaged = 0
        """How many pictures since the first one could not be decoded, and are left out."""
        self._awaited: list[int] | None = [] if self._has_a_picture_a_packet() else None
        """pts of packets whose pictures are still to come, a heap; None where that cannot be told."""
        self._first_key_pts: int | None = None
        self._last_error = "the decoder gives no picture for it"
        self._end_seconds = Fraction(0)

    @property
    def is_mov(self) -> bool:
        """Whether the container is of the MP4 and MOV family, whose index lists every sample."""
        return "mp4" in self.container.format.name

    def hand_packets_to(self, sink: PacketSink) -> None:
        """Call `sink` with every packet of the other streams; `release` hands over those that came already.

        Raises:
            InvalidInputError: the packets are passing already, or another sink is there.
        """
        if self._pending is None or self._sink is not None:
            raise InvalidInputError("film", "its streams go to one writer, made before its pictures are read")
        self._sink = sink

    def find_pending(self, index: int) -> bytes | None:
        """Give the first packet of a stream among those that are held back still."""
        return next((bytes(packet) for packet in self._pending or () if packet.stream.index == index), None)

    def release(self) -> None:
        """Let the packets flow that were held back while nobody could ask for them yet."""
        pending, self._pending = self._pending or [], None
        for packet in pending:
            self._pass_on(packet)

    def pictures(self) -> Iterator[av.VideoFrame]:
        """Decode to the end; where lenient, pictures that cannot be decoded are left out, counted and logged.

        Raises:
            DamagedPictureError: a picture cannot be decoded.
            MediaError: the film cannot be read on, is cut short, or has its first picture behind very much else.
        """
        packets = self.container.demux()
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as err:
                if self._may_end_here(err):
                    yield from self._decode(None)
                    break
                raise self._damage(err.strerror) from err
            if packet is None:
                break
            if packet.stream.index == self.stream.index:
                yield from self._decode(packet)
            elif packet.size:
                self._pass_on(packet)
            self._note_end(packet)
        self._check_complete()
        self._note_missing(None)

    def pass_packets(self) -> None:
        """Go on to the end of the film for the packets of its other streams alone, after the first picture at most.

        Raises:
            MediaError: the film cannot be read on.
        """
        packets = self.container.demux()
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as err:
                if self._may_end_here(err):
                    return
                raise self._damage(err.strerror) from err
            if packet is None:
                return
            if packet.stream.index != self.stream.index and packet.size:
                self._pass_on(packet)

    def close(self) -> None:
        """Close the container; more than once does no harm."""
        self.container.close()

    def _decode(self, packet: Packet[Stream] | None) -> Iterator[av.VideoFrame]:
        """Give the pictures that the decoder has ready after `packet`; all that are left after None or an empty one."""
        if packet is not None and packet.size:
            self._num_packets += 1
            # Broadcasts are cut anywhere, and marked wherever the reception was bad.
            self._last_is_cut = packet.is_corrupt and not self.container.format.name.startswith("mpeg")
            self._await(packet)
        try:
            frames = self.stream.decode(packet)
        except av.error.InvalidDataError as err:
            self._last_error = err.strerror or "invalid data"
            # Where pictures are awaited, those that are missing are found by pts: a decoder on several threads tells of
            # a packet later. Before the first picture, a recording may just have begun between two key frames.
            if self._awaited is None and self._num_pictures:
                self._leave_out(None if packet is None else packet.pts)
            return
        except av.FFmpegError as err:
            raise self._damage(err.strerror) from err
        for frame in frames:
            if frame.pts is None:
                self._awaited = None  # so it is in files that were taken over from AVI
            else:
                self._note_missing(frame.pts)
            self._num_pictures += 1
            if frame.is_corrupt:
                number = self._num_pictures + self.num_damaged - 1
                _log.warning("picture_concealed name=%s number=%d pts=%s", self.name, number, frame.pts)
            yield frame

    def _has_a_picture_a_packet(self) -> bool:
        """Tell whether the container and the codec put each picture that is shown in one packet with its pts."""
        is_matroska = "matroska" in self.container.format.name
        return (self.is_mov or is_matroska) and self.stream.codec_context.codec.canonical_name not in _HIDING_CODECS

    def _await(self, packet: Packet[Stream]) -> None:
        if self._awaited is None or packet.pts is None or packet.is_discard:
            return
        if self._first_key_pts is None and packet.is_keyframe:
            self._first_key_pts = packet.pts
        # What comes before the first key frame refers to pictures that the film does not have.
        if self._first_key_pts is not None and packet.pts >= self._first_key_pts:
            heapq.heappush(self._awaited, packet.pts)

    def _note_missing(self, pts: int | None) -> None:
        """Leave out what was awaited before `pts`, or at all: decoders drop damaged pictures without a word."""
        while self._awaited and (pts is None or self._awaited[0] <= pts):
            awaited = heapq.heappop(self._awaited)
            if awaited != pts:
                self._leave_out(awaited)

    def _leave_out(self, pts: int | None) -> None:
        """Count a picture that cannot be decoded.

        Raises:
            DamagedPictureError: the film is not read leniently.
        """
        number, reason = self._num_pictures + self.num_damaged, self._last_error
        if not self._is_lenient:
            time = f"{float(pts * (self.stream.time_base or 0)):.2f} s" if pts is not None else "an unknown time"
            message = f"{self.name}: frame {number} at {time} (pts {pts}) cannot be decoded: {reason}; {_DAMAGE_ADVICE}"
            raise DamagedPictureError(message, number=number, pts=pts)
        self.num_damaged += 1
        _log.warning("picture_left_out name=%s number=%d pts=%s reason='%s'", self.name, number, pts, reason)

    def _pass_on(self, packet: Packet[Stream]) -> None:
        if self._pending is None:
            if self._sink is not None:
                self._sink(packet)
            return
        self._pending.append(packet)
        self._pending_bytes += packet.size
        if self._pending_bytes > _MAX_PENDING_BYTES:
            raise MediaError(
                f"{self.name}: no picture among the first {_MAX_PENDING_BYTES >> 20} MiB; "
                "interleave it with `ffmpeg -i IN -c copy OUT.mkv` and give that"
            )

    def _note_end(self, packet: Packet[Stream]) -> None:
        if packet.size and packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * Fraction(packet.time_base)
            self._end_seconds = max(self._end_seconds, end)

    def _check_complete(self) -> None:
        """Raise where the film ended before its container says; formats without an index or a length cannot tell."""
        is_short = self._last_is_cut
        if self.is_mov:
            is_short |= self._num_packets < len(self.stream.index_entries)
        elif "matroska" in self.container.format.name:
            promised = promised_size(self._start)
            is_short |= promised is not None and 0 <= _file_size(self._file) < promised
            # A second of grace: the length in the header is of the longest stream, and some muxers round it.
            is_short |= Fraction(self.container.duration or 0, av.time_base) > self._end_seconds + 1
        if not is_short:
            return
        if not self._is_lenient:
            raise self._damage("the container promises more")
        _log.warning("film_is_cut_short name=%s time=%.2f", self.name, float(self._end_seconds))

    def _may_end_here(self, err: av.FFmpegError) -> bool:
        """Tell whether a container that breaks off is to be taken for one that ends."""
        may_end = self._is_lenient and bool(self._num_pictures) and isinstance(err, av.error.InvalidDataError)
        if may_end:
            _log.warning("film_breaks_off name=%s reason='%s'", self.name, err.strerror)
        return may_end

    def _damage(self, reason: str | None) -> MediaError:
        if self._is_pipe and self.is_mov and not self._num_pictures:
            return MediaError(f"{self.name}: the index of this MP4 or MOV comes after its pictures; {_INDEX_ADVICE}")
        where = f"after {self._num_pictures} pictures ({float(self._end_seconds):.2f} s)"
        return MediaError(f"{self.name} is damaged or cut short {where}: {reason}; {_REPAIR_ADVICE}")


def _read_start(file: str | BinaryIO | None) -> bytes:
    """Read the first bytes of a URL of the `file` protocol, or an open file, which is wound back; none if it cannot."""
    if isinstance(file, str):
        path = Path(file.removeprefix("file:"))
        with suppress(OSError, ValueError):  # FFmpeg says why
            if path.is_file():  # what is read of a named pipe is gone
                with path.open("rb") as opened:
                    return opened.read(_START_BYTES)
        return b""
    if file is None:
        return b""
    start = file.read(_START_BYTES)
    file.seek(0)
    return start


def _file_size(file: str | BinaryIO | None) -> int:
    """Give the size in bytes of a file that `_read_start` could read; -1 while it still grows."""
    if isinstance(file, str):
        return Path(file.removeprefix("file:")).stat().st_size
    assert file is not None, "nothing is promised by a file that could not be read"
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(position)
    return size


def _pick_stream(container: InputContainer, name: str) -> VideoStream:
    """Give the first video stream that is not a picture attached to a sound track."""
    streams = [video for video in container.streams.video if not video.disposition & Disposition.attached_pic]
    if not streams:
        kinds = ", ".join(stream.type for stream in container.streams) or "nothing"
        raise MediaError(f"{name} has no video stream, only {kinds}; {_FILM_ADVICE}")
    if streams[0].codec_context is None:
        raise MediaError(f"{name}: this FFmpeg has no decoder for its video; convert it first, for instance to H.264")
    if streams[0].codec_context.codec.name in _TEXT_ART_CODECS:
        raise MediaError(f"{name} is a text file; {_FILM_ADVICE}")
    return streams[0]
