"""The way of a frame: grey in, colour out.

luma ─► lightness at the model's size ─► Engine ─► ab ─► smoothed ─► steered ─► upsampled ─► composed ─► Cb, Cr
  └───────── unchanged ────────────────────────────────────────────────────────────────────────────────► Y'
"""

import math
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.bundle import Manifest
from kinema_core.color import GREY_TAGS, compose_rgb, rgb_to_grey, ycbcr_to_rgb
from kinema_core.engines.engine import Engine
from kinema_core.errors import InvalidInputError
from kinema_core.frame_way import HOST, FrameWay, prepare_lightness
from kinema_core.frames import ColorFrame, ColorTags, LumaFrame, RgbFrame, TransitionKind, check_size
from kinema_core.run_ahead import run_ahead
from kinema_core.stage_clock import StageClock
from kinema_core.steering.colour_statistics import ColourStatistics
from kinema_core.steering.grade import MAX_BLACKS, MIN_HIGHLIGHTS, Grade
from kinema_core.steering.own_colour import ColourShots, frame_residual, is_colour_photo
from kinema_core.steering.reference import ReferenceTransfer
from kinema_core.temporal.cuts import CutDetector, any_cut
from kinema_core.temporal.state import State, Value, state_from_bytes, state_to_bytes
from kinema_core.upsample import upsample_ab

F32: TypeAlias = NDArray[np.float32]
OnSmoothed: TypeAlias = Callable[[F32, F32, bool], None]
"""Is told, frame by frame: lightness (H, W) as the model saw it, ab (h, w, 2) smoothed and of the model's own
saturation, and whether a new shot begins. It only reads."""

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
    warmth: float = 0.0
    """-1 (cold) to 1 (warm), as `Grade` says."""
    desaturate_blacks: float = 0.0
    """L*, 0 (off) to 50, below which colour fades to none in black."""
    desaturate_highlights: float = 100.0
    """L*, 50 to 100 (off), above which colour fades to none in white."""
    reference: ColourStatistics | None = None
    """The palette that every shot is given; None for the model's own."""
    keep_colour: bool = False
    """Whether what is in colour already, shot by shot, is left as it is; frames must bring their chroma."""

    def __post_init__(self) -> None:
        for field, value, least, most in (
            ("smoothing", self.smoothing, 0.0, 1.0),
            ("saturation", self.saturation, 0.0, 2.0),
            ("warmth", self.warmth, -1.0, 1.0),
            ("desaturate_blacks", self.desaturate_blacks, 0.0, MAX_BLACKS),
            ("desaturate_highlights", self.desaturate_highlights, MIN_HIGHLIGHTS, 100.0),
        ):
            if not least <= value <= most:  # NaN fails too
                raise InvalidInputError(field, f"must be {least:g} to {most:g}, got {value}")
        if self.working_size and not MIN_WORKING_SIZE <= self.working_size <= MAX_WORKING_SIZE:
            allowed = f"{MIN_WORKING_SIZE} to {MAX_WORKING_SIZE}, or 0 for the model's own"
            raise InvalidInputError("working_size", f"must be {allowed}, got {self.working_size}")

    @property
    def grade(self) -> Grade:
        """What is to be done to ab by lightness."""
        return Grade(self.warmth, self.desaturate_blacks, self.desaturate_highlights)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A frame and what the model sees of it."""

    frame: LumaFrame
    lightness: F32
    """(1, 1, h, w), L* 0-100."""
    own_residual: float = 0.0
    """Of the frame's own colour, as `frame_residual` has it; 0 where it is not asked for."""
    on_device: Any = None
    """What the frame's way keeps of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """The colour of a frame."""

    luma_half: Any
    """(ceil(H/2), ceil(W/2)), Y' at the size of chroma, as the frame's way keeps it: on the CPU as a plane."""
    ab: Any
    """(ceil(H/2), ceil(W/2), 2), Lab units, the same."""
    is_cut: bool
    is_kept: bool = False
    """Whether the frame keeps the colour it came with."""
    transition: TransitionKind | None = None
    """Where it is known; RETURN where the last cut proves to have been none."""
    confidence: float | None = None
    """How much of the smoothing's memory stands behind the colours, 0 to 1 in the mean; None without smoothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A frame of a film in colour, and how the film stands behind it."""

    frame: ColorFrame
    state: State
    """What it leaves to the next frame; `state_to_bytes` writes it down for `Colorizer.import_state`."""


class Colorizer:
    """Colorize one film or stream; frames come in order. Holds the temporal state, not the engine."""

    def __init__(
        self,
        manifest: Manifest,
        *,
        height: int,
        width: int,
        tags: ColorTags,
        options: Options | None = None,
        on_smoothed: OnSmoothed | None = None,
        way: FrameWay = HOST,
    ) -> None:
        """Set up for frames of one size and one set of tags; `on_smoothed` is told of every frame.

        `way` is where their pixels are worked on; frames that do not fit it go by the CPU.

        Raises:
            InvalidInputError: the size is out of bounds.
        """
        check_size(height, width)
        self.options = options or Options()
        self.tags = tags
        self.shape = (height, width)
        self.working_shape = working_shape(height, width, manifest, self.options.working_size)
        """(h, w) of the lightness that the model sees."""
        height, width = self.working_shape
        self._ab_shape = (height // manifest.output_stride, width // manifest.output_stride)
        self._way = way if way.fits(self.shape, self.working_shape, self._ab_shape) else HOST
        self._cuts = CutDetector()
        self._stabilizer = self._way.new_smoother(self.options.smoothing)
        self._transfer = ReferenceTransfer(self.options.reference) if self.options.reference else None
        self._colour_shots = ColourShots()
        self._skipped_cut: bool | None = False
        self._on_smoothed = on_smoothed

    def prepare(self, frame: LumaFrame) -> Prepared:
        """Make what the model sees; keeps no state, so it may run ahead of `finish`.

        Raises:
            InvalidInputError: the frame's size or tags are not those of this film, or it lacks the chroma that
                `keep_colour` needs.
        """
        if frame.luma.shape != self.shape or frame.tags != self.tags:
            raise InvalidInputError("frame", f"must be {self.shape} {self.tags}, got {frame.luma.shape} {frame.tags}")
        residual = 0.0
        if self.options.keep_colour:
            if frame.chroma is None:
                raise InvalidInputError("frame.chroma", "is missing; keep_colour needs frames with their own chroma")
            residual = frame_residual(frame.luma, *frame.chroma, frame.tags)
        lightness, on_device = self._way.prepare(frame.luma, frame.tags, self.working_shape)
        return Prepared(frame, lightness, residual, on_device)

    def skip(self, *, is_cut: bool | None) -> None:
        """Pass over a frame that gets no colour; what it says of a cut counts for the next one."""
        self._skipped_cut = any_cut(self._skipped_cut, is_cut)

    @property
    def way(self) -> FrameWay:
        """Where the frames are worked on; its `infer` takes the pictures of several films together."""
        return self._way

    def picture(self, prepared: Prepared) -> Any:
        """Return what the model sees of a frame, as `way.infer` takes it."""
        return self._way.picture(prepared.lightness, prepared.on_device)

    def infer(self, engine: Engine, prepared: Prepared) -> Any:
        """Return the model's ab as `finish` takes it.

        Raises:
            EngineError: the model could not run.
        """
        (ab,) = self._way.infer(engine, [self.picture(prepared)])
        return ab

    def finish(self, prepared: Prepared, ab: Any) -> Finished:
        """Turn the model's ab, on the CPU (1, 2, h/s, w/s), into the frame's; call it in the order of the frames.

        Raises:
            EngineError: ab is not what a model gives for such a frame.
        """
        ab = self._way.take_ab(ab, prepared.lightness)
        lightness = prepared.lightness[0, 0]
        is_cut = self._cuts.is_cut(lightness)
        transition = self._cuts.found.kind if self._cuts.found else None
        told = (
            prepared.frame.is_cut if self._skipped_cut is False else any_cut(self._skipped_cut, prepared.frame.is_cut)
        )
        self._skipped_cut = False
        if told is not None:
            is_cut, transition = told, None
        ab = self._stabilizer.smooth(lightness, ab, is_cut=is_cut)
        if self._transfer is not None:
            ab = self._way.from_host(self._transfer.apply(self._way.to_host(ab), is_cut=is_cut))
        if self._on_smoothed is not None:
            self._on_smoothed(lightness, self._way.to_host(ab), is_cut)
        if self.options.saturation != 1:
            ab = ab * np.float32(self.options.saturation)
        luma, grade = prepared.frame.luma, self.options.grade
        luma_half, ab = self._way.upsample(ab, luma, prepared.on_device, self.tags, grade)
        is_kept = self.options.keep_colour and self._colour_shots.is_colour(prepared.own_residual, is_cut=is_cut)
        return Finished(luma_half, ab, is_cut, is_kept, transition, self._stabilizer.confidence)

    def snapshot(self) -> State:
        """Give what the frames finished so far leave to the next; takes no time, for nothing is copied."""
        state: dict[str, Value] = {"height": self.shape[0], "width": self.shape[1]}
        if self._skipped_cut is not False:
            state["skipped_cut"] = "yes" if self._skipped_cut else "perhaps"
        state |= {f"cuts.{name}": value for name, value in self._cuts.snapshot().items()}
        state |= {f"stabilizer.{name}": value for name, value in self._stabilizer.snapshot().items()}
        if self._transfer is not None:
            state |= {f"palette.{name}": value for name, value in self._transfer.snapshot().items()}
        return state | {f"own_colour.{name}": value for name, value in self._colour_shots.snapshot().items()}

    def export_state(self) -> bytes:
        """Write down what the frames finished so far leave to the next; bounded, however long the film was."""
        return state_to_bytes(self.snapshot())

    def import_state(self, data: bytes) -> None:
        """Go on, bit for bit, behind the frames that `export_state` was called after, here or elsewhere.

        Raises:
            InvalidInputError: these are other bytes, damaged, of another version, or of a film of another size, another
                working size or another smoothing. Nothing is changed then.
        """
        state = state_from_bytes(data)
        if (state.integer("height"), state.integer("width")) != self.shape:
            raise InvalidInputError("state", f"is of a film of another size than {self.shape}")
        cuts, stabilizer = CutDetector(), self._way.new_smoother(self.options.smoothing)
        colour_shots = ColourShots()
        cuts.restore(state, "cuts.")
        stabilizer.restore(state, self.working_shape, self._ab_shape, "stabilizer.")
        colour_shots.restore(state, "own_colour.")
        skipped_cut: bool | None = False
        if state.has("skipped_cut"):
            skipped_cut = state.text("skipped_cut", ("yes", "perhaps")) == "yes" or None
        if self.options.reference is not None:
            transfer = ReferenceTransfer(self.options.reference)
            transfer.restore(state, "palette.")
            self._transfer = transfer
        self._cuts, self._stabilizer, self._colour_shots = cuts, stabilizer, colour_shots
        self._skipped_cut = skipped_cut

    def compose(self, prepared: Prepared, finished: Finished) -> ColorFrame:
        """Return the frame in Y'CbCr 4:2:0: its own luma plane, and chroma that holds it."""
        frame = prepared.frame
        if finished.is_kept and frame.chroma is not None:
            cb, cr = frame.chroma
        else:
            cb, cr = self._way.compose(finished.luma_half, finished.ab, self.tags)
        return ColorFrame(
            frame.luma,
            cb,
            cr,
            frame.pts,
            frame.time_base,
            frame.tags,
            is_cut=finished.is_cut,
            transition=finished.transition,
            confidence=finished.confidence,
            is_kept=finished.is_kept,
        )

    def compose_rgb(self, prepared: Prepared, finished: Finished) -> RgbFrame:
        """Return the frame in sRGB: its lightness held instead of its luma."""
        frame = prepared.frame
        if finished.is_kept and frame.chroma is not None:
            own = ycbcr_to_rgb(frame.luma, *frame.chroma, frame.tags)
            rgb = np.rint(own * np.float32(255 / np.iinfo(own.dtype).max)).astype(np.uint8)
            return RgbFrame(rgb, frame.pts, frame.time_base)
        height, width = self.shape
        half = self._way.to_host(finished.ab)
        doubled = (half.shape[1] * 2, half.shape[0] * 2)
        ab = cv2.resize(half, doubled, interpolation=cv2.INTER_LINEAR)[:height, :width]
        return RgbFrame(compose_rgb(frame.luma, ab, self.tags), frame.pts, frame.time_base)


def colorize_frames(
    frames: Iterable[LumaFrame], colorizer: Colorizer, engine: Engine, clock: StageClock | None = None
) -> Generator[ColorFrame, None, None]:
    """Colorize a film. Reading, the model and composing overlap; the bits are those of one after the other.

    `frames` is iterated on another thread until the result is exhausted, raises or is closed: close it before what
    feeds it. `clock` counts the stages "decode" (of `frames`), "prepare", "engine" and "finish".
    """
    with closing(colorize_steps(frames, colorizer, engine, clock)) as steps:
        for step in steps:
            yield step.frame


def colorize_steps(
    frames: Iterable[LumaFrame], colorizer: Colorizer, engine: Engine, clock: StageClock | None = None
) -> Generator[Step, None, None]:
    """Colorize a film as `colorize_frames` does, and tell of each frame what somebody needs who goes on behind it."""
    clock = clock or StageClock()
    prepare = clock.timed("prepare", colorizer.prepare)
    infer = clock.timed("engine", partial(colorizer.infer, engine))
    finish = clock.timed("finish", partial(_step, colorizer))
    # Each stage is closed by name, the last one first: an error's traceback may keep a generator alive, and with it a
    # thread that would go on reading.
    with (
        closing(run_ahead((prepare(frame) for frame in clock.iterate("decode", frames)), FRAMES_AHEAD)) as prepared,
        closing(run_ahead(((p, infer(p)) for p in prepared), FRAMES_AHEAD)) as inferred,
        closing(run_ahead((finish(p, ab) for p, ab in inferred), FRAMES_AHEAD)) as steps,
    ):
        yield from steps


def _step(colorizer: Colorizer, prepared: Prepared, ab: Any) -> Step:
    finished = colorizer.finish(prepared, ab)
    return Step(colorizer.compose(prepared, finished), colorizer.snapshot())


def colorize_photo(
    rgb: NDArray[np.uint8], engine: Engine, manifest: Manifest, options: Options | None = None
) -> NDArray[np.uint8]:
    """Colorize the lightness of a photograph (H, W, 3), sRGB. Same shape out.

    Any colour it has is ignored, unless `keep_colour` is on: then a photograph in colour comes back as it is.
    """
    options = options or Options()
    if options.keep_colour and is_colour_photo(rgb):
        return rgb.copy()
    grey = rgb_to_grey(rgb)
    height, width = grey.shape
    shape = working_shape(height, width, manifest, options.working_size)
    ab = engine.infer(prepare_lightness(grey, GREY_TAGS, shape))[0].transpose(1, 2, 0)
    if options.reference is not None:
        ab = ReferenceTransfer(options.reference).apply(ab, is_cut=True)
    ab = upsample_ab(np.ascontiguousarray(ab * np.float32(options.saturation)), grey, GREY_TAGS)
    return compose_rgb(grey, options.grade.apply(ab, grey, GREY_TAGS), GREY_TAGS)


def working_shape(height: int, width: int, manifest: Manifest, working_size: int = 0) -> tuple[int, int]:
    """Return the (h, w) at which the model sees a picture.

    The picture keeps its shape and gets about working_size squared pixels, so that every film costs the same; each
    side is rounded to what the model takes.
    """
    scale = (working_size or manifest.working_size) / math.sqrt(height * width)
    multiple = manifest.size_multiple
    h, w = (max(1, round(side * scale / multiple)) * multiple for side in (height, width))
    return min(h, 4 * MAX_WORKING_SIZE), min(w, 4 * MAX_WORKING_SIZE)
