"""A film that was just written, looked at with a reader's eyes."""

from dataclasses import dataclass
from pathlib import Path

import av

from kinema_core.errors import OutputMismatchError
from kinema_core.frames import ColorTags
from kinema_core.media.color_tags import TaggedVideo, write_tags
from kinema_core.media.ffmpeg_errors import ffmpeg_errors


@dataclass(slots=True)
class _Codes:
    """FFmpeg's four colour tags by themselves: a decoder may change those of its context."""

    color_range: int = 0
    color_primaries: int = 0
    color_trc: int = 0
    colorspace: int = 0


def check_written(path: Path, *, tags: ColorTags, shape: tuple[int, int], num_frames: int) -> None:
    """Compare colour tags, depth and size with what was meant: in the container, and in its first picture decoded.

    The number of frames is compared where the container counts them, as MP4 and MOV do.

    Args:
        path: the film.
        tags: how its pictures are to be read.
        shape: (height, width) of its pictures.
        num_frames: how many it is to have.

    Raises:
        OutputMismatchError: something differs.
        MediaError: it cannot be opened or decoded.
    """
    wanted = _Codes()
    write_tags(wanted, tags)
    expected = _described(wanted, tags.bit_depth, *shape)
    with ffmpeg_errors(f"{path} cannot be read back"), av.open(f"file:{path}") as container:
        video = container.streams.video[0]
        context = video.codec_context
        codes = _Codes(context.color_range, context.color_primaries, context.color_trc, context.colorspace)
        frame = next(container.decode(video), None)
        found_frames = video.frames or num_frames
    if frame is None or found_frames != num_frames:
        found_frames = 0 if frame is None else found_frames
        raise OutputMismatchError(f"{path} reads back with {found_frames} frames of {num_frames}; is the disk sound?")
    bit_depth = frame.format.components[0].bits
    in_container = _described(codes, bit_depth, frame.height, frame.width)
    in_picture = _described(frame, bit_depth, frame.height, frame.width)
    for where, found in (("container", in_container), ("first picture", in_picture)):
        if found != expected:
            raise OutputMismatchError(
                f"the {where} of {path} reads back as {found} instead of {expected}; "
                "take it as it is, or choose another --codec or container"
            )


def _described(tagged: TaggedVideo, bit_depth: int, height: int, width: int) -> str:
    codes = f"range {tagged.color_range}, matrix {tagged.colorspace}, primaries {tagged.color_primaries}"
    return f"{width}x{height} {bit_depth} bit, {codes}, transfer {tagged.color_trc}"
