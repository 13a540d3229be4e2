"""Where the pixels of a frame are worked on: the seam between the pipeline and a device.

The order of a frame's way is the pipeline's business. What a way does with each step must be what `HostWay` does, but
for the last bits; what kind of array it keeps between two steps is its own.
"""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.color import compose_chroma, halve_luma, is_halved_first, luma_to_lightness
from kinema_core.engines.engine import Engine, check_colour
from kinema_core.errors import EngineError
from kinema_core.frames import ColorTags, Plane
from kinema_core.steering.grade import Grade
from kinema_core.temporal.stabilizer import Stabilizer
from kinema_core.temporal.state import StateReader, Value
from kinema_core.upsample import upsample_ab

F32 = NDArray[np.float32]

_log = logging.getLogger(__name__)

MAX_SHARE_OF_OTHER_CODES: Final = 0.01
"""Of a device's codes of chroma, those that are more than 1 of 255 from the CPU's; torch on a CPU has none."""


class Smoother(Protocol):
    """What `Stabilizer` promises, for the arrays of another device."""

    def smooth(self, lightness: F32, ab: Any, *, is_cut: bool) -> Any:
        """Return the smoothed ab of the next frame; `lightness` is an array of NumPy's on any device."""

    @property
    def confidence(self) -> float | None:
        """How much of the memory stands behind the last frame's colours."""

    def snapshot(self) -> dict[str, Value]:
        """Give what the frames so far leave to the next."""

    def restore(self, state: StateReader, shape: tuple[int, int], ab_shape: tuple[int, int], prefix: str = "") -> None:
        """Go on behind the frames that `snapshot` was taken after."""


class FrameWay(Protocol):
    """The steps of a frame's way; ab between them is of the way's own kind, (h, w, 2) on the CPU."""

    device: str
    """"cpu", or as torch names it."""

    def fits(self, shape: tuple[int, int], working_shape: tuple[int, int], ab_shape: tuple[int, int]) -> bool:
        """Tell whether frames of `shape` can go this way, with a model that sees `working_shape`; else they go HOST."""

    def prepare(self, luma: Plane, tags: ColorTags, shape: tuple[int, int]) -> tuple[F32, Any]:
        """Return lightness (1, 1, h, w) of `shape`, L*, for what runs on the CPU, and what the later steps need."""

    def picture(self, lightness: F32, prepared: Any) -> Any:
        """Return what the model sees of a frame, (1, 1, h, w), as `infer` takes it."""

    def infer(self, engine: Any, pictures: Sequence[Any]) -> list[Any]:
        """Give pictures of one shape to the model together, and return what it gives for each, in their order.

        A picture gets the same bits in any company, as `Engine` promises, and keeps no memory of the others.

        Raises:
            EngineError: the model could not run, or gave what is no colour.
        """

    def take_ab(self, ab: Any, lightness: F32) -> Any:
        """Return what the model gave, checked, as the steps behind take it."""

    def new_smoother(self, strength: float) -> Smoother:
        """Make what smooths one film."""

    def to_host(self, ab: Any) -> F32:
        """Return ab (h, w, 2) as an array of NumPy's, to be read."""

    def from_host(self, ab: F32) -> Any:
        """Return ab as the way keeps it."""

    def upsample(self, ab: Any, luma: Plane, prepared: Any, tags: ColorTags, grade: Grade) -> tuple[Any, Any]:
        """Return Y' at the size of chroma, and ab at that size, graded."""

    def compose(self, luma_half: Any, ab: Any, tags: ColorTags) -> tuple[Plane, Plane]:
        """Return (Cb, Cr) in the host's memory."""


class HostWay:
    """The CPU, by NumPy and OpenCV."""

    device = "cpu"

    def fits(self, shape: tuple[int, int], working_shape: tuple[int, int], ab_shape: tuple[int, int]) -> bool:  # noqa: ARG002
        """Tell that every frame can."""
        return True

    def prepare(self, luma: Plane, tags: ColorTags, shape: tuple[int, int]) -> tuple[F32, Any]:
        """Return lightness as `FrameWay` says."""
        return prepare_lightness(luma, tags, shape), None

    def picture(self, lightness: F32, prepared: Any) -> F32:  # noqa: ARG002 - there is nothing
        """Return lightness itself."""
        return lightness

    def infer(self, engine: Engine, pictures: Sequence[F32]) -> list[F32]:
        """Return ab (1, 2, h/s, w/s) of each."""
        if len(pictures) == 1:
            return [engine.infer(pictures[0])]
        ab = engine.infer(np.concatenate(pictures))
        return [ab[number : number + 1].copy() for number in range(len(pictures))]

    def take_ab(self, ab: F32, lightness: F32) -> F32:
        """Return ab (h/s, w/s, 2), with all of a before all of b in memory, as the engine gives them."""
        check_colour(ab, lightness)
        planes: F32 = ab[0]
        return planes.transpose(1, 2, 0)

    def new_smoother(self, strength: float) -> Smoother:
        """Make a stabilizer."""
        return Stabilizer(strength)

    def to_host(self, ab: F32) -> F32:
        """Return ab itself."""
        return ab

    def from_host(self, ab: F32) -> F32:
        """Return ab itself."""
        return ab

    def upsample(self, ab: F32, luma: Plane, prepared: Any, tags: ColorTags, grade: Grade) -> tuple[Plane, F32]:  # noqa: ARG002
        """Return both as `FrameWay` says."""
        luma_half = halve_luma(luma)
        return luma_half, grade.apply(upsample_ab(ab, luma_half, tags), luma_half, tags)

    def compose(self, luma_half: Plane, ab: F32, tags: ColorTags) -> tuple[Plane, Plane]:
        """Return (Cb, Cr)."""
        return compose_chroma(luma_half, ab, tags)


HOST = HostWay()


def prepare_lightness(luma: Plane, tags: ColorTags, shape: tuple[int, int]) -> F32:
    """Scale luma (H, W) to `shape` (h, w) and return its lightness (1, 1, h, w), L* 0-100."""
    if is_halved_first(luma.shape, shape):
        luma = halve_luma(luma)
    is_smaller = shape[0] * shape[1] < luma.shape[0] * luma.shape[1]
    small = cv2.resize(luma, shape[::-1], interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC)
    return luma_to_lightness(small.astype(luma.dtype, copy=False), tags)[None, None]


def way_for(engine: Any) -> FrameWay:
    """Return the GPU where the engine takes and gives what lies there, and the way there gives the CPU's colours."""
    if not getattr(engine, "takes_tensors", False):
        return HOST
    return way_on(engine.device)


@cache
def way_on(device: str) -> FrameWay:
    """Return the way on `device`, or HOST, with a warning, where the device colours otherwise than the CPU."""
    from kinema_core.device.way import DeviceWay  # with torch, which is loaded already then

    way = DeviceWay(device)
    try:
        share = share_of_other_codes(way)
    except EngineError as err:
        reason = str(err)
    else:
        if share <= MAX_SHARE_OF_OTHER_CODES:
            return way
        reason = f"{share:.1%} of its codes of chroma are not the CPU's, where {MAX_SHARE_OF_OTHER_CODES:.0%} may be"
    _log.warning("frames_not_kept_on_device", extra={"device": device, "reason": reason})
    return HOST


def share_of_other_codes(way: FrameWay) -> float:
    """Return which part of a small fixed film's Cb and Cr is more than 1 of 255 from what HOST gives.

    Raises:
        EngineError: the device fails.
    """
    from kinema_core.engines.self_test import fixed_pictures

    scene = np.rint(fixed_pictures(160)[0, 0] * 2.55).astype(np.uint8)
    film = [np.ascontiguousarray(np.roll(scene, 2 * number, axis=1)) for number in range(3)]
    planes = [_fixed_colours(each, film) for each in (way, HOST)]
    return float((np.abs(planes[0] - planes[1]) > 1).mean())


def _fixed_colours(way: FrameWay, film: Sequence[Plane]) -> NDArray[np.int64]:
    """Colour a film by the lightness of its small pictures, as they lie where the model would see them."""
    tags = ColorTags()
    planes: list[Plane] = []
    smoother = way.new_smoother(0.5)
    for luma in film:
        lightness, prepared = way.prepare(luma, tags, (64, 64))
        small = way.to_host(way.picture(lightness, prepared)[0]).reshape(64, 64)[::2, ::2]
        ab = np.stack([40 * np.sin(small / 15), 40 * np.cos(small / 20)], axis=-1)
        smoothed = smoother.smooth(lightness[0, 0], way.from_host(ab), is_cut=luma is film[0])
        planes += way.compose(*way.upsample(smoothed, luma, prepared, tags, Grade(0.2)), tags)
    return np.stack(planes).astype(np.int64)
