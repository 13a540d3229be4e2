"""Films out: colour frames encoded, sound and all else of the source carried over, complete or not at all."""

from __future__ import annotations  # Packet is generic in PyAV's stubs alone

import dataclasses
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from kinema_core.errors import InvalidInputError, KinemaError, MediaError
from kinema_core.frames import ColorFrame, ColorTags, check_size
from kinema_core.media.encoder_threads import write_header
from kinema_core.media.encoders import DEFAULT_CODEC, Encoder, choose_encoder
from kinema_core.media.ffmpeg_errors import ffmpeg_errors
from kinema_core.media.matroska_aspect import reserve_aspect, write_aspect
from kinema_core.media.output_file import PartialFile
from kinema_core.media.picture_encoder import PictureEncoder
from kinema_core.media.read_back import check_written
from kinema_core.media.reader import FilmReader
from kinema_core.media.segments import Segment, joined_packets
from kinema_core.media.stream_copy import StreamCopies, copied_metadata

_log = logging.getLogger(__name__)

FILM_SUFFIXES = (".m4v", ".mkv", ".mov", ".mp4")
"""The containers that films are written to."""
_STREAMED = (".m4v", ".mp4")
"""Have their index in front, so that they play while they are still being loaded; FFmpeg copies the file for it."""
_MAX_WAIT_MICROSECONDS = 2_000_000
"""How long FFmpeg holds pictures back for the next subtitle or the rest of a sound that has ended; left to itself ten
seconds, which of a lossless film of 4096 pixels are gigabytes."""


class FilmWriter:
    """A film under way: it gets its name when `close` has succeeded, and leaves nothing behind otherwise.

    In a `with` block, an error or Ctrl-C aborts. MP4 and MOV keep every pts exactly (in a finer time base where the
    given one is not 1/n). Matroska counts milliseconds from zero: pts are rounded to these, and where a stream begins
    before zero, as AAC from MP4 does, all streams are moved alike. A film for standard output, or for a file that is
    open already, is Matroska.

    With `copy_from`, the reader's sound, subtitles, attachments, chapters, titles, timecode, rotation and pixel aspect
    come along; packets are interleaved by FFmpeg as the reader passes them, so memory does not grow with the film. Make
    the writer before the reader's pictures are read. `write` and the reader may run in two threads.
    """

    def __init__(  # noqa: PLR0913  # what a film is cannot be said in fewer words; all but the path are named
        self,
        path: str | os.PathLike[str] | BinaryIO,
        *,
        width: int,
        height: int,
        time_base: Fraction,
        average_rate: Fraction | None = None,
        tags: ColorTags,
        codec: str = DEFAULT_CODEC,
        crf: int | None = None,
        preset: str | None = None,
        copy_from: FilmReader | None = None,
        is_lenient: bool = False,
        is_told: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Open the film and write its header.

        Args:
            path: where it is to appear, a missing folder is created; "-" for standard output; or a file to write to.
            width: pixels, as in every frame.
            height: pixels, as in every frame.
            time_base: seconds in a tick of every frame's pts.
            average_rate: frames a second in the mean, for the last frame's duration and the encoder's rate control;
                25 where unknown.
            tags: how every frame is to be read.
            codec: one of `encoders.CODECS`.
            crf: quality of a lossy codec; see `choose_encoder`.
            preset: one of `encoders.PRESETS`, for a lossy codec.
            copy_from: the film that the frames are made of.
            is_lenient: whether its sound and subtitles are left out, with a warning, where the container cannot hold
                them.
            is_told: whether that was told before, and need not be again.
            overwrite: whether a file of that name may be replaced.

        Raises:
            OutputExistsError: the name is taken, and `overwrite` is False.
            MediaError: the container is unknown, cannot hold the codec, or sound or subtitles of `copy_from`; or the
                file cannot be written.
            InvalidInputError: an unknown codec, a quality that it does not take, or a size that is out of bounds.
        """
        check_size(height, width, field="film")
        self._shape = (height, width)
        self._tags = tags
        self._encoder = choose_encoder(codec, height=height, width=width, tags=tags, crf=crf, preset=preset)
        self._copies: StreamCopies | None = None
        self._aspect_to_write: Fraction | None = None
        self._lock = threading.Lock()
        self._is_open = True
        self._is_rehearsal = False
        self._time_base = time_base
        self._ready_made: Iterator[Packet[Any]] | None = None
        self._next_picture: Packet[Any] | None = None
        self.num_frames = 0
        """How many frames were written so far."""
        self._file: PartialFile | None = None
        target: PartialFile | str | BinaryIO
        if not isinstance(path, (str, os.PathLike)):
            self.name, target = "the new film", path
        elif path == "-":
            self.name, target = "standard output", "pipe:1"
        else:
            self.name = os.fspath(path)
            self._file = target = _claim(path, overwrite=overwrite)
        self._container: OutputContainer | None = None
        try:
            self._container = container = _open(target, time_base, self._encoder)
            self._pictures = PictureEncoder(
                container,
                self._encoder,
                name=self.name,
                shape=self._shape,
                time_base=time_base,
                average_rate=average_rate,
                tags=tags,
            )
            if copy_from is not None:
                self._shape_as(copy_from, self._pictures.stream, container)
                self._carry_over(copy_from, container, is_lenient=is_lenient, is_told=is_told)
            advice = f"does it hold {codec}? .mkv holds every codec and most streams"
            with ffmpeg_errors(f"{self.name} cannot be begun", advice=advice):
                write_header(container)
        except BaseException:
            self.abort()
            raise

    @classmethod
    def like(  # noqa: PLR0913  # the constructor's
        cls,
        film: FilmReader,
        path: str | os.PathLike[str] | BinaryIO,
        *,
        width: int | None = None,
        codec: str = DEFAULT_CODEC,
        crf: int | None = None,
        preset: str | None = None,
        is_lenient: bool = False,
        is_told: bool = False,
        overwrite: bool = False,
    ) -> Self:
        """Open a film of the size (but for `width`, if given), time and tags of `film`, and take all else of it along.

        The arguments and errors are those of the constructor.
        """
        return cls(
            path,
            width=width or film.width,
            height=film.height,
            time_base=film.time_base,
            average_rate=film.average_rate,
            tags=film.tags,
            codec=codec,
            crf=crf,
            preset=preset,
            copy_from=film,
            is_lenient=is_lenient,
            is_told=is_told,
            overwrite=overwrite,
        )

    def write(self, frame: ColorFrame) -> None:
        """Encode one frame; its planes must not be written to afterwards.

        Raises:
            InvalidInputError: its size, tags or time base are not the film's, or its pts does not rise.
            MediaError: it cannot be encoded or written, for instance for want of space.
        """
        if not self._is_open:
            raise InvalidInputError("frame", f"{self.name} is closed; write before that")
        packets = self._pictures.encode(frame)
        with self._lock:
            self._mux(packets)
        self.num_frames += 1

    @property
    def converts_subtitles(self) -> bool:
        """Whether there are subtitles that the container holds in another codec only."""
        return self._copies is not None and self._copies.converts_subtitles

    def rehearse(self, film: FilmReader | None = None) -> None:
        """Drop this writer, which has shown that such a film can be begun; convert every subtitle before.

        Args:
            film: the one that this writer copies from, if its subtitles are to be converted.

        Raises:
            MediaError: one cannot be converted, and the writer is not lenient.
        """
        self._is_rehearsal = True
        if film is not None:
            film.pass_packets()
        self._pictures.finish()  # SVT-AV1 complains on standard error where it is not told
        self.abort()

    def join(self, film: FilmReader, segments: Sequence[tuple[Path, Segment]]) -> None:
        """Write pictures that are encoded already, in place of `write`, and all else of `film`.

        Args:
            film: the one that this writer copies from; it is read to its end, its pictures are not decoded.
            segments: with their files, all of them, in order; encoded by the same choices as this film's.

        Raises:
            MediaError: a segment cannot be read, or is of another encoder.
        """
        if any(segment.extradata != self._pictures.extradata for _, segment in segments):
            raise MediaError(f"{self.name}: its segments are of another encoder; say --restart to make them again")
        self._ready_made = joined_packets(segments, self._time_base)
        self._next_picture = next(self._ready_made, None)
        if film.other_streams:
            film.pass_packets()
        with self._lock:
            self._mux_pictures(None)
        self._pictures.finish()  # of nothing: SVT-AV1 complains on standard error where it is not told

    def close(self) -> None:
        """Finish the film and give it its name; after an abort, do nothing.

        Raises:
            OutputMismatchError: the file does not read back as what was meant; it is kept under the name that it had
                while it was written, for it may be the work of hours.
            MediaError: there is no frame in it, or it cannot be finished; nothing is left behind.
        """
        if not self._is_open:
            return
        if not self.num_frames:
            self.abort()
            raise MediaError(f"{self.name}: not one frame was written, so there is no film")
        try:
            if self._ready_made is None:
                packets = self._pictures.finish()
                with self._lock:
                    self._mux(packets)
            self._close_container()
        except BaseException:
            self.abort()
            raise
        if self._file is not None:
            self._check_and_commit(self._file)

    def _check_and_commit(self, file: PartialFile) -> None:
        if self._aspect_to_write is not None:
            write_aspect(file.partial, shape=self._shape, aspect=self._aspect_to_write)
        check_written(file.partial, tags=self._written_tags, shape=self._shape, num_frames=self.num_frames)
        file.commit()

    @property
    def _written_tags(self) -> ColorTags:
        """The tags as the file holds them: ProRes makes 10 bit of 8."""
        bit_depth = 10 if self._encoder.pix_fmt.endswith("10le") else 8
        return dataclasses.replace(self._tags, bit_depth=bit_depth)

    def abort(self) -> None:
        """Drop the film; nothing of it is left, but for what went to standard output already."""
        with suppress(KinemaError):  # FFmpeg tries to end the file well before it lets go; on a full disk it cannot
            self._close_container()
        if self._file is not None:
            self._file.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _close_container(self) -> None:
        with self._lock, ffmpeg_errors(f"{self.name} cannot be finished", advice="is there space left?"):
            self._is_open = False
            if self._container is not None:
                self._container.close()

    def _shape_as(self, source: FilmReader, stream: VideoStream, container: OutputContainer) -> None:
        stream.metadata.update(copied_metadata(source.video_metadata))
        stream.set_display_matrix(source.display_matrix)
        aspect = source.sample_aspect_ratio
        if not aspect:
            return
        stream.codec_context.sample_aspect_ratio = aspect
        if aspect == 1 or "matroska" not in container.format.name:
            return
        if self._file is not None and "stereo_mode" not in stream.metadata:  # of a film in 3D the space is taken
            reserve_aspect(stream)
            self._aspect_to_write = aspect
        elif not self._encoder.name.startswith("libx26"):  # H.264 and HEVC hold it themselves, too
            _log.warning("pixel_aspect_not_carried name=%s aspect=%s advice='write .mp4'", self.name, aspect)

    def _carry_over(self, source: FilmReader, container: OutputContainer, *, is_lenient: bool, is_told: bool) -> None:
        container.metadata.update(copied_metadata(source.metadata))
        container.set_chapters(source.chapters)
        self._copies = StreamCopies(source, container, is_lenient=is_lenient, is_told=is_told)
        source.hand_packets_to(self._take)

    def _take(self, packet: Packet[Stream]) -> None:
        """Write a packet that the reader passes; FFmpeg holds it back until its turn."""
        with self._lock:
            if not self._is_open or self._copies is None:
                return
            readdressed = self._copies.readdress(packet)
            if readdressed is None or self._is_rehearsal:
                return
            self._mux_pictures(readdressed)
            self._mux([readdressed])

    def _mux_pictures(self, until: Packet[Any] | None) -> None:
        """Write the ready-made pictures that are decoded up to the time of a packet, or all of them."""
        end = None if until is None or until.dts is None else until.dts * Fraction(until.time_base)
        while self._next_picture is not None and self._ready_made is not None:
            packet = self._next_picture
            assert packet.dts is not None, "that of a joined film is computed"
            if until is not None and (end is None or packet.dts * self._time_base > end):
                return
            packet.stream = self._pictures.stream
            self._mux([packet])
            self.num_frames += 1
            self._next_picture = next(self._ready_made, None)

    def _mux(self, packets: Sequence[Packet[Any]]) -> None:
        assert self._container is not None, "only an open film is written to"
        with ffmpeg_errors(f"{self.name} cannot be written on", advice="is there space left?"):
            self._container.mux(packets)


def _claim(path: str | os.PathLike[str], *, overwrite: bool) -> PartialFile:
    suffix = Path(path).suffix.lower()
    if suffix not in FILM_SUFFIXES:
        kinds = f"one of {', '.join(FILM_SUFFIXES)}, or numbered pictures as colour/%05d.png"
        raise MediaError(f"{os.fspath(path)}: a film is written as {kinds}, not {suffix!r}")
    return PartialFile(path, overwrite=overwrite)


def _open(target: PartialFile | str | BinaryIO, time_base: Fraction, encoder: Encoder) -> OutputContainer:
    options = {} if encoder.is_inter else {"max_interleave_delta": str(_MAX_WAIT_MICROSECONDS)}
    if not isinstance(target, PartialFile):
        return av.open(target, "w", format="matroska", container_options=options)
    suffix = target.final.suffix.lower()
    if suffix != ".mkv":
        # MP4 and MOV: ticks as they are given, and edit lists in a multiple of them that is fine enough for any sound,
        # so that a film that does not begin at zero keeps its pts.
        ticks = time_base.denominator
        options |= {"video_track_timescale": str(ticks), "movie_timescale": str(ticks * -(-48000 // ticks))}
    if suffix in _STREAMED:
        options["movflags"] = "faststart"
    return av.open(f"file:{target.partial}", "w", container_options=options)
