"""Colour clips for measuring colour over time: read, reduced, and put through the model once.

`--cache FOLDER` of the benchmarks keeps what the model gave; a clip that is found there needs no model.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.bundle import Manifest
from kinema_core.color import compose_chroma, halve_luma
from kinema_core.engines.engine import Engine
from kinema_core.errors import MediaError
from kinema_core.frame_way import prepare_lightness
from kinema_core.frames import ColorFrame, ColorTags
from kinema_core.media.reader import FilmReader
from kinema_core.pipeline import working_shape
from kinema_core.upsample import upsample_ab

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

MAX_HEIGHT, MAX_WIDTH = 270, 480
SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm"})


@dataclass(frozen=True, slots=True, eq=False)
class ColourClip:
    """A clip with its true colours, and the model's for the same luma."""

    name: str
    luma: U8
    """(T, H, W), Y' as `tags` says."""
    truth: U8
    """(T, H, W, 3), sRGB."""
    lightness: F32
    """(T, h, w), L* 0-100, what the model saw."""
    ab: F32
    """(T, h/s, w/s, 2), Lab units, what the model gave for each frame by itself."""
    tags: ColorTags


def list_clips(folder: Path) -> list[Path]:
    """List the films in a folder by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def read_clip(path: Path, num_frames: int) -> tuple[U8, U8, ColorTags]:
    """Read at most `num_frames` of a clip, fitted into 480x270: luma (T, H, W), true colours (T, H, W, 3), tags.

    Raises:
        MediaError: the clip cannot be read, or is not 8-bit colour.
    """
    with FilmReader(path) as film:
        if film.tags.bit_depth != 8:
            raise MediaError(f"{path}: only 8-bit clips are measured")
        scale = min(1.0, MAX_HEIGHT / film.height, MAX_WIDTH / film.width)
        height, width = (2 * round(side * scale / 2) for side in (film.height, film.width))
        frames = [_reduce(frame, height, width) for frame in islice(film.color_frames(), num_frames)]
        luma = np.stack([frame.luma for frame in frames])
        truth = np.stack([ycbcr_to_rgb(frame.luma, frame.cb, frame.cr, film.tags) for frame in frames])
        return luma.astype(np.uint8, copy=False), truth, film.tags


def load_clip(path: Path, num_frames: int, manifest: Manifest, engine: Engine, cache: Path | None) -> ColourClip:
    """Read a clip and colorize each frame by itself.

    Raises:
        MediaError: the clip cannot be read, or is not 8-bit colour.
    """
    luma, truth, tags = read_clip(path, num_frames)
    height, width = luma.shape[1:]
    shape = working_shape(height, width, manifest)
    lightness = np.stack([prepare_lightness(picture, tags, shape)[0, 0] for picture in luma])
    kept = cache / f"{path.stem}-{manifest.name}-{manifest.version}-{len(luma)}.npy" if cache else None
    if kept is not None and kept.exists():
        ab = np.load(kept)
    else:
        ab = np.stack([engine.infer(item[None, None])[0].transpose(1, 2, 0) for item in lightness])
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(kept, ab)
    return ColourClip(path.stem, luma, truth, lightness, ab, tags)


def show(clip: ColourClip, ab: F32) -> Iterator[U8]:
    """Bring ab (T, h, w, 2) to the clip's size and compose the pictures (H, W, 3), sRGB, as Kinema's films show."""
    for luma, small in zip(clip.luma, ab, strict=True):
        luma_half = halve_luma(luma)
        cb, cr = compose_chroma(luma_half, upsample_ab(np.ascontiguousarray(small), luma_half, clip.tags), clip.tags)
        yield ycbcr_to_rgb(luma, cb, cr, clip.tags)


def bring_up(clip: ColourClip, ab: F32) -> Iterator[F32]:
    """Bring ab (T, h, w, 2) to the clip's size, (H, W, 2) each, not rounded to codes."""
    height, width = clip.luma.shape[1:]
    for luma, small in zip(clip.luma, ab, strict=True):
        half = upsample_ab(np.ascontiguousarray(small), halve_luma(luma), clip.tags)
        size = (2 * half.shape[1], 2 * half.shape[0])
        yield cv2.resize(np.ascontiguousarray(half), size, interpolation=cv2.INTER_LINEAR)[:height, :width]


def ycbcr_to_rgb(luma: NDArray[np.generic], cb: NDArray[np.generic], cr: NDArray[np.generic], tags: ColorTags) -> U8:
    """Show 8-bit Y'CbCr 4:2:0 as RGB (H, W, 3), clipped as a player does; ITU-T H.273, 8.3."""
    height, width = luma.shape
    kr, kg, kb = tags.matrix.luma_weights
    is_limited = tags.color_range.value == "limited"
    offset, luma_span, chroma_span = (16, 219, 224) if is_limited else (0, 255, 255)
    y = (luma.astype(np.float32) - offset) / luma_span
    u, v = (
        cv2.resize((plane.astype(np.float32) - 128) / chroma_span, (2 * plane.shape[1], 2 * plane.shape[0]))
        for plane in (cb, cr)
    )
    blue = y + 2 * (1 - kb) * u[:height, :width]
    red = y + 2 * (1 - kr) * v[:height, :width]
    green = (y - kr * red - kb * blue) / kg
    rgb = np.dstack([red, green, blue])
    return np.asarray(np.rint(rgb.clip(0, 1) * 255), np.uint8)


def _reduce(frame: ColorFrame, height: int, width: int) -> ColorFrame:
    luma = cv2.resize(frame.luma, (width, height), interpolation=cv2.INTER_AREA)
    cb, cr = (cv2.resize(p, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for p in (frame.cb, frame.cr))
    return ColorFrame(luma, cb, cr, frame.pts, frame.time_base, frame.tags)
