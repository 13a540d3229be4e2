"""Pictures for a report, each as a `data:` address, and the outlines of the ab histograms."""

import base64
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color import lab_to_rgb
from kinema_trainer.evaluation.ab_histogram import BIN, LIMIT, NUM_BINS, Counts
from kinema_trainer.evaluation.photo_set import Rgb

JPEG_QUALITY: Final = 90
FAINTEST: Final = 1e-6
"""The share of the pixels at which a bin's colour, and the marginals' logarithmic scale, begin."""
SHOWN_LIGHTNESS: Final = 62.0
MARGINAL_WIDTH: Final = 2 * LIMIT
MARGINAL_HEIGHT: Final = 90


@dataclass(frozen=True, slots=True)
class HistogramView:
    """How a set's ab are spread."""

    name: str
    plane: str
    """PNG of the ab plane, a to the right and b upwards: a bin in its own colour, the more opaque the more pixels."""
    a_outline: str
    """SVG path of log10 of the share of the pixels over a, MARGINAL_WIDTH x MARGINAL_HEIGHT."""
    b_outline: str


def view_histogram(name: str, counts: Counts) -> HistogramView:
    """Draw a histogram (NUM_BINS of b, NUM_BINS of a)."""
    share = counts / max(1, counts.sum())
    return HistogramView(name, _plane(share), _outline(share.sum(axis=0)), _outline(share.sum(axis=1)))


def picture_address(rgb: Rgb) -> str:
    """Return (H, W, 3) sRGB as a JPEG in a `data:` address."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
               cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]  # fmt: skip
    return _address("jpeg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)


def _plane(share: NDArray[np.float64]) -> str:
    middles = np.arange(NUM_BINS) * BIN - LIMIT + BIN / 2
    lab = np.full((NUM_BINS, NUM_BINS, 3), SHOWN_LIGHTNESS)
    lab[..., 1], lab[..., 2] = middles[None, :], middles[:, None]
    bgr = np.clip(lab_to_rgb(lab), 0, 1)[..., ::-1]
    opacity = _log_scale(share, share.max())
    bgra = np.rint(np.dstack((bgr, opacity)) * 255).astype(np.uint8)
    return _address("png", bgra[::-1], [])  # rows of a picture run downwards, b upwards


def _outline(share: NDArray[np.float64]) -> str:
    heights = MARGINAL_HEIGHT * (1 - _log_scale(share, 1.0))
    width = MARGINAL_WIDTH / NUM_BINS
    steps = "".join(f"V{height:.1f}H{(i + 1) * width:.1f}" for i, height in enumerate(heights))
    return f"M0 {MARGINAL_HEIGHT}{steps}V{MARGINAL_HEIGHT}"


def _log_scale(share: NDArray[np.float64], most: float) -> NDArray[np.float64]:
    """Return 0 for FAINTEST and below, 1 for `most`, in equal steps for equal factors."""
    if most <= FAINTEST:
        return np.zeros_like(share)
    scaled: NDArray[np.float64] = np.log(np.maximum(share, FAINTEST) / FAINTEST) / np.log(most / FAINTEST)
    return scaled


def _address(kind: str, pixels: NDArray[np.uint8], options: list[int]) -> str:
    is_encoded, data = cv2.imencode(f".{kind}", pixels, options)
    assert is_encoded
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
