"""What a film carries beside its pictures, from one container to another without decoding."""

from __future__ import annotations  # Packet is generic in PyAV's stubs alone

import logging

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, DataStream, Discard, Disposition, Stream
from av.video.stream import VideoStream

from kinema_core.errors import MediaError
from kinema_core.media.codec_delay import add_delayed_aac, num_priming_samples
from kinema_core.media.reader import FilmReader
from kinema_core.media.subtitle_conversion import SubtitleConverter, can_be_converted

_log = logging.getLogger(__name__)

_OWN_TAGS = {"compatible_brands", "duration", "encoder", "major_brand", "minor_version", "vendor_id"}
"""What the new container says itself."""
_OWN_TAG_STEMS = ("bps", "number_of_", "_statistics_", "duration-")
"""Matroska's counts of the old streams."""
_PLAYED_IN_MP4 = {"aac", "ac3", "alac", "eac3", "mp3", "opus"}
"""Sound that most players play from MP4; FFmpeg puts more there."""
_DEFAULT_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_COVER_SUFFIXES = {"bmp": "bmp", "mjpeg": "jpg", "png": "png"}
"""Codecs of cover art that MP4 holds, with the suffix of such a file."""
_COVER_TYPES = {"mjpeg": "jpeg"}
"""Where a picture's MIME type is not called after its codec."""


class StreamCopies:
    """The copies that an output container makes of a film's other streams: sound, subtitles, attachments, cover art.

    Packets are copied as they are, but for text subtitles in a codec that the container does not hold: these are
    converted. What cannot be copied is left out with a warning that names it; sound and subtitles only where the writer
    is lenient. Data streams are left out: those of timecodes and chapters FFmpeg writes again from the tags.
    """

    def __init__(
        self, reader: FilmReader, container: OutputContainer, *, is_lenient: bool = False, is_told: bool = False
    ) -> None:
        """Add a stream to `container` for each that can be copied; its header must not have been written.

        Args:
            reader: the film.
            container: the new one.
            is_lenient: whether sound and subtitles that cannot be copied are left out.
            is_told: whether what is left out was told before.

        Raises:
            MediaError: sound or subtitles cannot be copied, and `is_lenient` is False.
        """
        self._reader = reader
        self._copies: dict[int, Stream] = {}
        self._converters: dict[int, SubtitleConverter] = {}
        self._last_times: dict[int, tuple[int, int]] = {}
        """dts and end of each stream's last packet."""
        self._is_lenient = is_lenient
        self._level = logging.DEBUG if is_told else logging.WARNING
        for stream in reader.other_streams:
            reason = self._add(stream, container)
            if reason is None:
                continue
            kind = f"{stream.type}/{_codec_name(stream)}"
            if stream.type in {"audio", "subtitle"} and not is_lenient:
                raise MediaError(
                    f"stream {stream.index} of {reader.name} ({kind}) cannot be carried over: {reason}; "
                    "write .mkv, which holds most streams, or say --lenient to leave it out"
                )
            _log.log(
                self._level, "stream_not_copied index=%d kind=%s reason='%s' advice='.mkv holds most streams'",
                stream.index, kind, reason,
            )  # fmt: skip

    @property
    def converts_subtitles(self) -> bool:
        """Whether some subtitles are copied in another codec."""
        return bool(self._converters)

    def readdress(self, packet: Packet[Stream]) -> Packet[Stream] | None:
        """Make `packet` one of the new container, or give the one that stands for it; None where there is none.

        Containers refuse decoding times that do not rise, so one that does not is moved to the next tick, as the
        `ffmpeg` program does; a packet without a time follows the one before it.
        """
        index = packet.stream.index
        copy = self._copies.get(index)
        if copy is None:
            return None
        if index in self._converters:
            converted = self._convert(packet)
            if converted is None:
                return None
            packet = converted
        last, end = self._last_times.get(index, (None, 0))
        dts = packet.dts if packet.dts is not None else packet.pts
        if dts is None:
            dts = end
        if last is not None and dts <= last and copy.type == "audio":
            dts = last + 1
        self._last_times[index] = dts, dts + (packet.duration or 1)
        packet.dts = dts
        packet.pts = dts if packet.pts is None else max(packet.pts, dts)
        packet.stream = copy
        return packet

    def _convert(self, packet: Packet[Stream]) -> Packet[Stream] | None:
        """Convert a subtitle.

        Raises:
            MediaError: it cannot be decoded, and the writer is not lenient.
        """
        index = packet.stream.index
        try:
            return self._converters[index].convert(packet)
        except av.FFmpegError as err:
            time = f"{float((packet.pts or 0) * packet.time_base):.2f} s"
            if not self._is_lenient:
                raise MediaError(
                    f"the subtitle of stream {index} of {self._reader.name} at {time} cannot be converted: "
                    f"{err.strerror}; "
                    "mend it, write the film's own kind of file, or say --lenient to leave it out"
                ) from err
            _log.warning("subtitle_left_out index=%d time='%s' reason='%s'", index, time, err.strerror)
            return None

    def _add(self, stream: Stream, container: OutputContainer) -> str | None:
        """Add a copy of the stream, or tell why not."""
        if _is_cover_art(stream):
            return self._add_cover_art(stream, container)
        if isinstance(stream, VideoStream):
            return "only the first video stream is colorized"
        if isinstance(stream, DataStream):
            comes_again = "timecode" in stream.metadata or stream.discard is Discard.all  # so MP4's chapters are marked
            return None if comes_again else "data streams are not copied"
        return self._add_packets_of(stream, container)

    def _add_packets_of(self, stream: Stream, container: OutputContainer) -> str | None:
        if isinstance(stream, AttachmentStream):
            if not _is_matroska(container):
                return f"{container.format.name} holds no attachments"
        elif not _has_codec(stream):
            return "this FFmpeg does not know its codec"
        try:
            copy = _add_copy(stream, container)
        except ValueError:  # PyAV's "format does not support codec"
            if not can_be_converted(stream, container):
                return f"{container.format.name} cannot hold it"
            self._converters[stream.index] = converter = SubtitleConverter(stream, container)
            copy = converter.stream
        copy.metadata.update(copied_metadata(stream.metadata))
        copy.disposition = stream.disposition
        self._copies[stream.index] = copy
        if stream.type == "audio" and container.format.name == "mp4" and _codec_name(stream) not in _PLAYED_IN_MP4:
            _log.log(
                self._level, "sound_seldom_played index=%d codec=%s advice='few players take it from MP4; write .mkv'",
                stream.index, _codec_name(stream),
            )  # fmt: skip
        return None

    def _add_cover_art(self, stream: Stream, container: OutputContainer) -> str | None:
        codec = _codec_name(stream)
        if _is_matroska(container):  # as an attachment, which is written with the header
            data = self._reader.attached_picture(stream)
            if data is None:
                return "its data does not come before the first picture"
            suffix = _COVER_SUFFIXES.get(codec, codec)
            name = stream.metadata.get("filename", f"cover.{suffix}")
            container.add_attachment(
                name, stream.metadata.get("mimetype", f"image/{_COVER_TYPES.get(codec, codec)}"), data
            )
            return None
        if container.format.name != "mp4" or codec not in _COVER_SUFFIXES:
            return f"{container.format.name} holds no such cover art"
        copy: Stream = container.add_stream_from_template(stream, opaque=True)
        copy.disposition = Disposition.attached_pic
        self._copies[stream.index] = copy
        return None


def _add_copy(stream: Stream, container: OutputContainer) -> Stream:
    if isinstance(stream, AudioStream) and _is_matroska(container) and _codec_name(stream) == "aac":
        num_samples = num_priming_samples(stream)
        if num_samples:
            return add_delayed_aac(container, stream, num_samples)
    copy: Stream = container.add_stream_from_template(stream)
    if isinstance(copy, AudioStream) and copy.layout.name.endswith(" channels"):
        # Matroska tells the number of channels alone, and MP4 cannot be finished without their names; FFmpeg's
        # defaults for the number, as the `ffmpeg` program takes them.
        copy.codec_context.layout = _DEFAULT_LAYOUTS.get(copy.layout.nb_channels, copy.layout)
    return copy


def copied_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """Keep what is worth carrying into another container: titles, languages, dates, timecodes."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _OWN_TAGS and not key.lower().startswith(_OWN_TAG_STEMS)
    }


def _is_matroska(container: OutputContainer) -> bool:
    return "matroska" in container.format.name


def _is_cover_art(stream: Stream) -> bool:
    return isinstance(stream, VideoStream) and Disposition.attached_pic in stream.disposition


def _has_codec(stream: Stream) -> bool:
    codec_context: object = stream.codec_context  # None for data and unknown codecs, whatever PyAV's stub says
    return codec_context is not None


def _codec_name(stream: Stream) -> str:
    return stream.codec_context.codec.canonical_name if _has_codec(stream) else stream.name or "unknown"
