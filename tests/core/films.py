"""Tiny films for the tests, made and read with plain PyAV so that nothing of Kinema tests itself."""

from __future__ import annotations  # Packet is generic in PyAV's stubs alone

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
from av.packet import Packet
from av.stream import Disposition
from numpy.typing import NDArray

BT709_LIMITED = (1, 1, 1, 1)
"""(colorspace, color_range, color_primaries, color_trc)."""
UNSPECIFIED = (2, 0, 2, 2)


@dataclass
class Recipe:
    """What a film is to be; `make_film` fills it with noise."""

    codec: str = "ffv1"
    pix_fmt: str = "yuv420p"
    height: int = 48
    width: int = 64
    pts: list[int] = field(default_factory=lambda: [40 * n for n in range(12)])
    time_base: Fraction = Fraction(1, 1000)
    tags: tuple[int, int, int, int] = BT709_LIMITED
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    rotation: int | None = None
    aspect: Fraction | None = None
    sounds: list[str] = field(default_factory=list)
    """Languages of the sound tracks."""
    sound_codec: str | None = None
    """AAC in MP4 and MOV, PCM elsewhere, if not said."""
    sound_rate: int = 48000
    subtitles: str | None = None
    """Codec of a subtitle track in Norwegian."""
    lines: list[str] = field(default_factory=lambda: ["line 0", "line 1"])
    """Of the subtitles, 90 ms each, one every 100 ms."""
    title: str | None = None
    chapters: list[tuple[int, int, str]] = field(default_factory=list)
    """(start, end, title) in milliseconds."""
    timecode: str | None = None
    attachment: bytes | None = None
    cover: bool = False
    """Whether a small PNG is its cover art."""
    is_moving: bool = False
    """Whether a white bar on grey walks to the right instead of noise, two pixels a field."""
    shot_length: int | None = None
    """How many pictures a shot has: blocks of grey that drift, others in each shot; noise instead where None."""
    is_telecined: bool = False
    """Whether four frames of film are spread over the fields of five pictures (3:2 pulldown)."""
    is_interlaced: bool = False
    has_marks: bool = True
    """Whether pictures of two fields say so themselves."""
    """Whether every other line is of a later time, and the pictures say so; some encoders need `options`, too."""


def make_film(path: Path, **recipe: Any) -> list[list[NDArray[Any]]]:
    """Write the film; give the planes of every picture, without padding."""
    wanted = Recipe(**recipe)
    random = np.random.default_rng(7)
    pictures: list[list[NDArray[Any]]] = []
    with av.open(path, "w", container_options=wanted.container_options) as container:
        video: Any = container.add_stream(wanted.codec, rate=25, options=wanted.options)
        video.height, video.width, video.pix_fmt = wanted.height, wanted.width, wanted.pix_fmt
        video.codec_context.time_base = video.time_base = wanted.time_base
        _tag(video.codec_context, wanted.tags)
        _dress(container, video, wanted)
        sounds = [_add_sound(container, path, wanted, language) for language in wanted.sounds]
        subtitles = container.add_mux_stream(wanted.subtitles) if wanted.subtitles else None
        if wanted.attachment is not None:
            container.add_attachment("font.ttf", "application/x-truetype-font", wanted.attachment)
        cover = _add_cover(container, path) if wanted.cover else []
        seconds = (2 * wanted.pts[-1] - wanted.pts[-2] if len(wanted.pts) > 1 else 1) * wanted.time_base
        container.mux(cover)
        for sound in sounds:
            _encode_sound(container, sound, seconds, random)
        if subtitles is not None:
            subtitles.metadata["language"] = "nor"
            for number, line in enumerate(wanted.lines):
                text = line.encode(errors="surrogateescape")
                packet = Packet(len(text).to_bytes(2, "big") + text if wanted.subtitles == "mov_text" else text)
                packet.stream, packet.time_base = subtitles, Fraction(1, 1000)
                packet.pts = packet.dts = 100 * number
                packet.duration = 90
                container.mux(packet)
        for pts in wanted.pts:
            draw = _bar if wanted.is_moving else _shot if wanted.shot_length else _noise
            picture, planes = draw(wanted, random, len(pictures))
            picture.pts, picture.time_base = pts, wanted.time_base
            picture.duration = 1 if len(wanted.pts) < 2 else wanted.pts[1] - wanted.pts[0]
            pictures.append(planes)
            is_marked = wanted.has_marks and (wanted.is_interlaced or wanted.is_telecined)
            container.mux(video.encode(_marked_as_fields(picture) if is_marked else picture))
        container.mux(video.encode(None))
    return pictures


def read_film(path: Path) -> tuple[list[Fraction], list[list[NDArray[Any]]]]:
    """Give every picture's time in seconds and its planes."""
    with av.open(path) as container:
        times, pictures = [], []
        for frame in container.decode(video=0):
            assert frame.pts is not None
            times.append(frame.pts * Fraction(container.streams.video[0].time_base or 1))
            pictures.append(planes_of(frame))
        return times, pictures


def read_packets(path: Path, kind: str) -> list[list[tuple[Fraction, bytes]]]:
    """Give the packets of every stream of a kind: time in seconds and content."""
    with av.open(path) as container:
        found: dict[int, list[tuple[Fraction, bytes]]] = {s.index: [] for s in container.streams if s.type == kind}
        for packet in container.demux():
            if packet.size and packet.stream.index in found:
                time = (packet.pts or 0) * Fraction(packet.time_base)
                found[packet.stream.index].append((time, bytes(packet)))
        return list(found.values())


def read_lines(path: Path) -> list[list[tuple[Fraction, Fraction, str]]]:
    """Give the lines of every subtitle stream: time and duration in seconds, and text."""
    with av.open(path) as container:
        found: dict[int, list[tuple[Fraction, Fraction, str]]] = {s.index: [] for s in container.streams.subtitles}
        for packet in container.demux():
            if packet.size and packet.stream.index in found:
                stream: Any = packet.stream
                texts = [line.dialogue.decode().strip() for line in stream.codec_context.decode2(packet) or ()]
                time, duration = ((ticks or 0) * Fraction(packet.time_base) for ticks in (packet.pts, packet.duration))
                found[stream.index] += [(time, duration, text) for text in texts]
        return list(found.values())


def planes_of(frame: av.VideoFrame) -> list[NDArray[Any]]:
    """Copy the planes of a planar picture, without padding."""
    return [view.copy() for view in _views(frame)]


def _views(frame: av.VideoFrame) -> list[NDArray[Any]]:
    interleaved = {"bgr0": [4], "nv12": [1, 2], "yuyv422": [2]}  # samples a column of each plane
    samples = interleaved.get(frame.format.name, [1] * len(frame.planes))
    dtype = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    return [
        np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[:, : count * plane.width]
        for plane, count in zip(frame.planes, samples, strict=True)
    ]


def _noise(wanted: Recipe, random: np.random.Generator, _: int) -> tuple[av.VideoFrame, list[NDArray[Any]]]:
    picture = av.VideoFrame(wanted.width, wanted.height, wanted.pix_fmt)
    bits = picture.format.components[0].bits
    for view in _views(picture):
        view[:] = random.integers(0, 1 << bits, view.shape)
    _tag(picture, wanted.tags)
    return picture, planes_of(picture)


def _shot(wanted: Recipe, _: np.random.Generator, number: int) -> tuple[av.VideoFrame, list[NDArray[Any]]]:
    shot, place = divmod(number, wanted.shot_length or 1)
    blocks = np.random.default_rng(shot).integers(30, 226, (wanted.height // 8 + 1, wanted.width // 4))
    luma = blocks.repeat(8, axis=0).repeat(8, axis=1)[: wanted.height, place : place + wanted.width]
    picture = av.VideoFrame(wanted.width, wanted.height, wanted.pix_fmt)
    bits = picture.format.components[0].bits
    for index, view in enumerate(_views(picture)):
        view[:] = luma << (bits - 8) if index == 0 else 1 << (bits - 1)
    _tag(picture, wanted.tags)
    return picture, planes_of(picture)


def bar_at(wanted: Recipe, field: int) -> NDArray[Any]:
    """Give the luma of a whole picture at the time of a field, two of which make a frame."""
    luma = np.full((wanted.height, wanted.width), 60)
    luma[:, 4 + 2 * field : 12 + 2 * field] = 200
    return luma


def _fields_of(wanted: Recipe, number: int) -> tuple[int, int]:
    """Give the times, in fields, of the top and the bottom field of a picture."""
    if wanted.is_telecined:
        top, bottom = ((0, 0), (1, 1), (1, 2), (2, 3), (3, 3))[number % 5]
        first = number // 5 * 4
        return 2 * (first + top), 2 * (first + bottom)
    return 2 * number, 2 * number + wanted.is_interlaced


def _bar(wanted: Recipe, _: np.random.Generator, number: int) -> tuple[av.VideoFrame, list[NDArray[Any]]]:
    picture = av.VideoFrame(wanted.width, wanted.height, wanted.pix_fmt)
    bits = picture.format.components[0].bits
    for index, view in enumerate(_views(picture)):
        view[:] = 1 << (bits - 1)
        if index == 0:
            top, bottom = _fields_of(wanted, number)
            view[:] = bar_at(wanted, top) << (bits - 8)
            view[1::2] = bar_at(wanted, bottom)[1::2] << (bits - 8)
    _tag(picture, wanted.tags)
    return picture, planes_of(picture)


def _marked_as_fields(picture: av.VideoFrame) -> av.VideoFrame:
    """Say of a picture that it is interlaced, the top field first; PyAV itself cannot."""
    graph = av.filter.Graph()
    size, pix_fmt = f"{picture.width}x{picture.height}", picture.format.name
    source = graph.add("buffer", video_size=size, pix_fmt=pix_fmt, time_base=str(picture.time_base), pixel_aspect="0/1")
    graph.link_nodes(source, graph.add("setfield", "mode=tff"), graph.add("buffersink")).configure()
    graph.push(picture)
    marked = graph.vpull()
    _tag(marked, (picture.colorspace, picture.color_range, picture.color_primaries, picture.color_trc))
    marked.duration = picture.duration
    return marked


def cover_art() -> bytes:
    """Give a small PNG."""
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 8, 8, "rgb24", Fraction(1)
    picture = av.VideoFrame(8, 8, "rgb24")
    np.frombuffer(memoryview(picture.planes[0]), np.uint8)[:] = 99
    picture.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])


def _add_cover(container: Any, path: Path) -> list[Packet[Any]]:
    """Add cover art; in MP4 it is a stream, whose packet is given to be muxed once all streams are there."""
    if path.suffix == ".mkv":
        container.add_attachment("cover.png", "image/png", cover_art())
        return []
    stream = container.add_mux_stream("png", width=8, height=8)
    stream.disposition = Disposition.attached_pic
    packet: Packet[Any] = Packet(cover_art())
    packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 1000), 0, 0
    return [packet]


def _tag(target: Any, tags: tuple[int, int, int, int]) -> None:
    target.colorspace, target.color_range, target.color_primaries, target.color_trc = tags


def _dress(container: Any, video: Any, wanted: Recipe) -> None:
    if wanted.rotation is not None:
        video.set_display_rotation(wanted.rotation)
    if wanted.aspect is not None:
        video.codec_context.sample_aspect_ratio = wanted.aspect
    if wanted.title is not None:
        container.metadata["title"] = wanted.title
    if wanted.timecode is not None:
        video.metadata["timecode"] = wanted.timecode
    if wanted.chapters:
        container.set_chapters(
            [
                {"id": n, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                for n, (start, end, title) in enumerate(wanted.chapters, start=1)
            ]
        )


def _add_sound(container: Any, path: Path, wanted: Recipe, language: str) -> Any:
    usual = "aac" if path.suffix in {".mp4", ".mov"} else "pcm_s16le"
    stream = container.add_stream(wanted.sound_codec or usual, rate=wanted.sound_rate)
    stream.layout = "stereo"
    stream.metadata["language"] = language
    return stream


def _encode_sound(container: Any, stream: Any, seconds: Fraction, random: np.random.Generator) -> None:
    for start in range(0, int(seconds * stream.rate), 1024):
        noise = random.integers(-9999, 9999, (1, 2048)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = stream.rate, start, Fraction(1, stream.rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
