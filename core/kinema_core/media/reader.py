"""Films in: the first video stream as luma frames, everything else handed on untouched."""

import itertools
import logging
import math
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import av
import numpy as np
from av.stream import Stream

from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.frames import ColorFrame, ColorTags, LumaFrame, check_size
from kinema_core.media.color_tags import read_tags
from kinema_core.media.decoded_planes import PlaneTaker
from kinema_core.media.deinterlacer import Deinterlace, deinterlace, read_field_order
from kinema_core.media.demuxer import Demuxer, PacketSink
from kinema_core.media.image_sequence import ImageSequence, find_sequence

if TYPE_CHECKING:
    from av.container.core import Chapter  # only its stub has it

_log = logging.getLogger(__name__)

_STRANGERS_OPTIONS = {
    "format_whitelist": "matroska,mov,avi,mpeg,mpegts,mxf,flv,ogg,asf,nut,dv,yuv4mpegpipe,ivf",
    "protocol_whitelist": "none",
}
"""Containers that hold a film themselves. A playlist would have FFmpeg open what it names, here or on the network."""


class FilmReader:
    """A film, read once from the beginning to the end.

    Iterating yields a LumaFrame for every picture of the first video stream (cover art aside), with the very Y' that
    the decoder gives (see `PlaneTaker` for the formats) and the film's own pts; `color_frames` yields the film's own
    colour as well. Interlaced pictures are deinterlaced first, which alters Y' and is in the log. A picture without a
    pts gets its dts, or else one nominal duration more than the last; one whose pts does not rise gets one tick more
    than the last.

    Packets of all other streams pass by in the file's order; a FilmWriter made with `copy_from` takes them while the
    pictures are read, in the thread that reads them.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        deinterlace: Deinterlace = Deinterlace.AUTO,
        frame_rate: Fraction | None = None,
        is_lenient: bool = False,
    ) -> None:
        """Open `source` and decode up to the first picture.

        Args:
            source: a path, numbered pictures as in `scan_%05d.png`, "-" for standard input, or a file that can be read
                and sought in; of the latter nobody knows where it comes from, so only well-known containers are taken.
            deinterlace: which pictures are two fields that are to become one whole picture.
            frame_rate: of numbered pictures, 24 where None; a film has its own.
            is_lenient: whether pictures that cannot be decoded are left out, with a line in the log, and not an error.

        Raises:
            MediaError: there is no such film, it has no pictures, or it is damaged before the first one.
            InvalidInputError: a frame rate for something else than numbered pictures.
        """
        self._deinterlace = deinterlace
        sequence = None
        if isinstance(source, (str, os.PathLike)):
            self.name = "standard input" if source == "-" else os.fspath(source)
            sequence = find_sequence(self.name)
        else:
            self.name = "the film"
        if sequence is None and frame_rate is not None:
            raise InvalidInputError("frame_rate", f"is for numbered pictures; {self.name} has its own, leave it out")
        self.first_number = sequence.first_number if sequence else None
        """The number of the first picture; None where the film is no sequence of numbered pictures."""
        self._demuxer = self._open(source, sequence, frame_rate, is_lenient=is_lenient)
        try:
            self._begin()
        except BaseException:
            self._demuxer.close()
            raise

    def _open(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        sequence: ImageSequence | None,
        frame_rate: Fraction | None,
        *,
        is_lenient: bool,
    ) -> Demuxer:
        if sequence is not None:
            options = sequence.demuxer_options(frame_rate)
            return Demuxer(sequence.url, self.name, file_format="image2", options=options, is_lenient=is_lenient)
        if not isinstance(source, (str, os.PathLike)):
            return Demuxer(source, self.name, options=_STRANGERS_OPTIONS, is_lenient=is_lenient)
        return Demuxer("pipe:0" if source == "-" else f"file:{self.name}", self.name, is_lenient=is_lenient)

    def _begin(self) -> None:
        stream = self._demuxer.stream
        self._check_size(stream.codec_context.height, stream.codec_context.width)
        self._decoded = self._demuxer.pictures()
        first = next(self._decoded, None)
        if first is None:
            raise MediaError(f"{self.name}: none of its pictures could be decoded; is the file complete?")
        self._check_size(first.height, first.width)
        self._first: av.VideoFrame | None = first
        self._last_pts: int | None = None
        self._planes = PlaneTaker(first.format.name)
        self.height = first.height
        self.width = first.width
        self.tags = self._read_tags(first)
        """How every picture is to be read."""
        self.time_base = Fraction(stream.time_base or Fraction(1, av.time_base))
        """Seconds in a tick of pts."""
        self.average_rate = stream.average_rate or stream.guessed_rate
        """Pictures a second in the mean; None where the container does not tell."""
        self.sample_aspect_ratio = stream.sample_aspect_ratio
        """Width of a pixel by its height; None where unknown."""
        self.display_matrix = _display_matrix_of(first)
        """FFmpeg's nine numbers that turn or mirror the picture when it is shown; None where it is shown as it is."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of every picture, before any rotation."""
        return self.height, self.width

    @property
    def num_frames(self) -> int | None:
        """How many pictures the film has: counted by the container, or estimated; None where nothing tells."""
        if not self.num_frames_is_estimate:
            return self._demuxer.stream.frames
        seconds = self.duration_seconds
        if seconds is None or not self.average_rate:
            return None
        return max(1, round(seconds * self.average_rate))

    @property
    def num_frames_is_estimate(self) -> bool:
        """Whether `num_frames` is duration times average rate; only MP4 and MOV hold a count to rely on."""
        return not (self._demuxer.is_mov and self._demuxer.stream.frames)

    @property
    def duration_seconds(self) -> Fraction | None:
        """How long the video stream lasts, or else the film; None where the container does not tell."""
        stream = self._demuxer.stream
        if stream.duration:
            return stream.duration * self.time_base
        if tagged := _parse_duration(stream.metadata.get("DURATION", "")):
            return tagged
        microseconds = self._demuxer.container.duration
        return Fraction(microseconds, av.time_base) if microseconds else None

    @property
    def num_damaged(self) -> int:
        """How many pictures could not be decoded so far and are left out, which is in the log."""
        return self._demuxer.num_damaged

    @property
    def other_streams(self) -> list[Stream]:
        """Every stream but the one that is read: sound, subtitles, attachments, data, further videos."""
        return [stream for stream in self._demuxer.container.streams if stream.index != self._demuxer.stream.index]

    def attached_picture(self, stream: Stream) -> bytes | None:
        """Give the encoded picture of a stream of cover art; None where it has not passed before the first picture."""
        return self._demuxer.find_pending(stream.index)

    @property
    def metadata(self) -> dict[str, str]:
        """What the container says of the whole film, such as its title."""
        return dict(self._demuxer.container.metadata)

    @property
    def video_metadata(self) -> dict[str, str]:
        """What the container says of the video stream, such as its language or first timecode."""
        return dict(self._demuxer.stream.metadata)

    @property
    def chapters(self) -> "list[Chapter]":
        """The film's chapters, as PyAV gives them."""
        return self._demuxer.container.chapters()

    def hand_packets_to(self, sink: PacketSink) -> None:
        """Call `sink` with every packet of `other_streams` as it passes.

        Raises:
            InvalidInputError: the pictures are being read already, or another sink is there.
        """
        self._demuxer.hand_packets_to(sink)

    def __iter__(self) -> Iterator[LumaFrame]:
        """Read the film as luma.

        Raises:
            DamagedPictureError: a picture cannot be decoded, and the film is not read leniently.
            MediaError: it is cut short, cannot be read on, or changes its size or pixel format.
        """
        for frame, pts in self._pictures():
            yield LumaFrame(self._planes.luma(frame), pts, self.time_base, self.tags)

    def frames(self, *, with_chroma: bool) -> Iterator[LumaFrame]:
        """Read the film as luma, or as `frames_with_chroma` does."""
        return self.frames_with_chroma() if with_chroma else iter(self)

    def frames_with_chroma(self) -> Iterator[LumaFrame]:
        """Read the film as luma with its own chroma beside it, as `color_frames` has both."""
        for frame, pts in self._pictures():
            luma, cb, cr = self._planes.luma_and_chroma(frame)
            yield LumaFrame(luma, pts, self.time_base, self.tags, chroma=(cb, cr))

    def color_frames(self) -> Iterator[ColorFrame]:
        """Read the film with its own colour, brought to 4:2:0 by libswscale; neutral where it has none.

        Y' and tags are those of the luma frames, but for RGB films: there Y' is BT.601's and not the grey of equal L*.
        """
        for frame, pts in self._pictures():
            luma, cb, cr = self._planes.luma_and_chroma(frame)
            yield ColorFrame(luma, cb, cr, pts, self.time_base, self.tags)

    def pass_packets(self) -> None:
        """Read the film to its end without decoding its pictures, for the sink of `hand_packets_to` alone.

        Raises:
            InvalidInputError: the film was read already.
            MediaError: it cannot be read on.
        """
        if self._first is None:
            raise InvalidInputError("film", "can be read once; open it again to read it again")
        self._first = None
        self._demuxer.release()
        self._demuxer.pass_packets()

    def close(self) -> None:
        """Close the film, when no thread reads it any more; more than once does no harm."""
        self._demuxer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _pictures(self) -> Iterator[tuple[av.VideoFrame, int]]:
        first, self._first = self._first, None
        if first is None:
            raise InvalidInputError("film", "can be read once; open it again to read it again")
        self._demuxer.release()
        unchanged = map(self._check_unchanged, itertools.chain([first], self._decoded))
        order = read_field_order(self._demuxer.stream.codec_context)
        for frame in deinterlace(unchanged, mode=self._deinterlace, name=self.name, field_order=order):
            yield frame, self._next_pts(frame)

    def _next_pts(self, frame: av.VideoFrame) -> int:
        pts = frame.pts if frame.pts is not None else frame.dts
        if self._last_pts is not None:
            if pts is None:
                pts = self._last_pts + (round(1 / (self.average_rate * self.time_base)) if self.average_rate else 1)
            if pts <= self._last_pts:
                _log.warning("pts_does_not_rise name=%s pts=%d last=%d", self.name, pts, self._last_pts)
                pts = self._last_pts + 1
        self._last_pts = pts or 0
        return self._last_pts

    def _read_tags(self, first: av.VideoFrame) -> ColorTags:
        if self._planes.is_rgb:
            from kinema_core.color import GREY_TAGS

            return GREY_TAGS
        codec = self._demuxer.stream.codec_context.codec.canonical_name
        return read_tags(first, codec=codec, bit_depth=self._planes.bit_depth)

    def _check_size(self, height: int, width: int) -> None:
        try:
            check_size(height, width, field=self.name)
        except InvalidInputError as err:
            raise MediaError(f"{err}; scale it first, for instance with `ffmpeg -i IN -vf scale=3840:-2 OUT`") from err

    def _check_unchanged(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Refuse a film that changes under way: a stabilizer and an encoder are made for one size and depth."""
        found = f"{frame.width}x{frame.height} {frame.format.name}"
        expected = f"{self.width}x{self.height} {self._planes.pix_fmt}"
        if found != expected:
            seconds = float((frame.pts or 0) * self.time_base)
            raise MediaError(
                f"{self.name} changes from {expected} to {found} at {seconds:.2f} s; "
                "cut it there, and colorize the parts one by one"
            )
        return frame


def _display_matrix_of(frame: av.VideoFrame) -> tuple[int, ...] | None:
    try:
        side_data: Any = frame.side_data  # PyAV's stub knows of motion vectors alone
        matrix = side_data["DISPLAYMATRIX"]
    except KeyError:
        return None
    except ValueError:  # PyAV shows none where it knows one kind too few, such as the EXIF of numbered TIFF
        return matrix_of_rotation(frame.rotation) if frame.rotation else None
    return tuple(np.frombuffer(matrix, np.int32).tolist())


def matrix_of_rotation(degrees: int) -> tuple[int, ...]:
    """Return the display matrix, in 16.16 and 2.30 fixed point, of a turn counter-clockwise."""
    angle = math.radians(degrees)
    cosine, sine = round(math.cos(angle) * (1 << 16)), round(math.sin(angle) * (1 << 16))
    return cosine, -sine, 0, sine, cosine, 0, 0, 0, 1 << 30


def _parse_duration(text: str) -> Fraction | None:
    """Read Matroska's `hh:mm:ss.fffffffff`."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text)
    return int(match[1]) * 3600 + int(match[2]) * 60 + Fraction(match[3]) if match else None
