"""Small pictures of colour frames: for measuring, and for looking at."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color import ycbcr_to_rgb
from kinema_core.frames import ColorFrame, Plane
from kinema_core.temporal.thumbnails import SIZE

Rgb = NDArray[np.uint8]

THUMBNAIL_PIXELS: Final = 192 * 108
MAX_ASPECT: Final = 4.0
"""Of a thumbnail; what is wider, or higher, is squeezed."""
JPEG_QUALITY: Final = 80
_FULL_CHROMA: Final = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
"""So that no block of colour reaches over into the grey picture beside it."""
_BLOCK: Final = 8
"""Pixels of such a block."""


def reduce_frame(frame: ColorFrame) -> Rgb:
    """Return the frame as (54, 96, 3) sRGB, whatever its shape."""
    return _to_rgb(_shrink_planes(frame, SIZE), frame)


def make_picture(frame: ColorFrame, *, aspect: float, num_quarter_turns: int = 0) -> Rgb:
    """Return the frame in grey and in colour, upright sRGB, (2 h, w, 3) or, if it is higher than wide, (h, 2 w, 3).

    Each has about THUMBNAIL_PIXELS.

    Args:
        frame: as it is stored.
        aspect: width by height of the picture before it is turned, its pixels' own aspect counted in.
        num_quarter_turns: clockwise, to show it upright.
    """
    aspect = min(max(aspect, 1 / MAX_ASPECT), MAX_ASPECT)
    height = _round_to_block((THUMBNAIL_PIXELS / aspect) ** 0.5)
    luma, cb, cr = _shrink_planes(frame, (_round_to_block(height * aspect), height))
    neutral = np.full_like(cb, 1 << (frame.tags.bit_depth - 1))
    pair = [_to_rgb((luma, *chroma), frame) for chroma in ((neutral, neutral), (cb, cr))]
    upright = [np.rot90(picture, -num_quarter_turns) for picture in pair]
    is_high = upright[0].shape[0] > upright[0].shape[1]
    return np.concatenate(upright, axis=1 if is_high else 0)


def encode_jpeg(rgb: Rgb, quality: int = JPEG_QUALITY) -> bytes:
    """Encode (H, W, 3) sRGB as JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, *_FULL_CHROMA]
    is_encoded, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    assert is_encoded
    return data.tobytes()


def _round_to_block(side: float) -> int:
    return max(1, round(side / _BLOCK)) * _BLOCK


def _shrink_planes(frame: ColorFrame, size: tuple[int, int]) -> tuple[Plane, Plane, Plane]:
    """Bring luma to `size` (width, height), both even, and chroma to half of that."""
    half = (size[0] // 2, size[1] // 2)
    return _shrink(frame.luma, size), _shrink(frame.cb, half), _shrink(frame.cr, half)


def _shrink(plane: Plane, size: tuple[int, int]) -> Plane:
    """Scale (H, W) to `size` (width, height), by halves first: OpenCV's mean of 2x2 is much faster than others."""
    while plane.shape[0] >= 2 * size[1] and plane.shape[1] >= 2 * size[0]:
        height, width = plane.shape[0] // 2, plane.shape[1] // 2
        even = plane[: 2 * height, : 2 * width]
        plane = _resize(even, (width, height))
    return _resize(plane, size)


def _resize(plane: Plane, size: tuple[int, int]) -> Plane:
    scaled: Plane = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return scaled


def _to_rgb(planes: tuple[Plane, Plane, Plane], frame: ColorFrame) -> Rgb:
    rgb = ycbcr_to_rgb(*planes, frame.tags)
    if rgb.dtype == np.uint8:
        return rgb.astype(np.uint8, copy=False)
    return np.asarray(cv2.convertScaleAbs(rgb, alpha=255 / 65535), np.uint8)
