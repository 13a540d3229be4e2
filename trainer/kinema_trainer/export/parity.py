"""Does the ONNX file colour as the network does? Each engine that runs here is held against torch.

The gate is on what people see, the mean CIEDE2000 between the two coloured pictures, and on the largest difference of
one a or b, which a mean over pixels would hide.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from kinema_core.bundle import Bundle
from kinema_core.color import GREY_TAGS, rgb_to_grey, rgb_to_lab
from kinema_core.engines.engine import F32, Engine, Precision
from kinema_core.engines.select import ENGINES
from kinema_core.errors import EngineUnavailableError, InvalidInputError
from kinema_core.frame_way import prepare_lightness
from kinema_core.pipeline import colorize_photo, working_shape
from kinema_core.quality.ciede2000 import ciede2000
from kinema_trainer.models.color_network import ColorNetwork

Rgb: TypeAlias = NDArray[np.uint8]

MAX_DELTA_E = 0.1
"""Mean CIEDE2000 a pixel, over all photographs. An eye needs about 1 to tell two colours apart side by side."""
MAX_AB_DIFFERENCE = 0.05
"""Lab units, a twentieth of what an eye can tell apart and ten times what another order of float32 sums comes to."""
NUM_SYNTHETIC = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far one engine is from torch, over some photographs."""

    engine: str
    precision: str
    max_ab_difference: float
    """Lab units."""
    mean_delta_e: float
    """CIEDE2000 between the coloured pictures."""
    num_photos: int

    @property
    def is_gated(self) -> bool:
        """Whether the bounds hold for it; bf16 is another arithmetic, and is only reported."""
        return self.precision == "f32"

    @property
    def is_within_bounds(self) -> bool:
        """Whether both differences are small enough; what is no number is not."""
        return self.mean_delta_e <= MAX_DELTA_E and self.max_ab_difference <= MAX_AB_DIFFERENCE

    def __str__(self) -> str:
        return (f"{self.engine} {self.precision}: max |Δab| {self.max_ab_difference:.2g}, "
                f"mean ΔE00 {self.mean_delta_e:.2g}")  # fmt: skip


class TorchEngine:
    """Runs a network in torch, under the contract of `Engine`."""

    name = "torch"
    precision = "f32"
    device = "cpu"

    def __init__(self, network: ColorNetwork) -> None:
        self._network = network.eval()

    def infer(self, lightness: F32) -> F32:
        """Predict ab from L*."""
        with torch.no_grad():
            ab: F32 = self._network(torch.from_numpy(lightness)).numpy()
        return ab

    def close(self) -> None:
        """Do nothing."""


def check_parity(
    network: ColorNetwork, bundle: Bundle, photos: Sequence[Rgb], *, is_engine_needed: bool = True
) -> list[Parity]:
    """Compare every engine that runs here with torch.

    Args:
        network: what was exported, as trained.
        bundle: what came of it.
        photos: (H, W, 3) sRGB of any size; at least one.
        is_engine_needed: whether it is an error that no engine runs here.

    Returns:
        One result an engine and float precision, among them at least one in f32; nothing where no engine runs.

    Raises:
        InvalidInputError: an engine in f32 is further from torch than MAX_DELTA_E or MAX_AB_DIFFERENCE.
        EngineError: an engine cannot run the model; EngineUnavailableError where no engine runs here.
    """
    reference = TorchEngine(network)
    results: list[Parity] = []
    precisions: tuple[Precision, ...] = ("f32", "bf16")
    for open_named in ENGINES.values():
        for precision in precisions:
            try:
                engine = open_named(bundle, precision=precision, num_threads=None)
            except EngineUnavailableError:
                continue  # another machine has it, perhaps; what runs here is what can be compared
            try:
                results.append(compare(reference, engine, bundle, photos))
            finally:
                engine.close()
    if is_engine_needed and not any(result.is_gated for result in results):
        raise EngineUnavailableError(
            "no engine runs here in f32, so that nothing can be compared with torch; install OpenVINO or ONNX Runtime, "
            "or export unchecked"
        )
    if wrong := [str(result) for result in results if result.is_gated and not result.is_within_bounds]:
        raise InvalidInputError(
            "parity",
            f"the exported model does not give what torch gives: {'; '.join(wrong)}; allowed are "
            f"|Δab| {MAX_AB_DIFFERENCE} and mean ΔE00 {MAX_DELTA_E}. Nothing was written",
        )
    return results


def compare(reference: Engine, engine: Engine, bundle: Bundle, photos: Sequence[Rgb]) -> Parity:
    """Measure how far `engine` is from `reference` on `photos`, (H, W, 3) sRGB."""
    ab_differences, delta_es = [], []
    for photo in photos:
        lightness = photo_lightness(photo, bundle)
        ab_differences.append(float(np.abs(engine.infer(lightness) - reference.infer(lightness)).max()))
        labs = [rgb_to_lab(colorize_photo(photo, e, bundle.manifest)) for e in (engine, reference)]
        delta_es.append(float(ciede2000(*labs).mean()))
    return Parity(
        engine=engine.name, precision=engine.precision, max_ab_difference=max(ab_differences),
        mean_delta_e=math.fsum(delta_es) / len(delta_es), num_photos=len(photos),
    )  # fmt: skip


def photo_lightness(photo: Rgb, bundle: Bundle) -> F32:
    """Return what the model gets of a photograph (H, W, 3): L* (1, 1, h, w), 0-100."""
    grey = rgb_to_grey(photo)
    height, width = grey.shape
    return prepare_lightness(grey, GREY_TAGS, working_shape(height, width, bundle.manifest))


def synthetic_photos(size: int) -> list[Rgb]:
    """Make pictures of smooth patches with edges and grain, for want of photographs: (size, size, 3) sRGB."""
    rng = np.random.default_rng(0)
    photos = []
    for _ in range(NUM_SYNTHETIC):
        coarse = rng.integers(0, 256, (6, 6, 3)).astype(np.float32)
        picture = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
        top, left = rng.integers(0, size // 2, 2)
        picture[top : top + size // 3, left : left + size // 3] = rng.integers(0, 256, 3)
        picture += rng.normal(0, 4, picture.shape)
        photos.append(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
    return photos
