"""CIE Lab (D65) to and from sRGB, on whole arrays.

The primaries and the white are those of BT.709, the curve is sRGB's (IEC 61966-2-1). Outside 0-1 the curve is mirrored
through the origin, so a colour outside the gamut converts to RGB outside 0-1, and back to itself.
"""

from typing import Any, Final, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

F32: TypeAlias = NDArray[np.float32]
Float = TypeVar("Float", np.float32, np.float64)

RGB_TO_XYZ: Final = np.array(
    [
        [0.4123907992659595, 0.35758433938387796, 0.1804807884018343],
        [0.21263900587151036, 0.7151686787677559, 0.07219231536073371],
        [0.01933081871559185, 0.11919477979462599, 0.9505321522496606],
    ],
)
"""Linear RGB to XYZ, from BT.709's primaries and white (x, y) = (0.3127, 0.3290); IEC's own matrix has four digits."""
LUMINANCE_WEIGHTS: Final = RGB_TO_XYZ[1]
"""CIE Y of linear RGB (1, 0, 0), (0, 1, 0) and (0, 0, 1)."""

_RGB_TO_RATIOS: Final = RGB_TO_XYZ / RGB_TO_XYZ.sum(axis=1, keepdims=True)  # (X/Xn, Y/Yn, Z/Zn): a grey has a = b = 0
_RATIOS_TO_RGB: Final = np.linalg.inv(_RGB_TO_RATIOS)
_KNEE: Final = 6 / 29  # CIE 15:2004, 8.2.1: f(t) is a cube root above t = _KNEE**3 and a line below


@overload
def rgb_to_lab(rgb: NDArray[np.uint8]) -> F32: ...
@overload
def rgb_to_lab(rgb: NDArray[Float]) -> NDArray[Float]: ...
def rgb_to_lab(rgb: NDArray[Any]) -> NDArray[Any]:
    """Convert sRGB to Lab.

    `rgb` is (..., 3): uint8 0-255, or floating point 0-1. Returns (..., 3) of L* 0-100, a and b: float64 for float64,
    float32 for the others.
    """
    linear_rgb: NDArray[Any] = DECODED_BYTES[rgb] if rgb.dtype == np.uint8 else decode_srgb(rgb)
    return linear_rgb_to_lab(linear_rgb)


def lab_to_rgb(lab: NDArray[Float]) -> NDArray[Float]:
    """Convert Lab to sRGB, not clipped: a colour outside the gamut has a channel below 0 or above 1.

    `lab` is (..., 3) float32 or float64; returns the same shape and type.
    """
    return encode_srgb(lab_to_linear_rgb(lab))


def linear_rgb_to_lab(linear_rgb: NDArray[Float]) -> NDArray[Float]:
    """Convert linear RGB (..., 3), 1 for white, to Lab."""
    ratios: NDArray[Float] = linear_rgb @ _RGB_TO_RATIOS.T.astype(linear_rgb.dtype)
    roots = np.where(ratios > _KNEE**3, np.cbrt(ratios), ratios / (3 * _KNEE**2) + 4 / 29)
    lab = np.empty_like(roots)
    lab[..., 0] = 116 * roots[..., 1] - 16
    lab[..., 1] = 500 * (roots[..., 0] - roots[..., 1])
    lab[..., 2] = 200 * (roots[..., 1] - roots[..., 2])
    return lab


def lab_to_linear_rgb(lab: NDArray[Float]) -> NDArray[Float]:
    """Convert Lab (..., 3) to linear RGB, 1 for white, not clipped."""
    roots = np.empty_like(lab)
    roots[..., 1] = (lab[..., 0] + 16) / 116
    roots[..., 0] = roots[..., 1] + lab[..., 1] / 500
    roots[..., 2] = roots[..., 1] - lab[..., 2] / 200
    ratios = np.where(roots > _KNEE, roots * roots * roots, (roots - 4 / 29) * (3 * _KNEE**2))
    linear_rgb: NDArray[Float] = ratios @ _RATIOS_TO_RGB.T.astype(lab.dtype)
    return linear_rgb


def decode_srgb(rgb: NDArray[Float]) -> NDArray[Float]:
    """Take sRGB-coded values, 1 for white, to linear light, any shape."""
    size = np.abs(rgb)
    return np.copysign(np.where(size > 0.04045, ((size + 0.055) / 1.055) ** 2.4, size / 12.92), rgb)


def encode_srgb(linear_rgb: NDArray[Float]) -> NDArray[Float]:
    """Take linear light, 1 for white, to sRGB-coded values, any shape."""
    size = np.abs(linear_rgb)
    return np.copysign(np.where(size > 0.0031308, 1.055 * size ** (1 / 2.4) - 0.055, size * 12.92), linear_rgb)


DECODED_BYTES: Final = decode_srgb(np.arange(256) / 255).astype(np.float32)
"""Linear light of each sRGB byte."""
