"""The planes of a decoded picture, whatever pixel format it comes in."""

import logging
from typing import TypeVar

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from kinema_core.frames import Plane, chroma_shape

_log = logging.getLogger(__name__)

_Sample = TypeVar("_Sample", np.uint8, np.uint16)

# Plane 0 of these is Y' and nothing else, so it is taken byte for byte.
_LUMA_8 = {"gray", "nv12", "nv16", "nv21", "nv24", "nv42", "yuv410p", "yuv411p", "yuv420p", "yuv422p", "yuv440p"}
_LUMA_8 |= {"yuv444p", "yuva420p", "yuva422p", "yuva444p", "yuvj411p", "yuvj420p", "yuvj422p", "yuvj440p", "yuvj444p"}
_LUMA_10 = {"gray10le", "yuv420p10le", "yuv422p10le", "yuv440p10le", "yuv444p10le"}
_LUMA_10 |= {"yuva420p10le", "yuva422p10le", "yuva444p10le"}
# The same with the sample in the upper ten bits of sixteen.
_LUMA_10_HIGH = {"p010le", "p210le", "p410le"}


class PlaneTaker:
    """Takes Y', or Y'CbCr 4:2:0, out of decoded pictures of one pixel format.

    Y' of 8 and 10 bit is never altered. Other depths go through libswscale to 10 bit (below 8 bit, to 8); packed forms
    such as yuyv422 are only unpacked. RGB, palette and Bayer pictures are brought to 8-bit RGB first; their Y' is the
    full-range grey with the same L* (`kinema_core.color.rgb_to_grey`).
    """

    def __init__(self, pix_fmt: str) -> None:
        """Choose the way for `pix_fmt`, FFmpeg's name of a pixel format."""
        self.pix_fmt = pix_fmt
        self._format = av.VideoFormat(pix_fmt, 16, 16)
        self._via = _nearest_supported(self._format)
        """The format that libswscale brings the picture to first; `pix_fmt` where nothing has to be done."""
        self.is_rgb = self._via == "rgb24"
        self.bit_depth = 8 if self._via in _LUMA_8 or self.is_rgb else 10
        self._reformatter = VideoReformatter()
        if self._via != pix_fmt:
            _log.info("pix_fmt_converted from=%s to=%s", pix_fmt, self._via)

    def luma(self, frame: av.VideoFrame) -> Plane:
        """Give a copy of Y' (H, W), uint8 or uint16."""
        frame = self._reformat(frame, self._via)
        if self.is_rgb:
            from kinema_core.color import rgb_to_grey

            return rgb_to_grey(_pixels(frame))
        return self._samples(frame, 0)

    def luma_and_chroma(self, frame: av.VideoFrame) -> tuple[Plane, Plane, Plane]:
        """Give copies of Y' (H, W), as `luma` does, and of Cb and Cr (ceil(H/2), ceil(W/2)); neutral where grey."""
        frame = self._reformat(frame, self._via)
        if self.is_rgb:
            from kinema_core.color import GREY_TAGS, rgb_to_ycbcr

            return rgb_to_ycbcr(_pixels(frame), GREY_TAGS)
        luma = self._samples(frame, 0)
        if len(frame.format.components) <= 2:
            neutral = np.full(chroma_shape(*luma.shape), 1 << (self.bit_depth - 1), luma.dtype)
            return luma, neutral, neutral
        halved = self._reformat(frame, _yuv420p_like(self._via, self.bit_depth))
        return luma, self._samples(halved, 1), self._samples(halved, 2)

    def _reformat(self, frame: av.VideoFrame, pix_fmt: str) -> av.VideoFrame:
        return frame if frame.format.name == pix_fmt else self._reformatter.reformat(frame, format=pix_fmt)

    def _samples(self, frame: av.VideoFrame, index: int) -> Plane:
        plane = frame.planes[index]
        if self.bit_depth == 8:
            return _lines(plane, np.uint8)[:, : plane.width].copy()
        samples = _lines(plane, np.uint16)[:, : plane.width]
        return samples >> np.uint16(6) if frame.format.name in _LUMA_10_HIGH else samples.copy()


def _lines(plane: VideoPlane, dtype: type[_Sample]) -> NDArray[_Sample]:
    """View a plane with the padding of its lines; lines that FFmpeg holds bottom-up are turned."""
    lines = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
    return lines if plane.line_size > 0 else lines[::-1]


def _pixels(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Give an rgb24 picture as (H, W, 3)."""
    plane = frame.planes[0]
    return _lines(plane, np.uint8)[:, : 3 * plane.width].reshape(plane.height, plane.width, 3)


def _nearest_supported(pix_fmt: av.VideoFormat) -> str:
    if pix_fmt.name in _LUMA_8 | _LUMA_10 | _LUMA_10_HIGH:
        return pix_fmt.name
    if pix_fmt.is_rgb or pix_fmt.has_palette or pix_fmt.is_bayer or pix_fmt.name.startswith("xyz"):
        return "rgb24"
    depth = "" if pix_fmt.components[0].bits <= 8 else "10le"
    if len(pix_fmt.components) <= 2:
        return f"gray{depth}"
    subsampling = {(8, 8): "420", (8, 16): "422", (16, 8): "440"}.get((pix_fmt.chroma_width(), pix_fmt.chroma_height()))
    return f"yuv{subsampling or '444'}p{depth}"


def _yuv420p_like(pix_fmt: str, bit_depth: int) -> str:
    if pix_fmt.startswith("yuvj"):
        return "yuvj420p"  # the same range, so that libswscale leaves the codes as they are
    return "yuv420p" if bit_depth == 8 else "yuv420p10le"
