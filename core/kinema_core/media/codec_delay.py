"""Sound that begins before zero, as AAC in MP4 does, in Matroska.

An AAC encoder's first packets only prime the decoder: MP4 gives them times before zero. Matroska cannot, but has an
element that tells by how much (CodecDelay, RFC 9559, 5.1.4.1.25), which FFmpeg writes for a stream whose parameters
say so. PyAV has no way to set that parameter; it copies it, however, from a stream that has it.
"""

import io
import struct
from fractions import Fraction
from typing import Final

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

_AAC: Final = b"A_AAC"
_NANOSECONDS: Final = 1_000_000_000


def num_priming_samples(stream: AudioStream) -> int:
    """Tell how many samples a stream of MP4 or MOV begins before zero; 0 where it has no index."""
    first = next(iter(stream.index_entries), None)
    if first is None or first.timestamp >= 0:
        return 0
    return round(-first.timestamp * Fraction(stream.time_base or 0) * stream.codec_context.sample_rate)


def add_delayed_aac(container: OutputContainer, source: AudioStream, num_samples: int) -> AudioStream:
    """Add a copy of an AAC stream to a Matroska file, and tell there that its first `num_samples` prime the decoder."""
    with av.open(io.BytesIO(_matroska_header(source, num_samples)), format="matroska") as template:
        copy = container.add_stream_from_template(template.streams.audio[0])
    copy.time_base = source.time_base
    return copy


def _matroska_header(stream: AudioStream, num_samples: int) -> bytes:
    """Make a Matroska file without packets, whose one track is the stream with its delay."""
    rate = stream.codec_context.sample_rate
    audio = _element(0xB5, struct.pack(">d", rate)) + _element(0x9F, bytes([stream.codec_context.channels]))
    track = (
        _element(0xD7, b"\1")  # TrackNumber
        + _element(0x73C5, b"\1")  # TrackUID
        + _element(0x83, b"\2")  # TrackType: audio
        + _element(0x86, _AAC)
        + _element(0x63A2, stream.codec_context.extradata or b"")  # CodecPrivate
        + _element(0x56AA, struct.pack(">Q", round(Fraction(num_samples * _NANOSECONDS, rate))))  # CodecDelay
        + _element(0xE1, audio)
    )
    tracks = _element(0x1654AE6B, _element(0xAE, track))
    cluster = _element(0x1F43B675, _element(0xE7, b"\0"))  # FFmpeg's demuxer reads a header up to the first one
    return _element(0x1A45DFA3, _element(0x4282, b"matroska")) + _element(0x18538067, tracks + cluster)


def _element(identifier: int, data: bytes) -> bytes:
    """Make an EBML element (RFC 8794) with its size in eight bytes."""
    name = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    return name + struct.pack(">Q", 1 << 56 | len(data)) + data
