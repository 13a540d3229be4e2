"""Film-like degradation of L*: what archives hold, drawn at random for one picture at a time.

In the order in which it happens to film: exposure and contrast, a soft print, grain, fading, flicker, scratches, dust.
Single frames only: flicker is a gain that belongs to one frame, and a scratch does not go on in the next.
Grain and blur are in pixels, since a scan's resolution limits them; scratches and dust grow with the picture.
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

F32: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmConfig:
    """How often each defect is met in a degraded picture, and how strong it may be."""

    contrast: float = 0.2
    """Standard deviation of the logarithm of the tone curve's exponent."""
    exposure: float = 0.08
    """Standard deviation of the logarithm of the gain."""
    fog: float = 4.0
    """Standard deviation of the lightness of black, L*; half of the pictures have none."""
    blur_rate: float = 0.4
    blur_pixels: float = 1.2
    """Largest standard deviation of the blur; the least is 0.3."""
    fading_rate: float = 0.3
    fading: float = 0.5
    """Largest part of the contrast that is lost, in the worst place of the picture."""
    grain_rate: float = 0.6
    grain: float = 4.0
    """Largest root mean square of the grain in mid-tones, L*."""
    grain_pixels: float = 0.9
    """Largest standard deviation of a grain's shape; the least is 0.3."""
    flicker_rate: float = 0.2
    flicker: float = 0.12
    """Standard deviation of the logarithm of a frame's gain."""
    scratch_rate: float = 0.2
    max_scratches: int = 4
    dust_rate: float = 0.2
    max_dust: int = 12
    """Spots in a picture."""

    def __post_init__(self) -> None:
        rates = (
            self.blur_rate,
            self.fading_rate,
            self.grain_rate,
            self.flicker_rate,
            self.scratch_rate,
            self.dust_rate,
        )
        if not all(0 <= rate <= 1 for rate in (*rates, self.fading)):
            raise ValueError(f"rates and the fading must be 0 to 1, got {self}")
        sizes = (self.contrast, self.exposure, self.fog, self.blur_pixels, self.grain, self.grain_pixels, self.flicker)
        if min(*sizes, self.max_scratches, self.max_dust) < 0:
            raise ValueError(f"strengths must be 0 or more, got {self}")


def degrade(lightness: F32, config: FilmConfig, rng: np.random.Generator) -> F32:
    """Treat L* (H, W), 0-100, as old film does; returns the same shape and range, float32."""
    out = expose(lightness, config, rng)
    if rng.random() < config.blur_rate:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, max(0.3, config.blur_pixels)))
    if rng.random() < config.grain_rate:
        out = out + grain(out, config, rng)
    if rng.random() < config.fading_rate:
        out = fade(out, config.fading, rng)
    if rng.random() < config.flicker_rate:
        out = out * np.float32(np.exp(rng.normal(0, config.flicker)))
    if rng.random() < config.scratch_rate:
        out = scratch(out, config.max_scratches, rng)
    if rng.random() < config.dust_rate:
        out = spot(out, config.max_dust, rng)
    return np.clip(out, 0, 100).astype(np.float32, copy=False)


def remove_pixels(lightness: F32, part: float, rng: np.random.Generator) -> F32:
    """Make pixels of L* (H, W) black, each with the probability `part`."""
    return np.where(rng.random(lightness.shape, np.float32) < part, np.float32(0), lightness)


def expose(lightness: F32, config: FilmConfig, rng: np.random.Generator) -> F32:
    """Give L* (H, W) another tone curve, exposure and level of black."""
    exponent, gain = np.exp(rng.normal(0, config.contrast)), np.exp(rng.normal(0, config.exposure))
    black = max(0.0, rng.normal(0, config.fog))
    exposed = cv2.pow(lightness / np.float32(100), float(exponent)) * np.float32(gain)
    return np.asarray(black + (100 - black) * np.clip(exposed, 0, 1), np.float32)


def fade(lightness: F32, fading: float, rng: np.random.Generator) -> F32:
    """Draw L* (H, W) towards one grey, unevenly over the picture."""
    height, width = lightness.shape
    coarse = rng.uniform(0, fading * rng.random(), (3, 3)).astype(np.float32)
    lost = np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)
    grey = rng.uniform(40, 80)
    return np.asarray(lightness + lost * (np.float32(grey) - lightness), np.float32)


def grain(lightness: F32, config: FilmConfig, rng: np.random.Generator) -> F32:
    """Return grain to add to L* (H, W): correlated in space, strongest in mid-tones."""
    noise: F32 = rng.standard_normal(lightness.shape, np.float32)
    size = rng.uniform(0.3, max(0.3, config.grain_pixels))
    noise = cv2.GaussianBlur(noise, (0, 0), size)
    noise *= np.float32(config.grain * rng.uniform(0.2, 1.0) ** 1.5 / max(float(noise.std()), 1e-6))
    tone = np.clip(lightness, 0, 100) / np.float32(100)
    strength = np.float32(0.3) + np.float32(2.8) * tone * (1 - tone)  # 1 in mid-grey, 0.3 in black and white
    return np.asarray(noise * strength, np.float32)


def scratch(lightness: F32, max_scratches: int, rng: np.random.Generator) -> F32:
    """Draw up to `max_scratches` thin lines, light or dark, nearly upright, over L* (H, W)."""
    height, width = lightness.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None]
    out = lightness
    for _ in range(rng.integers(1, max_scratches + 1) if max_scratches else 0):
        left, slope, sway = rng.uniform(0, width), rng.normal(0, 0.01), rng.normal(0, 0.006 * width)
        phase, half_width = rng.uniform(0, 2 * np.pi), max(0.35, rng.uniform(0.001, 0.005) * width)
        path = left + slope * rows + sway * np.sin(rows / height * np.pi + phase)
        cover = np.exp(-(((columns - path) / half_width) ** 2)) * rng.uniform(0.2, 0.9)
        if rng.random() < 0.5:  # one that begins or ends inside the frame
            begin, end = np.sort(rng.uniform(-0.3, 1.3, 2)) * height
            cover = cover * ((rows >= begin) & (rows <= end))
        tone = rng.uniform(80, 100) if rng.random() < 0.6 else rng.uniform(0, 25)
        out = out + cover * (np.float32(tone) - out)
    return np.asarray(out, np.float32)


def spot(lightness: F32, max_dust: int, rng: np.random.Generator) -> F32:
    """Lay up to `max_dust` specks and hairs of dust, light or dark, on L* (H, W)."""
    height, width = lightness.shape
    cover = np.zeros((height, width), np.float32)
    tone = rng.uniform(80, 100) if rng.random() < 0.5 else rng.uniform(0, 25)
    for _ in range(rng.integers(1, max_dust + 1) if max_dust else 0):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        radius = min(max(0.6, rng.exponential(0.005) * width), 0.012 * width + 0.6)
        axes = (max(1, round(radius * rng.uniform(0.8, 2.5))), max(1, round(radius)))
        cv2.ellipse(cover, centre, axes, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(0.4, 1)), -1)
    cover = cv2.GaussianBlur(cover, (0, 0), 0.5)
    return np.asarray(lightness + cover * (np.float32(tone) - lightness), np.float32)
