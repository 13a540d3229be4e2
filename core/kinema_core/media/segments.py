"""Pieces of a film's pictures, encoded each by itself: kept on disk, and joined without encoding anything again.

A segment is a file of packets, one after the other, and a `Segment` that says what they are. Its encoder starts anew,
so that its first frame refers to none before it and its last to none behind it. No container is used: Matroska rounds
times to milliseconds, MP4 holds no ProRes, and neither is read while it is being written.
"""

from __future__ import annotations  # Packet is generic in PyAV's stubs alone

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.packet import Packet
from numpy.typing import NDArray

from kinema_core.errors import MediaError
from kinema_core.frames import ColorFrame
from kinema_core.media.encoder_threads import write_header
from kinema_core.media.encoders import DEFAULT_CODEC, choose_encoder
from kinema_core.media.ffmpeg_errors import ffmpeg_errors
from kinema_core.media.picture_encoder import PictureEncoder
from kinema_core.media.reader import FilmReader

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A finished file of packets."""

    packets: NDArray[np.int64]
    """(N, 4), in the order of decoding: pts, duration, whether it is a key frame, bytes."""
    extradata: bytes
    """What a decoder needs before the first packet."""
    digest: str
    """SHA-256 of the file."""

    @property
    def num_frames(self) -> int:
        """How many pictures there are: as many as packets."""
        return len(self.packets)

    @property
    def pts(self) -> NDArray[np.int64]:
        """(N,), of the pictures in the order of presentation."""
        return np.sort(self.packets[:, 0])

    @property
    def delay(self) -> int:
        """By how many places a picture is decoded later than it is shown, at most."""
        place_shown = np.searchsorted(self.pts, self.packets[:, 0])
        return int(np.max(np.arange(self.num_frames) - place_shown))


class SegmentWriter:
    """A segment under way; `close` finishes it, and a `with` block removes it on an error."""

    def __init__(
        self,
        path: Path,
        film: FilmReader,
        *,
        width: int | None = None,
        codec: str = DEFAULT_CODEC,
        crf: int | None = None,
        preset: str | None = None,
    ) -> None:
        """Open the file and an encoder of its own, as a FilmWriter would for the same choices.

        Args:
            path: of the packets; a file of that name is written over.
            film: what the frames are made of.
            width: of every frame, in pixels; the film's where None.
            codec: one of `encoders.CODECS`.
            crf: quality of a lossy codec.
            preset: one of `encoders.PRESETS`.

        Raises:
            MediaError: the file cannot be made, or the frames cannot be encoded so.
            InvalidInputError: an unknown codec, or a choice that it does not take.
        """
        shape = (film.height, width or film.width)
        encoder = choose_encoder(codec, height=shape[0], width=shape[1], tags=film.tags, crf=crf, preset=preset)
        # Only lends the encoder its stream; with global headers, as every container of ours has them.
        self._container = av.open(io.BytesIO(), "w", format="matroska")
        self._encoder = PictureEncoder(
            self._container,
            encoder,
            name=str(path),
            shape=shape,
            time_base=film.time_base,
            average_rate=film.average_rate,
            tags=film.tags,
        )
        if film.sample_aspect_ratio:
            self._encoder.stream.codec_context.sample_aspect_ratio = film.sample_aspect_ratio
        with ffmpeg_errors(f"{path} cannot be begun"):
            write_header(self._container)
        self._path = path
        self._packets: list[tuple[int, int, int, int]] = []
        self._hash = hashlib.sha256()
        try:
            self._file = path.open("wb")
        except OSError as err:
            raise MediaError(f"{path} cannot be made: {err.strerror}") from err

    @property
    def num_frames(self) -> int:
        """How many frames were written so far."""
        return self._encoder.num_frames

    def write(self, frame: ColorFrame) -> None:
        """Encode one frame.

        Raises:
            InvalidInputError: it is not like the film's.
            MediaError: it cannot be encoded or written, for instance for want of space.
        """
        self._append(self._encoder.encode(frame))

    def close(self) -> Segment:
        """Finish the file; what is on disk then outlives a loss of power.

        Raises:
            MediaError: it cannot be finished.
        """
        self._append(self._encoder.finish())
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as err:
            raise self._failure(err) from err
        self._container.close()
        packets = np.array(self._packets, np.int64).reshape(-1, 4)
        if len(packets) != self.num_frames:
            raise MediaError(f"{self._path}: the encoder gave {len(packets)} packets for {self.num_frames} frames")
        return Segment(packets, self._encoder.extradata, self._hash.hexdigest())

    def abort(self) -> None:
        """Remove the file."""
        with suppress(OSError):  # an error is on its way already, and that is the one to be seen
            self._file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        self._container.close()

    def _append(self, packets: Sequence[Packet[Any]]) -> None:
        for packet in packets:
            assert packet.pts is not None, "encoders keep the pts that they are given"
            data = bytes(packet)
            self._packets.append((packet.pts, packet.duration or 0, int(packet.is_keyframe), len(data)))
            self._hash.update(data)
            try:
                self._file.write(data)
            except OSError as err:
                raise self._failure(err) from err

    def _failure(self, err: OSError) -> MediaError:
        return MediaError(f"{self._path} cannot be written on: {err.strerror}; is there space left?")


def is_intact(path: Path, segment: Segment) -> bool:
    """Read a segment's file, and tell whether it is what was written."""
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
    except OSError:
        return False
    return found.hexdigest() == segment.digest


def joined_packets(segments: Sequence[tuple[Path, Segment]], time_base: Fraction) -> Iterator[Packet[Any]]:
    """Give the packets of all segments as those of one film.

    A picture's decoding time is the time of the picture that is shown as many places earlier as pictures are delayed at
    most. So it rises all through the film, as the decoding times of encoders that start anew do not, and none is later
    than the picture's own time.

    Raises:
        MediaError: a file cannot be read, or ends early.
    """
    shown = np.concatenate([segment.pts for _, segment in segments])
    delay = max(segment.delay for _, segment in segments)
    lead = shown[delay] - shown[0]
    dts = np.concatenate([shown[:delay] - lead, shown[: len(shown) - delay]])
    place = 0
    for path, segment in segments:
        try:
            with path.open("rb") as file:
                for pts, duration, is_keyframe, size in segment.packets.tolist():
                    packet: Packet[Any] = Packet(_read(file, size))
                    packet.pts, packet.dts, packet.duration = pts, int(dts[place]), duration
                    packet.is_keyframe = bool(is_keyframe)
                    packet.time_base = time_base
                    yield packet
                    place += 1
        except OSError as err:
            raise MediaError(f"{path} cannot be read: {err.strerror}") from err


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise MediaError("a segment of the film ends early; say the same command again, which makes it again")
    return data
