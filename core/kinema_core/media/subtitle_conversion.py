"""Text subtitles from the form of one container to that of another, by FFmpeg's decoders and encoders."""

from __future__ import annotations  # Packet is generic in PyAV's stubs alone

import logging
from typing import Final, TypeGuard

from av.codec.context import CodecContext
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream

_log = logging.getLogger(__name__)

_TEXT_CODECS: Final = {"ass", "mov_text", "subrip", "text", "webvtt"}


class SubtitleConverter:
    """The copy of a text subtitle stream in another codec: mov_text in MP4 and MOV, SubRip in Matroska.

    Text, times, bold, italics, underlining and colour arrive; the places and fonts of ASS do not.
    """

    def __init__(self, source: SubtitleStream, container: OutputContainer) -> None:
        """Add the stream to `container`; its header must not have been written."""
        codec = _codec_for(container)
        self._decoder = source.codec_context
        self._decoder.open(strict=False)
        stream = container.add_stream(codec)
        assert isinstance(stream, SubtitleStream), "that is what these codecs are of"
        self.stream = stream
        self.stream.time_base = source.time_base
        self._encoder = self.stream.codec_context
        self._encoder.subtitle_header = self._decoder.subtitle_header or _plain_header()
        _log.info("subtitles_converted index=%d from=%s to=%s", source.index, self._decoder.codec.canonical_name, codec)

    def convert(self, packet: Packet[Stream]) -> Packet[Stream] | None:
        """Give the same text at the same time; None where there is none, as in the gaps that MP4 fills."""
        lines = self._decoder.decode2(packet)
        if lines is None or not len(lines):
            return None
        converted: Packet[Stream] = Packet(bytes(self._encoder.encode_subtitle(lines)))
        converted.pts, converted.dts, converted.duration = packet.pts, packet.dts, packet.duration
        converted.time_base = packet.time_base
        return converted


def can_be_converted(source: Stream, container: OutputContainer) -> TypeGuard[SubtitleStream]:
    """Tell whether the container holds the stream's text in another codec."""
    if not isinstance(source, SubtitleStream) or source.codec_context.codec.canonical_name not in _TEXT_CODECS:
        return False
    return _codec_for(container) in container.supported_codecs


def _plain_header() -> bytes | None:
    """Give FFmpeg's styles for text that has none, for ASS that came without its own."""
    plain = CodecContext.create("subrip", "r")
    assert isinstance(plain, SubtitleCodecContext), "that is what SubRip is"
    plain.open(strict=False)
    return plain.subtitle_header


def _codec_for(container: OutputContainer) -> str:
    return "subrip" if "matroska" in container.format.name else "mov_text"
