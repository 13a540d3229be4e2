"""The video encoders that films are written with, and pictures as they take them."""

import os
from dataclasses import dataclass

import av
import cv2
import numpy as np

from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.frames import ColorFrame, ColorRange, ColorTags, Plane


@dataclass(frozen=True, slots=True)
class Encoder:
    """One video encoder of FFmpeg, set up for one film."""

    name: str
    """FFmpeg's name, as in `libx264`."""
    pix_fmt: str
    """What it is given; see `fill_picture`."""
    options: dict[str, str]
    is_inter: bool = True
    """Whether pictures refer to others: its packets are small, and come some time after the pictures."""
    codec_tag: str | None = None
    """The four characters that MP4 and MOV name the codec with, where FFmpeg's choice does not play everywhere."""


CODECS = ("h264", "hevc", "av1", "ffv1", "prores")
"""What `choose_encoder` knows."""
DEFAULT_CODEC = "h264"
"""Plays everywhere."""
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""x264's and x265's words for how long the encoder may think about a frame."""


DEFAULT_PRESET = "veryfast"
_SVT_PRESETS = {name: str(12 - index) for index, name in enumerate(PRESETS)}
"""SVT-AV1 counts its presets; its own default, 10, is "veryfast" here."""
_CPU_AVX_512F = 13
"""OpenCV's number for it (cvdef.h), which its Python module does not name."""
_CRF = {"h264": (18, 51), "hevc": (20, 51), "av1": (24, 63)}
"""Of each lossy codec the default, and the most that it takes; lower is better and larger."""


def choose_encoder(
    codec: str, *, height: int, width: int, tags: ColorTags, crf: int | None = None, preset: str | None = None
) -> Encoder:
    """Choose the encoder for a film.

    `h264` and `hevc` are written as 4:2:0, 8 or 10 bit after `tags`. Their headers cannot express an odd size in 4:2:0,
    so odd sizes become 4:4:4 with each chroma sample repeated: size and Y' stay exact, and halving the chroma gives the
    same planes again; some players and most TV sets do not play it. `av1` is 4:2:0 of any size, 8 or 10 bit. `ffv1` is
    lossless, of any size. `prores` is HQ 4:2:2, always 10 bit and limited.

    Args:
        codec: one of CODECS.
        height: pixels.
        width: pixels.
        tags: how the film is to be read.
        crf: quality of a lossy codec, 0 (best) to 51, of AV1 to 63; None for 18, of HEVC 20, of AV1 24.
        preset: one of PRESETS; None for DEFAULT_PRESET.

    Raises:
        InvalidInputError: an unknown codec, or a `crf` or `preset` that it does not take.
        MediaError: the codec cannot tell what `tags` say.
    """
    if codec not in CODECS:
        raise InvalidInputError("codec", f"must be one of {', '.join(CODECS)}, got {codec!r}")
    quality = _quality_options(codec, crf, preset)
    depth = "" if tags.bit_depth == 8 else "10le"
    subsampling = "444" if height % 2 or width % 2 else "420"
    if codec == "h264":
        return Encoder("libx264", f"yuv{subsampling}p{depth}", quality | _steady_x264())
    if codec == "hevc":
        options = quality | {"x265-params": "log-level=none"}
        return Encoder("libx265", f"yuv{subsampling}p{depth}", options, codec_tag="hvc1")
    if codec == "av1":
        os.environ.setdefault("SVT_LOG", "1")  # errors alone; or each segment's encoder would greet on standard error
        return Encoder("libsvtav1", f"yuv420p{depth}", quality)
    if codec == "ffv1":
        # Version 3 with a checksum a slice and every picture by itself, as archives keep it (RFC 9043).
        options = {"level": "3", "slicecrc": "1", "g": "1"}
        if min(height, width) < 16:
            options["slices"] = "1"  # FFmpeg's own choice fails for some sizes below
        return Encoder("ffv1", f"yuv420p{depth}", options, is_inter=False)
    if tags.color_range is ColorRange.FULL:
        raise MediaError("ProRes cannot say that a film is full range; choose h264, hevc, av1 or ffv1")
    return Encoder("prores_ks", "yuv422p10le", {"profile": "hq", "vendor": "apl0"}, is_inter=False)


def _steady_x264() -> dict[str, str]:
    """Keep x264 from AVX-512: there its lookahead reads memory that nobody wrote, and bits change from run to run.

    Seen with build 165 at 320x240, `MALLOC_PERTURB_` set; without AVX-512 it took no more time. A CPU that has it has
    all the others, which x264 otherwise would not look for.
    """
    if not cv2.checkHardwareSupport(_CPU_AVX_512F):
        return {}
    return {"x264-params": "asm=MMX2,SSE2Fast,LZCNT,SSSE3,SSE4.2,AVX,FMA3,BMI1,BMI2,AVX2"}


def _quality_options(codec: str, crf: int | None, preset: str | None) -> dict[str, str]:
    if codec not in _CRF:
        for field, given in (("crf", crf), ("preset", preset)):
            if given is not None:
                raise InvalidInputError(field, f"is for {', '.join(_CRF)}; {codec} has one quality, leave it out")
        return {}
    default_crf, max_crf = _CRF[codec]
    crf = default_crf if crf is None else crf
    preset = preset or DEFAULT_PRESET
    if not 0 <= crf <= max_crf:
        raise InvalidInputError("crf", f"of {codec} must be 0 (best) to {max_crf}, got {crf}")
    if preset not in PRESETS:
        raise InvalidInputError("preset", f"must be one of {', '.join(PRESETS)}, got {preset!r}")
    return {"crf": str(crf), "preset": _SVT_PRESETS[preset] if codec == "av1" else preset}


def fill_picture(frame: ColorFrame, pix_fmt: str) -> av.VideoFrame:
    """Make FFmpeg's picture of a frame: the frame's own memory where FFmpeg can take it, else one copy.

    `yuv420p` and `yuv420p10le` take the planes as they are. `yuv444p`, `yuv444p10le` and `yuv422p10le` take each chroma
    sample repeated; the last one, given 8-bit samples, holds four times their value: the same colour in 10 bit.
    """
    planes = (frame.luma, frame.cb, frame.cr)
    if pix_fmt.startswith("yuv420p"):
        if _can_be_shared(planes):
            return av.VideoFrame.from_dlpack(planes, format=pix_fmt)
    else:
        height, width = frame.luma.shape
        columns = 2 if pix_fmt.startswith("yuv444p") else 1
        repeated = [plane.repeat(2, axis=0).repeat(columns, axis=1)[:height, :width] for plane in planes[1:]]
        planes = (frame.luma, repeated[0], repeated[1])
    scale = 4 if pix_fmt.endswith("10le") and frame.tags.bit_depth == 8 else 1
    return _copy_planes(planes, pix_fmt, scale=scale)


def _can_be_shared(planes: tuple[Plane, ...]) -> bool:
    """Tell whether FFmpeg can read these very arrays; frames are never written to again, so sharing is safe.

    PyAV refuses odd sizes, and DLPack arrays that are marked read-only.
    """
    height, width = planes[0].shape
    is_even = height % 2 == 0 and width % 2 == 0
    return is_even and all(plane.flags.c_contiguous and plane.flags.writeable for plane in planes)


def _copy_planes(planes: tuple[Plane, ...], pix_fmt: str, *, scale: int) -> av.VideoFrame:
    height, width = planes[0].shape
    picture = av.VideoFrame(width, height, pix_fmt)
    dtype = np.uint16 if pix_fmt.endswith("10le") else np.uint8
    for source, target in zip(planes, picture.planes, strict=True):
        lines = np.frombuffer(memoryview(target), dtype).reshape(target.height, -1)  # with FFmpeg's padding
        np.multiply(source, dtype(scale), out=lines[:, : target.width])
    return picture
