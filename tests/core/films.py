"""Tiny films for the tests, made and read with plain PyAV so that nothing of Kinema tests itself."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet
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
    """Languages of the sound tracks, AAC in MP4 and MOV, PCM elsewhere."""
    subtitles: str | None = None
    """Codec of a subtitle track."""
    title: str | None = None
    chapters: list[tuple[int, int, str]] = field(default_factory=list)
    """(start, end, title) in milliseconds."""
    timecode: str | None = None
    attachment: bytes | None = None


def make_film(path: Path, **recipe: Any) -> list[list[NDArray[Any]]]:
    """Write the film; give the planes of every picture, without padding."""
    wanted = Recipe(**recipe)
    random = np.random.default_rng(7)
    pictures = []
    with av.open(path, "w", container_options=wanted.container_options) as container:
        video: Any = container.add_stream(wanted.codec, rate=25, options=wanted.options)
        video.height, video.width, video.pix_fmt = wanted.height, wanted.width, wanted.pix_fmt
        video.codec_context.time_base = video.time_base = wanted.time_base
        _tag(video.codec_context, wanted.tags)
        _dress(container, video, wanted)
        sounds = [_add_sound(container, path, language) for language in wanted.sounds]
        subtitles = container.add_mux_stream(wanted.subtitles) if wanted.subtitles else None
        if wanted.attachment is not None:
            container.add_attachment("font.ttf", "application/x-truetype-font", wanted.attachment)
        seconds = (2 * wanted.pts[-1] - wanted.pts[-2] if len(wanted.pts) > 1 else 1) * wanted.time_base
        for sound in sounds:
            _encode_sound(container, sound, seconds, random)
        if subtitles is not None:
            for number in range(2):
                packet = Packet(f"line {number}".encode())
                packet.stream, packet.time_base = subtitles, Fraction(1, 1000)
                packet.pts = packet.dts = 100 * number
                packet.duration = 90
                container.mux(packet)
        for pts in wanted.pts:
            picture, planes = _noise(wanted, random)
            picture.pts, picture.time_base = pts, wanted.time_base
            picture.duration = 1 if len(wanted.pts) < 2 else wanted.pts[1] - wanted.pts[0]
            pictures.append(planes)
            container.mux(video.encode(picture))
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


def _noise(wanted: Recipe, random: np.random.Generator) -> tuple[av.VideoFrame, list[NDArray[Any]]]:
    picture = av.VideoFrame(wanted.width, wanted.height, wanted.pix_fmt)
    bits = picture.format.components[0].bits
    for view in _views(picture):
        view[:] = random.integers(0, 1 << bits, view.shape)
    _tag(picture, wanted.tags)
    return picture, planes_of(picture)


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


def _add_sound(container: Any, path: Path, language: str) -> Any:
    stream = container.add_stream("aac" if path.suffix in {".mp4", ".mov"} else "pcm_s16le", rate=48000)
    stream.layout = "stereo"
    stream.metadata["language"] = language
    return stream


def _encode_sound(container: Any, stream: Any, seconds: Fraction, random: np.random.Generator) -> None:
    for start in range(0, int(seconds * 48000), 1024):
        noise = random.integers(-9999, 9999, (1, 2048)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
