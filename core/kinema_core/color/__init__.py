"""Colour arithmetic: Y' and L*, Lab and sRGB, and Lab chroma brought into the gamut for a given Y' or L*."""

from kinema_core.color.compose import compose_chroma, compose_rgb
from kinema_core.color.lab import lab_to_rgb, rgb_to_lab
from kinema_core.color.luma import GREY_TAGS, halve_luma, is_halved_first, luma_to_lightness, rgb_to_grey
from kinema_core.color.ycbcr import rgb_to_ycbcr, ycbcr_to_rgb

__all__ = [
    "GREY_TAGS",
    "compose_chroma",
    "compose_rgb",
    "halve_luma",
    "is_halved_first",
    "lab_to_rgb",
    "luma_to_lightness",
    "rgb_to_grey",
    "rgb_to_lab",
    "rgb_to_ycbcr",
    "ycbcr_to_rgb",
]
