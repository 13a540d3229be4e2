"""`kinema_core.temporal.stabilizer` in torch: motion is found on the CPU, from lightness; ab stay on the device."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kinema_core.device.sampling import sample
from kinema_core.device.step import device_step
from kinema_core.temporal.motion import Seen, find_motion, see
from kinema_core.temporal.stabilizer import GAIN_MEMORY, LONGEST_MEMORY, MAX_GAIN, read_left
from kinema_core.temporal.state import StateReader, Value

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """What one frame leaves to the next."""

    seen: Seen
    ab: torch.Tensor
    """(2, h, w), averaged."""
    num_averaged: torch.Tensor
    """(h, w), frames that make up each pixel's colour."""


class DeviceStabilizer:
    """Smooth the ab of one shot after another, on `device`."""

    def __init__(self, strength: float, device: torch.device) -> None:
        """Choose a strength of 0 (every frame for itself) to 1."""
        self._memory = LONGEST_MEMORY**strength
        self._device = device
        self._state: _State | None = None
        self._energies = torch.zeros(2, dtype=torch.float64, device=device)
        """Of ab, from the model and averaged, summed over the shot, older frames fading."""

    @device_step
    def smooth(self, lightness: F32, ab: torch.Tensor, *, is_cut: bool) -> torch.Tensor:
        """Return the smoothed ab (2, h, w) of the next frame; `lightness` is (H, W), L*, on the CPU."""
        if self._memory <= 1:
            return ab
        averaged = self._average(lightness, ab, is_cut=is_cut)
        faded = 0.0 if is_cut else 1 - 1 / GAIN_MEMORY
        energies = torch.stack([ab, averaged]).double().square().sum(dim=(1, 2, 3))
        self._energies = faded * self._energies + energies
        given, left = self._energies + 1e-6
        gain: torch.Tensor = (given / left).sqrt().clamp(1.0, MAX_GAIN).float()
        return averaged * gain

    def _average(self, lightness: F32, ab: torch.Tensor, *, is_cut: bool) -> torch.Tensor:
        seen = see(lightness, (ab.shape[1], ab.shape[2]))
        if is_cut or self._state is None:
            self._state = _State(seen, ab, torch.ones_like(ab[0]))
            return ab
        motion = find_motion(self._state.seen, seen)
        x, y, trust = torch.from_numpy(np.stack([motion.x, motion.y, motion.trust])).to(self._device)
        moved = sample(torch.cat([self._state.ab, self._state.num_averaged[None]]), x, y)
        num_averaged = (moved[2] * trust + 1).clamp(max=self._memory)
        averaged = torch.lerp(moved[:2], ab, 1 / num_averaged)
        self._state = _State(seen, averaged, num_averaged)
        return averaged

    @property
    def confidence(self) -> float | None:
        """The number of frames averaged, in the mean, as a share of the memory, 0 to 1; None without smoothing."""
        return None if self._state is None else float(self._state.num_averaged.mean()) / self._memory

    @device_step
    def snapshot(self) -> dict[str, Value]:
        """Give what the frames so far leave to the next, in the form in which `Stabilizer` gives it."""
        given, averaged = self._energies.tolist()
        state: dict[str, Value] = {"memory": self._memory, "given": given, "averaged": averaged}
        if self._state is not None:
            ab = np.ascontiguousarray(self._state.ab.cpu().numpy().transpose(1, 2, 0))
            state |= {"picture": self._state.seen.picture, "lightness": self._state.seen.lightness}
            state |= {"ab": ab, "num_averaged": self._state.num_averaged.cpu().numpy()}
        return state

    @device_step
    def restore(self, state: StateReader, shape: tuple[int, int], ab_shape: tuple[int, int], prefix: str = "") -> None:
        """Go on behind the frames that `snapshot` was taken after, here or on the CPU.

        Args:
            state: what was exported.
            shape: (H, W) of the lightness of every frame.
            ab_shape: (h, w) of the ab of every frame.
            prefix: of the names in it.

        Raises:
            InvalidInputError: it is not such a state, or of another strength or size.
        """
        given, averaged, left = read_left(state, self._memory, shape, ab_shape, prefix)
        self._state = None
        if left is not None:
            ab = torch.from_numpy(np.ascontiguousarray(left.ab.transpose(2, 0, 1))).to(self._device)
            self._state = _State(left.seen, ab, torch.from_numpy(left.num_averaged).to(self._device))
        self._energies = torch.tensor([given, averaged], dtype=torch.float64, device=self._device)
