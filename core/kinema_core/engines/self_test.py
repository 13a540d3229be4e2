"""Does an engine on a GPU colour as the CPU does? It is asked at each opening, before a frame is coloured.

Drivers, runtimes and kernels come in more combinations than anybody tests. What is compared is what people see: the
mean CIEDE2000 between the two colourings, with ONNX Runtime on the CPU, in f32, as the one that is believed.
"""

from contextlib import closing
from typing import Final

import cv2
import numpy as np

from kinema_core.bundle import Bundle, Manifest
from kinema_core.engines.engine import F32, Engine
from kinema_core.engines.onnxruntime import open_onnxruntime
from kinema_core.errors import EngineError
from kinema_core.quality.ciede2000 import ciede2000

MAX_DELTA_E: Final = 0.1
"""Mean CIEDE2000 a pixel. An eye needs about 1 to tell two colours apart side by side."""
MAX_COARSE_DELTA_E: Final = 1.0
"""The same in int8 and bf16, which are chosen for speed: on a CPU they are 0.37 and 0.36 away from f32 (docs/gpu.md).
What is to be found out is whether something is broken, not whether 8 bits are 8 bits."""
_NUM_PICTURES: Final = 2
_COMPANIES: Final = (2, 7, 8, 16)
"""Numbers of pictures that are run together; 7 are cut into 4, 2 and 1 where `parts_of` does it."""


def max_delta_e(precision: str) -> float:
    """Return what mean CIEDE2000 is allowed between an engine in `precision` and the CPU in f32."""
    return MAX_COARSE_DELTA_E if precision in {"bf16", "int8"} else MAX_DELTA_E


def check_against_cpu(engine: Engine, bundle: Bundle, allowed: float | None = None) -> float:
    """Compare an engine with ONNX Runtime on the CPU, on fixed pictures of the model's own size.

    Args:
        engine: what is to be believed or not.
        bundle: its model.
        allowed: the most that the mean CIEDE2000 may be; by default `max_delta_e` of the engine's precision.

    Returns:
        The mean CIEDE2000 between them.

    Raises:
        EngineError: it is more than is allowed; or the engine fails, or gives what is no number.
        EngineUnavailableError: ONNX Runtime is not installed, so that nothing can be compared.
    """
    allowed = max_delta_e(engine.precision) if allowed is None else allowed
    lightness = fixed_pictures(bundle.manifest.working_size)
    with closing(open_onnxruntime(bundle)) as reference:
        expected = reference.infer(lightness)
    delta_e = mean_delta_e(lightness, engine.infer(lightness), expected)
    if not delta_e <= allowed:  # NaN fails too
        raise EngineError(
            f"{engine.name} in {engine.precision} colours otherwise than the CPU: a mean ΔE00 of {delta_e:.3g}, where "
            f"{allowed} is allowed"
        )
    return delta_e


def is_same_in_company(engine: Engine, manifest: Manifest) -> bool:
    """Tell whether a picture gets the same bits alone and among others, as `Engine` promises."""
    pictures = fixed_pictures(manifest.working_size)
    alone = np.concatenate([engine.infer(picture[None]) for picture in pictures])
    for number in _COMPANIES:
        order = np.arange(number) % len(pictures)
        if not np.array_equal(engine.infer(pictures[order]), alone[order]):
            return False
    return True


def mean_delta_e(lightness: F32, ab: F32, expected: F32) -> float:
    """Return the mean CIEDE2000 between ab and what was expected, both (B, 2, h/s, w/s), on L* (B, 1, h, w)."""
    stride = lightness.shape[2] // expected.shape[2]
    small = lightness[:, 0, ::stride, ::stride, None].astype(np.float64)
    labs = [np.concatenate([small, colours.transpose(0, 2, 3, 1)], axis=3) for colours in (ab, expected)]
    return float(ciede2000(*labs).mean())


def fixed_pictures(size: int) -> F32:
    """Make pictures of smooth patches with edges and grain: L* (2, 1, size, size)."""
    rng = np.random.default_rng(2024)
    return np.stack([_picture(rng, size) for _ in range(_NUM_PICTURES)])[:, None]


def _picture(rng: np.random.Generator, size: int) -> F32:
    coarse = rng.uniform(0, 100, (6, 6)).astype(np.float32)
    picture = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    top, left = rng.integers(0, size // 2, 2)
    picture[top : top + size // 3, left : left + size // 3] = rng.uniform(0, 100)
    picture += rng.normal(0, 1.5, picture.shape)
    lightness: F32 = np.clip(picture, 0, 100).astype(np.float32)
    return lightness
