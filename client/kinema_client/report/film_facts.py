"""What a film's file says of itself, in words."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import av
from av.codec.context import CodecContext
from av.container import InputContainer
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorPrimaries, ColorTrc
from av.video.stream import VideoStream

from kinema_client.report.numbers import count, duration, size
from kinema_core.frames import ColorTags
from kinema_core.media.reader import FilmReader

MAX_METADATA: Final = 20
MAX_STREAMS: Final = 20
MAX_TEXT: Final = 300
"""Characters of a title or a comment that are shown."""
_MATRICES: Final = {
    0: "RGB", 1: "BT.709", 2: "not stated", 4: "FCC", 5: "BT.470 BG (as BT.601)", 6: "SMPTE 170M (BT.601)",
    7: "SMPTE 240M", 8: "YCgCo", 9: "BT.2020", 10: "BT.2020, constant luminance",
}  # fmt: skip
"""By code point of ITU-T H.273; PyAV's enumeration has those of libswscale."""
_RANGES: Final = {1: "limited", 2: "full"}


def source_facts(film: FilmReader) -> dict[str, str]:
    """Return what a film's file says of itself, and how its planes were read."""
    return file_facts(film.name) | {"Read as": tags_in_words(film.tags)}


def file_facts(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return what a file says of itself; of a pipe or numbered pictures, its name alone."""
    name = os.fspath(path)
    facts = {"File": name}
    if not Path(name).is_file():
        return facts
    facts["Size"] = size(Path(name).stat().st_size)
    try:
        with av.open(f"file:{name}", metadata_errors="replace") as container:
            facts |= _container_facts(container)
    except av.FFmpegError as err:
        facts["Container"] = f"cannot be opened: {err.strerror}"
    return facts


def tags_in_words(tags: ColorTags) -> str:
    """Say how planes are read."""
    return (
        f"{_matrix_name(tags)}, {tags.color_range.value} range, {tags.bit_depth} bit, "
        f"primaries {_name(ColorPrimaries, tags.color_primaries)}, transfer {_name(ColorTrc, tags.color_trc)}"
    )


def _matrix_name(tags: ColorTags) -> str:
    return {"bt601": "BT.601", "bt709": "BT.709"}[tags.matrix.value]


def _container_facts(container: InputContainer) -> dict[str, str]:
    facts = {"Container": container.format.long_name or container.format.name}
    if container.duration:
        facts["Duration"] = duration(container.duration / av.time_base)
    videos = [stream for stream in container.streams if isinstance(stream, VideoStream)]
    if videos:
        facts |= _video_facts(videos[0])
    others = [_stream_words(stream) for stream in container.streams if stream not in videos[:1]]
    facts["Other streams"] = _listed(others, MAX_STREAMS) or "none"
    facts |= {"Title": container.metadata["title"][:MAX_TEXT]} if "title" in container.metadata else {}
    rest = [f"{key}: {text[:MAX_TEXT]}" for key, text in container.metadata.items() if key != "title"]
    if rest:
        facts["Metadata"] = _listed(rest, MAX_METADATA)
    return facts


def _video_facts(video: VideoStream) -> dict[str, str]:
    context: VideoCodecContext | None = video.codec_context
    if context is None:  # a codec that FFmpeg cannot decode, and which PyAV's stub does not think of
        return {"Video": "a codec that this FFmpeg does not know"}
    facts = {
        "Video": f"{context.codec.canonical_name}, {context.pix_fmt or 'pixel format not stated'}",
        "Picture": f"{context.width} × {context.height}",
    }
    aspect = video.sample_aspect_ratio
    if aspect and aspect != 1:
        facts["Picture"] += f", pixels {aspect.numerator}:{aspect.denominator}"
    if video.average_rate:
        facts["Frame rate"] = f"{float(video.average_rate):.3f} a second".replace(".000", "")
    facts["Colour tags"] = ", ".join([
        f"matrix {_MATRICES.get(context.colorspace, f'code {context.colorspace}')}",
        f"range {_RANGES.get(context.color_range, 'not stated')}",
        f"primaries {_name(ColorPrimaries, context.color_primaries)}", f"transfer {_name(ColorTrc, context.color_trc)}",
    ])  # fmt: skip
    by_name = {key.lower(): text for key, text in video.metadata.items()}  # Matroska writes TIMECODE
    if "timecode" in by_name:
        facts["Timecode"] = by_name["timecode"][:MAX_TEXT]
    return facts


def _name(kind: type, code: int) -> str:
    """Return FFmpeg's name of a code point of ITU-T H.273."""
    try:
        name = str(kind(code).name)
    except ValueError:
        return f"code {code}"
    return "not stated" if name.lower() in {"unspecified", "reserved", "reserved0"} else name.lower()


def _stream_words(stream: Stream) -> str:
    context: CodecContext | None = stream.codec_context
    codec = "unknown codec" if context is None else context.codec.canonical_name
    language = stream.metadata.get("language", "")[:MAX_TEXT]
    return " ".join(filter(None, [stream.type, codec, language]))


def _listed(texts: Iterable[str], most: int) -> str:
    texts = list(texts)
    more = len(texts) - most
    return "\n".join([*texts[:most], *([f"and {count(more, 'more line')}"] if more > 0 else [])])
