"""The steps of a frame's way on a device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kinema_core.color import is_halved_first, luma_to_lightness
from kinema_core.device.compose import apply_grade, compose_chroma, lightness_of
from kinema_core.device.sampling import halve, resize_area
from kinema_core.device.stabilizer import DeviceStabilizer
from kinema_core.device.step import device_step
from kinema_core.device.upsample import upsample_ab
from kinema_core.frames import ColorTags, Plane
from kinema_core.steering.grade import Grade

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class OnDevice:
    """What is kept of a frame there."""

    luma_half: torch.Tensor
    """(H2, W2), codes of Y' at the size of chroma as int32: a quarter of what the whole plane would take."""
    lightness: torch.Tensor
    """(1, 1, h, w), L*."""


class DeviceWay:
    """A `FrameWay` whose ab are tensors (2, h, w) of a device.

    Y' goes up once, as it is; small codes of it come down for what runs on the CPU: cuts and the flow. Cb and Cr come
    down once.
    """

    def __init__(self, device: str) -> None:
        """Choose the device: "cuda", or "cpu" to be tested."""
        self.device = device
        self._device = torch.device(device)

    def fits(self, shape: tuple[int, int], working_shape: tuple[int, int], ab_shape: tuple[int, int]) -> bool:
        """Tell whether the model sees frames smaller than they are, and gives ab smaller than chroma."""
        halves = ((side + 1) // 2 for side in shape)
        return all(
            1 < small_ab <= half and small <= side
            for side, half, small, small_ab in zip(shape, halves, working_shape, ab_shape, strict=True)
        )

    @device_step
    def prepare(self, luma: Plane, tags: ColorTags, shape: tuple[int, int]) -> tuple[F32, OnDevice]:
        """Return lightness as `FrameWay` says."""
        # As int16, which torch has more operators for than for uint16; the mask undoes what wraps.
        samples = luma.view(np.uint8 if luma.itemsize == 1 else np.int16)
        # torch warns of memory that may only be read, as that of a message is; such a plane is copied once.
        whole = torch.from_numpy(np.require(samples, requirements=["C", "W"]))
        codes = whole.to(self._device).to(torch.int32) & ((1 << 8 * luma.itemsize) - 1)
        luma_half = halve(codes)
        fine = luma_half if is_halved_first(luma.shape, shape) else codes
        small = resize_area(fine.float(), shape).round().to(torch.int32)
        lightness = lightness_of(small, tags)[None, None]
        narrow = torch.uint8 if luma.itemsize == 1 else torch.int16
        on_host: Any = small.to(narrow).cpu().numpy().view(tags.dtype)
        return luma_to_lightness(on_host, tags)[None, None], OnDevice(luma_half, lightness)

    def picture(self, lightness: F32, prepared: OnDevice) -> torch.Tensor:  # noqa: ARG002 - the CPU's own
        """Return the lightness that lies there."""
        return prepared.lightness

    @device_step
    def infer(self, engine: Any, pictures: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return ab (1, 2, h/s, w/s) of each."""
        if len(pictures) == 1:
            return [engine.infer_on_device(pictures[0])]
        together: torch.Tensor = engine.infer_on_device(torch.cat(list(pictures)))
        return [ab.clone() for ab in torch.split(together, 1)]  # a view would keep all the others' memory

    def take_ab(self, ab: torch.Tensor, lightness: F32) -> torch.Tensor:  # noqa: ARG002 - the engine checked it
        """Return ab (2, h/s, w/s)."""
        return ab[0]

    def new_smoother(self, strength: float) -> DeviceStabilizer:
        """Make a stabilizer."""
        return DeviceStabilizer(strength, self._device)

    @device_step
    def to_host(self, ab: torch.Tensor) -> F32:
        """Return ab (h, w, 2)."""
        return np.ascontiguousarray(ab.cpu().numpy().transpose(1, 2, 0))

    @device_step
    def from_host(self, ab: F32) -> torch.Tensor:
        """Return ab (2, h, w) of the device."""
        return torch.from_numpy(np.ascontiguousarray(ab.transpose(2, 0, 1))).to(self._device)

    @device_step
    def upsample(
        self,
        ab: torch.Tensor,
        luma: Plane,  # noqa: ARG002 - it went up already
        prepared: OnDevice,
        tags: ColorTags,
        grade: Grade,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both as `FrameWay` says: (H2, W2) and (2, H2, W2)."""
        luma_half = prepared.luma_half
        return luma_half, apply_grade(grade, upsample_ab(ab, luma_half, tags), luma_half, tags)

    @device_step
    def compose(self, luma_half: torch.Tensor, ab: torch.Tensor, tags: ColorTags) -> tuple[Plane, Plane]:
        """Return (Cb, Cr) in the host's memory."""
        planes: Any = compose_chroma(luma_half, ab, tags).cpu().numpy().view(tags.dtype)
        return planes[0], planes[1]
