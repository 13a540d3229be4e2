"""Grey and colour side by side, for `--compare`."""

import numpy as np
from numpy.typing import NDArray

from kinema_core.color import rgb_to_grey
from kinema_core.frames import ColorFrame, Plane


def width_beside_grey(width: int) -> int:
    """Give the width of `beside_grey`: twice that of the frame, and one more where that is odd."""
    return width + width % 2 + width


def beside_grey(frame: ColorFrame) -> ColorFrame:
    """Put the frame's own luma without colour on its left.

    The grey picture's last column is repeated where the width is odd: chroma samples are two columns wide, and none
    may belong to both pictures.
    """
    grey = np.pad(frame.luma, ((0, 0), (0, frame.luma.shape[1] % 2)), mode="edge")
    luma = np.concatenate([grey, frame.luma], axis=1)
    cb, cr = (_beside_neutral(plane, frame.tags.bit_depth) for plane in (frame.cb, frame.cr))
    return ColorFrame(luma, cb, cr, frame.pts, frame.time_base, frame.tags)


def photo_beside_grey(original: NDArray[np.uint8], colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put the grey of a photograph (H, W, 3), sRGB, on the left of its colour (H, W, 3): (H, 2 W, 3)."""
    grey = np.repeat(rgb_to_grey(original)[..., None], 3, axis=2)
    return np.concatenate([grey, colour], axis=1)


def _beside_neutral(plane: Plane, bit_depth: int) -> Plane:
    return np.concatenate([np.full_like(plane, 1 << (bit_depth - 1)), plane], axis=1)
