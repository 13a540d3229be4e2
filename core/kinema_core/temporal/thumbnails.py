"""Small versions of frames, and how alike two of them are."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.temporal.flow import find_flow

F32 = NDArray[np.float32]

SIZE: Final = (96, 54)
"""Width and height: scratches and grain all but vanish, and motion can still be followed."""
COARSE_SIZE: Final = (24, 14)
"""Small enough for the motion within a dissolve not to count."""
FINEST_SCALE: Final = 2
DESCENT_STEPS: Final = 12
"""Of the flow between thumbnails: what OpenCV's fastest preset has."""
_NEIGHBOURHOOD: Final = (33, 33)
"""What is subtracted is the mean over this many pixels: uneven and flickering exposure, sky above and earth below."""
_WHITE: Final = 97.0
"""L* from which a pixel counts as overexposed."""
_MIN_SHARED: Final = 0.95
"""Share of the pixels that must be white in both or in neither for all of them to be compared."""
_FLASH: Final = 0.15
"""Share of the pixels that turn white, or back, when a flash comes or goes."""


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """What is compared of a frame."""

    lightness: F32
    """(54, 96), L* 0-100."""
    detail: F32
    """(54, 96), lightness above that of its neighbourhood."""
    coarse: F32
    """(14 * 24), `detail` made smaller, with a mean of 0."""
    contrast: float
    """Standard deviation of `detail`, in L*."""


def make_thumbnail(lightness: F32) -> Thumbnail:
    """Reduce a frame (H, W), L* 0-100."""
    return thumbnail_of(np.asarray(cv2.resize(lightness, SIZE, interpolation=cv2.INTER_AREA), np.float32))


def thumbnail_of(small: F32) -> Thumbnail:
    """Make the thumbnail whose lightness is `small` (54, 96)."""
    detail = small - cv2.blur(small, _NEIGHBOURHOOD)
    coarse = cv2.resize(detail, COARSE_SIZE, interpolation=cv2.INTER_AREA).ravel()
    return Thumbnail(small, detail, coarse - coarse.mean(), float(detail.std()))


SHAPE: Final = SIZE[::-1]


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Where the pixels of a thumbnail were in another one."""

    x: F32
    """(54, 96)."""
    y: F32
    """(54, 96)."""

    def carry(self, plane: F32) -> F32:
        """Move a plane (54, 96, C) of the other thumbnail along; what comes from outside is 0."""
        moved = cv2.remap(plane, self.x, self.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(moved, np.float32)


STILL: Final = Motion(*np.meshgrid(*(np.arange(side, dtype=np.float32) for side in SIZE)))
"""No motion at all."""


def find_motion(before: Thumbnail, after: Thumbnail) -> Motion:
    """Tell for each pixel of `after` where it was in `before`."""
    flow = find_flow(_to_bytes(after), _to_bytes(before), finest_scale=FINEST_SCALE, descent_steps=DESCENT_STEPS)
    return Motion(STILL.x + flow[..., 0], STILL.y + flow[..., 1])


def likeness(before: Thumbnail, after: Thumbnail, motion: Motion) -> float:
    """Return the correlation, -1 to 1, of what two thumbnails show, `before` moved along the motion.

    Another exposure (a gain and an offset) makes no difference, an uneven one hardly. Where only one of the two is
    white, nothing is compared: a flash hides there what was, and is no other picture.
    """
    planes = np.dstack((before.detail, before.lightness))
    moved = cv2.remap(planes, motion.x, motion.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    is_shared = (moved[..., 1] >= _WHITE) == (after.lightness >= _WHITE)
    if share(is_shared) >= _MIN_SHARED:
        return correlation(moved[..., 0], after.detail)
    if share(is_shared) < 0.1:
        return 0.0
    mask = is_shared.astype(np.float32)
    moved_detail, detail = (_masked_detail(plane, mask)[is_shared] for plane in (moved[..., 1], after.lightness))
    return correlation(moved_detail, detail)


def is_flash_between(before: Thumbnail, after: Thumbnail) -> bool:
    """Whether so much turns white from one to the other, or back, that what they show cannot be measured."""
    return share((before.lightness >= _WHITE) != (after.lightness >= _WHITE)) > _FLASH


def share(mask: NDArray[np.bool_]) -> float:
    """Return the part of a mask that is True: its mean, in a tenth of the time."""
    return int(np.count_nonzero(mask)) / mask.size


def correlation(x: F32, y: F32) -> float:
    """Return the correlation of two arrays of one shape, 0 where either is constant."""
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt(np.vdot(x, x) * np.vdot(y, y)))
    return float(np.vdot(x, y)) / scale if scale > 1e-6 else 0.0


def _to_bytes(thumbnail: Thumbnail) -> NDArray[np.uint8]:
    return np.asarray(np.rint(thumbnail.lightness.clip(0, 100) * 2.55), np.uint8)


def _masked_detail(lightness: F32, mask: F32) -> F32:
    """Return lightness above the neighbourhood's where `mask` is 1; what lies outside has no part in it."""
    weight = np.maximum(cv2.blur(mask, _NEIGHBOURHOOD), 1e-3)
    detail: F32 = lightness - cv2.blur(lightness * mask, _NEIGHBOURHOOD) / weight
    return detail
