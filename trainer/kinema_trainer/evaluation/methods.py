"""Ways to colour a grey picture, side by side.

They are Kinema's models, ONNX files from elsewhere (`onnx_colorizer.py`), and the two baselines that a model must beat:
grey, and the mean ab. That mean is of the very photographs that are scored, which is more than a baseline could know.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kinema_core.bundle import Bundle
from kinema_core.color import GREY_TAGS, compose_rgb
from kinema_core.engines.engine import Engine
from kinema_core.frame_way import prepare_lightness
from kinema_core.frames import Plane
from kinema_core.pipeline import working_shape
from kinema_core.upsample import upsample_ab

F32: TypeAlias = NDArray[np.float32]

GREY, MEAN_AB = "grey", "mean_ab"


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRecord:
    """What a report says of a method, for people to know which one it was."""

    kind: Literal["bundle", "onnx", "baseline"]
    title: str
    digest: str = ""
    """SHA-256 of the bundle's manifest or of the ONNX file; empty for a baseline."""
    engine: str = ""
    """What ran it, and in which precision."""


class Method(Protocol):
    """A way to colour a grey picture."""

    @property
    def name(self) -> str:
        """What tables call it; no two methods of one evaluation share it."""

    @property
    def record(self) -> MethodRecord:
        """What it is."""

    def predict_ab(self, grey: Plane) -> F32:
        """Return ab (H, W, 2) in Lab units for a picture (H, W), Y' as `GREY_TAGS` says."""


@dataclass(frozen=True, slots=True)
class OneColour:
    """Every pixel gets one ab: a baseline."""

    name: str
    ab: tuple[float, float]

    @property
    def record(self) -> MethodRecord:
        """Say which ab."""
        a, b = self.ab
        return MethodRecord(kind="baseline", title=f"ab {a:.1f}, {b:.1f} everywhere")

    def predict_ab(self, grey: Plane) -> F32:
        """Return ab (H, W, 2), the same everywhere."""
        return np.broadcast_to(np.array(self.ab, np.float32), (*grey.shape, 2))


@dataclass(frozen=True, slots=True, eq=False)
class BundleModel:
    """A Kinema model and the engine that runs it; a picture goes the way of `kinema colorize`."""

    name: str
    bundle: Bundle
    engine: Engine

    @property
    def record(self) -> MethodRecord:
        """Name the bundle."""
        manifest = self.bundle.manifest
        return MethodRecord(
            kind="bundle", title=f"{manifest.name} {manifest.version}", digest=self.bundle.digest,
            engine=f"{self.engine.name} {self.engine.precision}",
        )  # fmt: skip

    @property
    def onnx_digest(self) -> str:
        """SHA-256 of the model itself, which a new manifest around it does not change."""
        return hashlib.sha256(self.bundle.onnx).hexdigest()

    def predict_ab(self, grey: Plane) -> F32:
        """Return the model's ab (H, W, 2), brought up to the picture's size."""
        height, width = grey.shape
        shape = working_shape(height, width, self.bundle.manifest)
        ab = self.engine.infer(prepare_lightness(grey, GREY_TAGS, shape))[0].transpose(1, 2, 0)
        return upsample_ab(np.ascontiguousarray(ab), grey, GREY_TAGS)


def paint(grey: Plane, ab: F32, gain: float = 1.0) -> NDArray[np.uint8]:
    """Return sRGB (H, W, 3) with the lightness of `grey` (H, W) and `gain` times `ab` (H, W, 2), inside the gamut."""
    return compose_rgb(grey, ab if gain == 1 else ab * np.float32(gain), GREY_TAGS)
