"""Stand-ins that tests share: an engine and a bundle without a model, and films without a camera."""

import threading
import time
from collections.abc import Iterator
from copy import copy
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinema_core.bundle import Bundle, Manifest
from kinema_core.frames import ColorTags, LumaFrame, Plane

F32 = NDArray[np.float32]

FAKE_MANIFEST = Manifest(
    name="fake",
    version="1.2.3",
    recipe="none",
    data="nothing",
    licence="CC0-1.0",
    num_parameters=7,
    created="2026-01-01",
    scores={"psnr_rgb": 20.5},
    size_multiple=8,
    working_size=32,
)
FAKE_BUNDLE = Bundle(path=Path("fake"), manifest=FAKE_MANIFEST, digest="f" * 64, onnx=b"")


class FakeEngine:
    """Colours by a smooth function of lightness; can be made to wait and to fail."""

    name = "fake"
    precision = "f32"
    device = "cpu"

    def __init__(self, *, output_stride: int = FAKE_MANIFEST.output_stride) -> None:
        self.gate = threading.Event()
        """Cleared, it holds every inference back."""
        self.gate.set()
        self.num_free = 0
        """How many inferences pass a closed gate."""
        self.delay_seconds = 0.0
        """How long an inference takes, at least."""
        self.error: Exception | None = None
        """Raised by every inference, if set."""
        self.seen: list[F32] = []
        """What was inferred, in order."""
        self.is_closed = False
        self._output_stride = output_stride

    def infer(self, lightness: F32) -> F32:
        """Return ab (B, 2, h/s, w/s) within ±40 for L* (B, 1, h, w)."""
        self.seen.append(lightness)
        if len(self.seen) > self.num_free:
            assert self.gate.wait(timeout=30), "the test forgot to open the gate"
        time.sleep(self.delay_seconds)
        if self.error is not None:
            raise copy(self.error)  # a new one each time, as of a real engine
        small = lightness[:, :, :: self._output_stride, :: self._output_stride]
        return np.concatenate([40 * np.sin(small / 15), 40 * np.cos(small / 20)], axis=1, dtype=np.float32)

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True


def random_luma(height: int, width: int, tags: ColorTags, seed: int) -> Plane:
    """Make a plane of every code that `tags` allow, legal or not."""
    codes = np.random.default_rng(seed).integers(0, 1 << tags.bit_depth, (height, width))
    return codes.astype(np.uint8) if tags.bit_depth == 8 else codes.astype(np.uint16)


def random_film(
    num_frames: int, height: int = 18, width: int = 32, tags: ColorTags | None = None, seed: int = 0
) -> Iterator[LumaFrame]:
    """Make frames of noise whose pts do not rise evenly."""
    tags = tags or ColorTags()
    for index in range(num_frames):
        luma = random_luma(height, width, tags, seed + index)
        yield LumaFrame(luma, pts=index * index - 3, time_base=Fraction(1, 24), tags=tags)
