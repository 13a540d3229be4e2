"""FFmpeg's colour tags as ours, and back."""

import logging
from typing import Protocol

import av

from kinema_core.frames import ColorRange, ColorTags, Matrix

_log = logging.getLogger(__name__)

# ITU-T H.273 code points, which FFmpeg uses as they are.
_UNSPECIFIED = 2
_BT709 = 1
_BT470BG = 5
_SMPTE170M = 6
_MATRICES = {1: Matrix.BT709, 4: Matrix.BT601, _BT470BG: Matrix.BT601, _SMPTE170M: Matrix.BT601}
_UNSTATED = {0, _UNSPECIFIED, 3}
"""Two of them are reserved."""
_AVCOL_RANGE_MPEG = 1
_AVCOL_RANGE_JPEG = 2

_LIMITED_GREY_CODECS = {"av1", "h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "vp8", "vp9", "vvc"}
"""Codecs whose specification says that a stream without a range is limited, monochrome or not."""


class TaggedVideo(Protocol):
    """What FFmpeg hangs colour tags on: a codec context or a frame."""

    color_range: int
    color_primaries: int
    color_trc: int
    colorspace: int


def read_tags(frame: av.VideoFrame, *, codec: str, bit_depth: int) -> ColorTags:
    """Tell how the planes of a decoded Y'CbCr or grey picture are to be read.

    What the film says is taken. Where it says nothing:

    - matrix: BT.709 from 720 lines or 1280 columns on, BT.601 below, as players do;
    - range: limited for Y'CbCr; full for the `yuvj` formats; for grey-only pictures full, as FFmpeg holds it for them,
      but limited where the codec's specification says so (H.264, HEVC, AV1, ...);
    - primaries and transfer: BT.709, since that is what the new colour is computed with.

    A matrix that Kinema does not compute with (BT.2020, SMPTE 240M, YCgCo) is read as BT.709, with a log line; Y' of
    a grey picture is the same under any matrix.
    """
    tags = ColorTags(
        matrix=_matrix_of(frame),
        color_range=_range_of(frame, codec),
        bit_depth=bit_depth,
        color_primaries=_known_or_bt709(frame.color_primaries),
        color_trc=_known_or_bt709(frame.color_trc),
    )
    assumed = {
        "matrix": tags.matrix.value if frame.colorspace in _UNSTATED else None,
        "range": tags.color_range.value if frame.color_range == 0 else None,
        "primaries": "bt709" if frame.color_primaries in _UNSTATED else None,
        "transfer": "bt709" if frame.color_trc in _UNSTATED else None,
    }
    if any(assumed.values()):
        told = " ".join(f"{name}={value}" for name, value in assumed.items() if value)
        _log.info("tags_assumed %s reason='the film does not state them'", told)
    return tags


def write_tags(target: TaggedVideo, tags: ColorTags) -> None:
    """Set all four of FFmpeg's colour tags.

    BT.601 is written as SMPTE 170M, or as BT.470 BG where the primaries are those of 625 lines: one matrix, two codes.
    """
    is_full = tags.color_range is ColorRange.FULL
    target.color_range = _AVCOL_RANGE_JPEG if is_full else _AVCOL_RANGE_MPEG
    target.color_primaries = tags.color_primaries
    target.color_trc = tags.color_trc
    if tags.matrix is Matrix.BT709:
        target.colorspace = _BT709
    else:
        target.colorspace = _BT470BG if tags.color_primaries == _BT470BG else _SMPTE170M


def _matrix_of(frame: av.VideoFrame) -> Matrix:
    if frame.colorspace in _MATRICES:
        return _MATRICES[frame.colorspace]
    if frame.colorspace in _UNSTATED:
        return Matrix.BT709 if frame.height >= 720 or frame.width >= 1280 else Matrix.BT601
    _log.warning("matrix_read_as_bt709 colorspace=%d", frame.colorspace)
    return Matrix.BT709


def _range_of(frame: av.VideoFrame, codec: str) -> ColorRange:
    pix_fmt = frame.format.name
    if frame.color_range == _AVCOL_RANGE_JPEG or pix_fmt.startswith("yuvj"):
        return ColorRange.FULL
    if frame.color_range == _AVCOL_RANGE_MPEG:
        return ColorRange.LIMITED
    is_grey = len(frame.format.components) <= 2
    return ColorRange.FULL if is_grey and codec not in _LIMITED_GREY_CODECS else ColorRange.LIMITED


def _known_or_bt709(code: int) -> int:
    return _BT709 if code in _UNSTATED else code
