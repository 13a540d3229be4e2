"""What a film carries beside its pictures, from one container to another without decoding."""

from __future__ import annotations  # Packet is generic in PyAV's stubs alone

import logging

from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, DataStream, Discard, Stream
from av.video.stream import VideoStream

from kinema_core.media.reader import FilmReader

_log = logging.getLogger(__name__)

_OWN_TAGS = {"compatible_brands", "duration", "encoder", "major_brand", "minor_version", "vendor_id"}
"""What the new container says itself."""
_OWN_TAG_STEMS = ("bps", "number_of_", "_statistics_", "duration-")
"""Matroska's counts of the old streams."""
_DEFAULT_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


class StreamCopies:
    """The copies that an output container makes of a film's other streams: sound, subtitles, attachments.

    Left out, each with a warning in the log that names it: streams that the container cannot hold, further video
    streams and cover art, and data streams. Those of timecodes and chapters FFmpeg writes again from the tags.
    """

    def __init__(self, reader: FilmReader, container: OutputContainer) -> None:
        """Add a stream to `container` for each that can be copied; its header must not have been written."""
        self._copies: dict[int, Stream] = {}
        self._last_dts: dict[int, int] = {}
        for stream in reader.other_streams:
            reason = self._add(stream, container)
            if reason:
                kind = f"{stream.type}/{_codec_name(stream)}"
                _log.warning(
                    "stream_not_copied index=%d kind=%s reason='%s' advice='.mkv holds most streams'",
                    stream.index, kind, reason,
                )  # fmt: skip

    def readdress(self, packet: Packet[Stream]) -> bool:
        """Make `packet` one of the new container; False where its stream is not copied.

        Containers refuse decoding times that do not rise, so one that does not is moved to the next tick, as the
        `ffmpeg` program does.
        """
        index = packet.stream.index
        copy = self._copies.get(index)
        if copy is None:
            return False
        dts = packet.dts if packet.dts is not None else packet.pts
        if dts is None:
            _log.warning("packet_not_copied index=%d reason='no time stamp'", index)
            return False
        last = self._last_dts.get(index)
        if last is not None and dts <= last and copy.type == "audio":
            dts = last + 1
        self._last_dts[index] = dts
        packet.dts = dts
        packet.pts = dts if packet.pts is None else max(packet.pts, dts)
        packet.stream = copy
        return True

    def _add(self, stream: Stream, container: OutputContainer) -> str | None:
        """Add a copy of the stream, or tell why not."""
        if isinstance(stream, VideoStream):
            return "only the first video stream is colorized"
        if isinstance(stream, DataStream):
            comes_again = "timecode" in stream.metadata or stream.discard is Discard.all  # so MP4's chapters are marked
            return None if comes_again else "data streams are not copied"
        if isinstance(stream, AttachmentStream):
            if "matroska" not in container.format.name:
                return f"{container.format.name} holds no attachments"
        elif not _has_codec(stream):
            return "this FFmpeg does not know its codec"
        try:
            copy = container.add_stream_from_template(stream)
        except ValueError:  # PyAV's "format does not support codec"
            return f"{container.format.name} cannot hold it"
        if isinstance(copy, AudioStream) and copy.layout.name.endswith(" channels"):
            # Matroska tells the number of channels alone, and MP4 cannot be finished without their names; FFmpeg's
            # defaults for the number, as the `ffmpeg` program takes them.
            copy.codec_context.layout = _DEFAULT_LAYOUTS.get(copy.layout.nb_channels, copy.layout)
        copy.metadata.update(copied_metadata(stream.metadata))
        copy.disposition = stream.disposition
        self._copies[stream.index] = copy
        return None


def copied_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """Keep what is worth carrying into another container: titles, languages, dates, timecodes."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _OWN_TAGS and not key.lower().startswith(_OWN_TAG_STEMS)
    }


def _has_codec(stream: Stream) -> bool:
    codec_context: object = stream.codec_context  # None for data and unknown codecs, whatever PyAV's stub says
    return codec_context is not None


def _codec_name(stream: Stream) -> str:
    return stream.codec_context.codec.canonical_name if _has_codec(stream) else stream.name or "unknown"
