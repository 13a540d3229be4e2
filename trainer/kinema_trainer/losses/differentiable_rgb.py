"""Lab to sRGB in torch, with a useful gradient everywhere."""

import torch
from torch import Tensor

_RATIOS_TO_RGB = (
    (3.080399090679464, -1.5373831775700928, -0.543015913109371),
    (-0.9212233588602767, 1.8759675015077202, 0.04525585735255628),
    (0.05287393897036445, -0.20397695888897655, 1.151103019918612),
)
"""X/Xn, Y/Yn and Z/Zn to linear RGB, as in `kinema_core.color.lab`; a test compares the two."""
_KNEE = 6 / 29  # CIE 15:2004, 8.2.1
_LINEAR_END = 0.0031308  # IEC 61966-2-1: sRGB is a line below


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Convert Lab (D65) to sRGB.

    Nothing is clamped, for a clamp would tell a colour outside the gamut nothing about the way back. There the curve is
    mirrored through the origin and goes on above 1, as in `kinema_core.color` (extended sRGB, CSS Color Module Level 4,
    section 10.2), and its slope is finite everywhere: 12.92 at black.

    Args:
        lab: (B, 3, H, W), L* 0..100, a and b in Lab units.

    Returns:
        (B, 3, H, W), 0..1 for colours inside the gamut; float32, or float64 for float64, under autocast too.
    """
    with torch.autocast(lab.device.type, enabled=False):
        lab = lab.to(torch.promote_types(lab.dtype, torch.float32))
        lightness, a, b = lab.unbind(dim=1)  # (B, H, W) each
        middle = (lightness + 16) / 116
        x, y, z = (_unroot(root) for root in (middle + a / 500, middle, middle - b / 200))
        channels = [row[0] * x + row[1] * y + row[2] * z for row in _RATIOS_TO_RGB]
        return _encode(torch.stack(channels, dim=1))


def _unroot(root: Tensor) -> Tensor:
    return torch.where(root > _KNEE, root**3, (root - 4 / 29) * (3 * _KNEE**2))


def _encode(linear_rgb: Tensor) -> Tensor:
    size = linear_rgb.abs()
    # The power's slope is infinite at 0, and `where` would multiply that by 0: keep the power away from there.
    curved = 1.055 * size.clamp(min=_LINEAR_END) ** (1 / 2.4) - 0.055
    return torch.where(size > _LINEAR_END, linear_rgb.sign() * curved, linear_rgb * 12.92)
