"""Colour frames as packets of one video stream."""

from __future__ import annotations  # Packet is generic in PyAV's stubs alone

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import av
from av.codec.codec import UnknownCodecError
from av.codec.context import ThreadType
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.frames import ColorFrame, ColorTags
from kinema_core.media.color_tags import write_tags
from kinema_core.media.encoders import Encoder, fill_picture
from kinema_core.media.ffmpeg_errors import ffmpeg_errors

DEFAULT_RATE: Final = Fraction(25)


class PictureEncoder:
    """Encodes the frames of one film; each `encode` gives the packets that are ready, in the order of decoding."""

    def __init__(
        self,
        container: OutputContainer,
        encoder: Encoder,
        *,
        name: str,
        shape: tuple[int, int],
        time_base: Fraction,
        average_rate: Fraction | None,
        tags: ColorTags,
    ) -> None:
        """Add a video stream to `container`; the encoder opens when the container's header is written.

        Args:
            container: where the stream belongs; the packets are for the caller to mux.
            encoder: what to encode with.
            name: what people call the film.
            shape: (height, width) of every frame.
            time_base: seconds in a tick of every frame's pts.
            average_rate: frames a second in the mean, for the last frame's duration and the rate control.
            tags: how every frame is to be read.

        Raises:
            MediaError: there is no such encoder, or the container does not hold its codec.
        """
        self.num_frames = 0
        """How many frames were encoded so far."""
        self._encoder = encoder
        self._name = name
        self._shape = shape
        self._time_base = time_base
        self._tags = tags
        self._last_pts: int | None = None
        rate = average_rate or DEFAULT_RATE
        # MP4 takes the last frame's duration from here; all others' from the next frame's pts.
        self._duration = max(1, round(1 / (rate * time_base)))
        self.stream = stream = _add_stream(container, encoder, rate, name)
        stream.height, stream.width = shape
        stream.pix_fmt = encoder.pix_fmt
        stream.thread_type = ThreadType.AUTO  # PyAV's own choice would cut each picture in slices, which costs bits
        stream.codec_context.time_base = time_base
        stream.time_base = time_base
        write_tags(stream.codec_context, tags)
        if encoder.codec_tag and "matroska" not in container.format.name:
            stream.codec_context.codec_tag = encoder.codec_tag

    @property
    def extradata(self) -> bytes:
        """What a decoder needs before the first packet; known once the container's header is written."""
        return self.stream.codec_context.extradata or b""

    def encode(self, frame: ColorFrame) -> Sequence[Packet[Any]]:
        """Encode one frame; its planes must not be written to afterwards.

        Raises:
            InvalidInputError: its size, tags or time base are not the film's, or its pts does not rise.
            MediaError: it cannot be encoded.
        """
        self._check(frame)
        picture = fill_picture(frame, self._encoder.pix_fmt)
        picture.pts = self._last_pts = frame.pts
        picture.time_base = self._time_base
        picture.duration = self._duration
        write_tags(picture, self._tags)
        packets = self._encode(picture)
        self.num_frames += 1
        return packets

    def finish(self) -> Sequence[Packet[Any]]:
        """Give the packets that are left.

        Raises:
            MediaError: they cannot be encoded.
        """
        packets = self._encode(None)
        if self.num_frames <= 2 and self._encoder.name == "libx265":
            # x265 learns its delay from the third picture; without one, its decoding times are left uninitialized.
            for packet in packets:
                packet.dts = packet.pts
        return packets

    def _encode(self, picture: av.VideoFrame | None) -> Sequence[Packet[Any]]:
        with ffmpeg_errors(f"{self._name}: frame {self.num_frames} cannot be encoded"):
            return self.stream.encode(picture)

    def _check(self, frame: ColorFrame) -> None:
        if frame.luma.shape != self._shape:
            raise InvalidInputError("frame.luma", f"must be {self._shape} like the film, got {frame.luma.shape}")
        if frame.tags != self._tags:
            raise InvalidInputError("frame.tags", f"must be the film's, {self._tags}, got {frame.tags}")
        if frame.time_base != self._time_base:
            raise InvalidInputError("frame.time_base", f"must be the film's, {self._time_base}, got {frame.time_base}")
        if self._last_pts is not None and frame.pts <= self._last_pts:
            raise InvalidInputError("frame.pts", f"must be above the last one, {self._last_pts}, got {frame.pts}")


def _add_stream(container: OutputContainer, encoder: Encoder, rate: Fraction, name: str) -> VideoStream:
    try:
        stream = container.add_stream(encoder.name, rate=rate, options=encoder.options)
    except UnknownCodecError as err:
        raise MediaError(f"this FFmpeg has no {encoder.name}; choose another codec") from err
    except ValueError as err:  # PyAV's "format does not support codec"
        raise MediaError(f"{name}: its container cannot hold {encoder.name}; .mkv holds every codec") from err
    assert isinstance(stream, VideoStream)
    return stream
