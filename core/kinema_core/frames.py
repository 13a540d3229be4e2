"""Pictures as values: what a frame is, and how its numbers are to be read.

Every array here is owned by the frame that holds it and is never written to again.
"""

import enum
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError

Plane: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W), uint8 for 8-bit samples; uint16 with the sample in the low bits for 10-bit samples."""

MAX_SIDE = 8192
"""The longest side of a picture, in pixels, that any part of Kinema accepts."""


class Matrix(enum.Enum):
    """Which Y'CbCr matrix made the planes (`colorspace` in FFmpeg)."""

    BT601 = "bt601"
    BT709 = "bt709"

    @property
    def luma_weights(self) -> tuple[float, float, float]:
        """(Kr, Kg, Kb) of BT.601 or BT.709; they sum to 1."""
        kr, kb = (0.299, 0.114) if self is Matrix.BT601 else (0.2126, 0.0722)
        return kr, 1.0 - kr - kb, kb


class ColorRange(enum.Enum):
    """Which codes stand for black and white (`color_range` in FFmpeg)."""

    LIMITED = "limited"
    """Y' 16-235 and Cb, Cr 16-240 in 8 bit; four times that in 10 bit."""
    FULL = "full"
    """Y' 0-255 and Cb, Cr 0-255 (neutral 128) in 8 bit; 0-1023 (neutral 512) in 10 bit."""


class TransitionKind(enum.Enum):
    """How one shot gives way to the next."""

    CUT = "cut"
    DISSOLVE = "dissolve"
    FADE = "fade"
    """Through black, white or grey, on one side or both."""
    RETURN = "return"
    """None at all: the shot before goes on. A cut that was reported at `start` was a flash or a damaged frame."""


@dataclass(frozen=True, slots=True)
class ColorTags:
    """How the codes of a Y'CbCr picture are to be read."""

    matrix: Matrix = Matrix.BT709
    color_range: ColorRange = ColorRange.LIMITED
    bit_depth: int = 8
    """8 or 10."""
    color_primaries: int = 1
    """ITU-T H.273 code point, carried through; colour is computed with BT.709 primaries whatever it says."""
    color_trc: int = 1
    """ITU-T H.273 code point, carried through; lightness is computed with the sRGB curve whatever it says."""

    def __post_init__(self) -> None:
        if self.bit_depth not in {8, 10}:
            raise InvalidInputError("bit_depth", f"must be 8 or 10, got {self.bit_depth}")

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """The NumPy type that holds one sample."""
        return np.uint8 if self.bit_depth == 8 else np.uint16


@dataclass(frozen=True, slots=True, eq=False)
class LumaFrame:
    """One decoded monochrome picture."""

    luma: Plane
    """(H, W), Y' as `tags` says."""
    pts: int
    """Presentation time, in `time_base` ticks."""
    time_base: Fraction
    tags: ColorTags = ColorTags()
    is_cut: bool | None = None
    """True or False where the sender knows whether a new shot begins here; None where Kinema is to find out."""
    chroma: tuple[Plane, Plane] | None = None
    """The picture's own (Cb, Cr), each (ceil(H/2), ceil(W/2)), where shots in colour are to be told and kept."""

    def __post_init__(self) -> None:
        _check_plane("luma", self.luma, self.tags)
        if self.chroma is not None:
            _check_chroma(self.luma, *self.chroma, self.tags)


@dataclass(frozen=True, slots=True, eq=False)
class ColorFrame:
    """One colour picture in Y'CbCr 4:2:0."""

    luma: Plane
    """(H, W), the very plane that came in."""
    cb: Plane
    """(ceil(H/2), ceil(W/2))."""
    cr: Plane
    """(ceil(H/2), ceil(W/2))."""
    pts: int
    time_base: Fraction
    tags: ColorTags = ColorTags()
    is_cut: bool | None = None
    """Whether a new shot begins here; None where nobody looked."""
    transition: TransitionKind | None = None
    """How the shot before gives way to this one, or RETURN where the last cut proves to have been none; None within a
    shot, and where only `is_cut` is known."""
    confidence: float | None = None
    """How much of the smoothing's memory stands behind the colours, 0 to 1 in the mean; None without smoothing."""
    is_kept: bool = False
    """Whether the picture was left in the colour that it came with."""

    def __post_init__(self) -> None:
        _check_plane("luma", self.luma, self.tags)
        _check_chroma(self.luma, self.cb, self.cr, self.tags)


@dataclass(frozen=True, slots=True, eq=False)
class RgbFrame:
    """One colour picture in sRGB."""

    rgb: NDArray[np.uint8]
    """(H, W, 3), sRGB, 0-255."""
    pts: int
    time_base: Fraction


def chroma_shape(height: int, width: int) -> tuple[int, int]:
    """Size of a 4:2:0 chroma plane for a luma plane of `height` x `width`, odd sizes rounded up."""
    return (height + 1) // 2, (width + 1) // 2


def check_size(height: int, width: int, *, field: str = "frame") -> None:
    """Refuse a picture size before anything is allocated for it.

    Raises:
        InvalidInputError: a side is below 1 or above MAX_SIDE.
    """
    for name, side in (("height", height), ("width", width)):
        if not 1 <= side <= MAX_SIDE:
            raise InvalidInputError(f"{field}.{name}", f"must be 1 to {MAX_SIDE} pixels, got {side}")


def _check_plane(name: str, plane: Plane, tags: ColorTags) -> None:
    if plane.ndim != 2:
        raise InvalidInputError(name, f"must be a (H, W) array, got shape {plane.shape}")
    if plane.dtype != tags.dtype:
        raise InvalidInputError(name, f"{tags.bit_depth}-bit samples need {tags.dtype.__name__}, got {plane.dtype}")
    check_size(*plane.shape, field=name)


def _check_chroma(luma: Plane, cb: Plane, cr: Plane, tags: ColorTags) -> None:
    expected = chroma_shape(*luma.shape)
    for name, plane in (("cb", cb), ("cr", cr)):
        _check_plane(name, plane, tags)
        if plane.shape != expected:
            raise InvalidInputError(name, f"must be {expected} for luma {luma.shape}, got {plane.shape}")
