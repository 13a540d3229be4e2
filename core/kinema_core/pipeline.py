"""The way of a frame: grey in, colour out.

luma ─► lightness at the model's size ─► Engine ─► ab ─► smoothed over time ─► upsampled ─► composed ─► Cb, Cr
  └──────────────────────────────── unchanged ───────────────────────────────────────────────────────► Y'
"""

import math
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.bundle import Manifest
from kinema_core.color import (
    GREY_TAGS,
    compose_chroma,
    compose_rgb,
    halve_luma,
    luma_to_lightness,
    rgb_to_grey,
)
from kinema_core.engines.engine import Engine
from kinema_core.errors import InvalidInputError
from kinema_core.frames import ColorFrame, ColorTags, LumaFrame, Plane, RgbFrame, TransitionKind, check_size
from kinema_core.run_ahead import run_ahead
from kinema_core.stage_clock import StageClock
from kinema_core.temporal.cuts import CutDetector
from kinema_core.temporal.stabilizer import Stabilizer
from kinema_core.upsample import upsample_ab

F32: TypeAlias = NDArray[np.float32]

MIN_WORKING_SIZE = 64
MAX_WORKING_SIZE = 1024
FRAMES_AHEAD = 3
"""Frames that may wait between two stages: enough to level out their speeds, few enough to bound memory."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may choose for a film, a stream or a photograph."""

    smoothing: float = 0.5
    """0 (every frame for itself) to 1."""
    saturation: float = 1.0
    """Factor on ab, 0 to 2."""
    working_size: int = 0
    """The model sees about working_size squared pixels; 0 for the model's own size."""

    def __post_init__(self) -> None:
        for field, value, most in (("smoothing", self.smoothing, 1.0), ("saturation", self.saturation, 2.0)):
            if not 0 <= value <= most:  # NaN fails too
                raise InvalidInputError(field, f"must be 0 to {most:g}, got {value}")
        if self.working_size and not MIN_WORKING_SIZE <= self.working_size <= MAX_WORKING_SIZE:
            allowed = f"{MIN_WORKING_SIZE} to {MAX_WORKING_SIZE}, or 0 for the model's own"
            raise InvalidInputError("working_size", f"must be {allowed}, got {self.working_size}")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A frame and what the model sees of it."""

    frame: LumaFrame
    lightness: F32
    """(1, 1, h, w), L* 0-100."""


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """The colour of a frame."""

    luma_half: Plane
    """(ceil(H/2), ceil(W/2)), Y' at the size of chroma."""
    ab: F32
    """(ceil(H/2), ceil(W/2), 2), Lab units."""
    is_cut: bool
    transition: TransitionKind | None = None
    """Where it is known; RETURN where the last cut proves to have been none."""
    confidence: float | None = None
    """How much of the smoothing's memory stands behind the colours, 0 to 1 in the mean; None without smoothing."""


class Colorizer:
    """Colorize one film or stream; frames come in order. Holds the temporal state, not the engine."""

    def __init__(
        self, manifest: Manifest, *, height: int, width: int, tags: ColorTags, options: Options | None = None
    ) -> None:
        """Set up for frames of one size and one set of tags.

        Raises:
            InvalidInputError: the size is out of bounds.
        """
        check_size(height, width)
        self.options = options or Options()
        self.tags = tags
        self.shape = (height, width)
        self.working_shape = working_shape(height, width, manifest, self.options.working_size)
        """(h, w) of the lightness that the model sees."""
        self._cuts = CutDetector()
        self._stabilizer = Stabilizer(self.options.smoothing)

    def prepare(self, frame: LumaFrame) -> Prepared:
        """Make what the model sees; keeps no state, so it may run ahead of `finish`.

        Raises:
            InvalidInputError: the frame's size or tags are not those of this film.
        """
        if frame.luma.shape != self.shape or frame.tags != self.tags:
            raise InvalidInputError("frame", f"must be {self.shape} {self.tags}, got {frame.luma.shape} {frame.tags}")
        return Prepared(frame, prepare_lightness(frame.luma, frame.tags, self.working_shape))

    def finish(self, prepared: Prepared, ab: F32) -> Finished:
        """Turn the model's ab (1, 2, h/s, w/s) into the frame's; call it in the order of the frames."""
        lightness = prepared.lightness[0, 0]
        is_cut = self._cuts.is_cut(lightness)
        transition = self._cuts.found.kind if self._cuts.found else None
        if prepared.frame.is_cut is not None:
            is_cut, transition = prepared.frame.is_cut, None
        ab = np.ascontiguousarray(ab[0].transpose(1, 2, 0))
        ab = self._stabilizer.smooth(lightness, ab, is_cut=is_cut)
        if self.options.saturation != 1:
            ab = ab * np.float32(self.options.saturation)
        luma_half = halve_luma(prepared.frame.luma)
        return Finished(
            luma_half, upsample_ab(ab, luma_half, self.tags), is_cut, transition, self._stabilizer.confidence
        )

    def compose(self, prepared: Prepared, finished: Finished) -> ColorFrame:
        """Return the frame in Y'CbCr 4:2:0: its own luma plane, and chroma that holds it."""
        frame = prepared.frame
        cb, cr = compose_chroma(finished.luma_half, finished.ab, self.tags)
        facts = (finished.is_cut, finished.transition, finished.confidence)
        return ColorFrame(frame.luma, cb, cr, frame.pts, frame.time_base, frame.tags, *facts)

    def compose_rgb(self, prepared: Prepared, finished: Finished) -> RgbFrame:
        """Return the frame in sRGB: its lightness held instead of its luma."""
        frame = prepared.frame
        height, width = self.shape
        doubled = (finished.ab.shape[1] * 2, finished.ab.shape[0] * 2)
        ab = cv2.resize(finished.ab, doubled, interpolation=cv2.INTER_LINEAR)[:height, :width]
        return RgbFrame(compose_rgb(frame.luma, ab, self.tags), frame.pts, frame.time_base)


def colorize_frames(
    frames: Iterable[LumaFrame], colorizer: Colorizer, engine: Engine, clock: StageClock | None = None
) -> Generator[ColorFrame, None, None]:
    """Colorize a film. Reading, the model and composing overlap; the bits are those of one after the other.

    `frames` is iterated on another thread until the result is exhausted, raises or is closed: close it before what
    feeds it. `clock` counts the stages "decode" (of `frames`), "prepare", "engine" and "finish".
    """
    clock = clock or StageClock()
    prepare = clock.timed("prepare", colorizer.prepare)
    infer = clock.timed("engine", engine.infer)

    def finish(p: Prepared, ab: F32) -> ColorFrame:
        return colorizer.compose(p, colorizer.finish(p, ab))

    finish = clock.timed("finish", finish)
    # Each stage is closed by name, the last one first: an error's traceback may keep a generator alive, and with it a
    # thread that would go on reading.
    with (
        closing(run_ahead((prepare(frame) for frame in clock.iterate("decode", frames)), FRAMES_AHEAD)) as prepared,
        closing(run_ahead(((p, infer(p.lightness)) for p in prepared), FRAMES_AHEAD)) as inferred,
        closing(run_ahead((finish(p, ab) for p, ab in inferred), FRAMES_AHEAD)) as colored,
    ):
        yield from colored


def colorize_photo(
    rgb: NDArray[np.uint8], engine: Engine, manifest: Manifest, options: Options | None = None
) -> NDArray[np.uint8]:
    """Colorize the lightness of a photograph (H, W, 3), sRGB; any colour it has is ignored. Same shape out."""
    options = options or Options()
    grey = rgb_to_grey(rgb)
    height, width = grey.shape
    shape = working_shape(height, width, manifest, options.working_size)
    ab = engine.infer(prepare_lightness(grey, GREY_TAGS, shape))[0].transpose(1, 2, 0)
    ab = upsample_ab(np.ascontiguousarray(ab * np.float32(options.saturation)), grey, GREY_TAGS)
    return compose_rgb(grey, ab, GREY_TAGS)


def working_shape(height: int, width: int, manifest: Manifest, working_size: int = 0) -> tuple[int, int]:
    """Return the (h, w) at which the model sees a picture.

    The picture keeps its shape and gets about working_size squared pixels, so that every film costs the same; each
    side is rounded to what the model takes.
    """
    scale = (working_size or manifest.working_size) / math.sqrt(height * width)
    multiple = manifest.size_multiple
    h, w = (max(1, round(side * scale / multiple)) * multiple for side in (height, width))
    return min(h, 4 * MAX_WORKING_SIZE), min(w, 4 * MAX_WORKING_SIZE)


def prepare_lightness(luma: Plane, tags: ColorTags, shape: tuple[int, int]) -> F32:
    """Scale luma (H, W) to `shape` (h, w) and return its lightness (1, 1, h, w), L* 0-100."""
    is_smaller = shape[0] * shape[1] < luma.shape[0] * luma.shape[1]
    small = cv2.resize(luma, shape[::-1], interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC)
    return luma_to_lightness(small.astype(luma.dtype, copy=False), tags)[None, None]
