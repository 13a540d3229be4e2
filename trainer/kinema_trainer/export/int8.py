"""The INT8 form of a bundle: quantize, compare with f32 on validation photographs, and refuse if it is worse."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinema_core.bundle import Bundle
from kinema_core.color import rgb_to_lab
from kinema_core.engines.engine import F32, Engine, Precision
from kinema_core.engines.select import open_engine
from kinema_core.errors import EngineUnavailableError, InvalidInputError, MediaError
from kinema_core.pipeline import colorize_photo
from kinema_core.quality.ciede2000 import ciede2000
from kinema_core.quality.psnr import psnr
from kinema_trainer.data.crops import square_photo
from kinema_trainer.data.sources import decode_photo, training_photos
from kinema_trainer.export.parity import Rgb, photo_lightness
from kinema_trainer.export.quantize import PLANS, QuantizationPlan, correct_output, quantize_onnx

log = logging.getLogger(__name__)

ENGINES: Final = ("openvino", "onnxruntime")
"""Those that INT8 is made for; one on a GPU converts it and checks that whenever it is opened."""
MAX_PSNR_LOSS: Final = 0.1
"""dB, of the mean over the validation photographs."""
MAX_DELTA_E_RISE: Final = 0.1
"""Of the mean CIEDE2000 to the originals."""
CALIBRATION_SEED: Final = 0
NUM_CALIBRATION: Final = 128
NUM_CORRECTION: Final = 64
"""Calibration photographs that the output's gain and shift are fitted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityLoss:
    """What one engine loses by the INT8 form, in the mean over the validation photographs."""

    engine: str
    psnr_loss: float
    """dB of RGB; below 0 where INT8 is better."""
    delta_e_rise: float
    """CIEDE2000 to the originals; below 0 where INT8 is better."""
    delta_e_to_f32: float
    """CIEDE2000 between the pictures of the two forms."""

    def __str__(self) -> str:
        return f"{self.engine}: PSNR {-self.psnr_loss:+.3f} dB, ΔE00 {self.delta_e_rise:+.3f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantized:
    """An INT8 form that passed."""

    onnx: bytes
    plan: QuantizationPlan
    num_calibration: int
    num_photos: int
    losses: tuple[QualityLoss, ...]
    """One an engine."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What an INT8 form may lose."""

    max_psnr_loss: float = MAX_PSNR_LOSS
    max_delta_e_rise: float = MAX_DELTA_E_RISE

    def lets_through(self, losses: Sequence[QualityLoss]) -> bool:
        """Whether every engine stays within the bounds; what is no number does not."""
        return all(
            loss.psnr_loss <= self.max_psnr_loss and loss.delta_e_rise <= self.max_delta_e_rise for loss in losses
        )


def read_calibration(source: Path, size: int, *, num_photos: int = NUM_CALIBRATION) -> list[Rgb]:
    """Draw training photographs to calibrate on, with CALIBRATION_SEED: (size, size, 3) sRGB each.

    What is held out under `source` (see `data/sources.py`) is not drawn.

    Raises:
        InvalidInputError: not one readable photograph to train on is there.
    """
    encoded = training_photos(source)
    names = sorted(encoded)
    photos: list[Rgb] = []
    for i in np.random.default_rng(CALIBRATION_SEED).permutation(len(names)):
        if len(photos) == num_photos:
            break
        try:
            photos.append(square_photo(decode_photo(names[i], encoded[names[i]]), size))
        except MediaError as err:
            log.warning("photo_skipped", extra={"photo": names[i], "reason": str(err)})
    if not photos:
        raise InvalidInputError("calibration", f"not one of the {len(names)} photographs under {source} is readable")
    return photos


def quantize_bundle(
    bundle: Bundle, calibration: Sequence[Rgb], photos: Sequence[Rgb], *,
    plans: Sequence[QuantizationPlan] = PLANS, gate: Gate | None = None, on_step: Callable[[str], None] | None = None,
) -> Quantized:  # fmt: skip
    """Return the first of `plans` that loses no more than `gate` allows, on every engine that runs here.

    Args:
        bundle: its f32 form is quantized.
        calibration: training photographs, sRGB (H, W, 3).
        photos: validation photographs, sRGB (H, W, 3), none of them among `calibration`.
        plans: in the order in which they are tried.
        gate: MAX_PSNR_LOSS and MAX_DELTA_E_RISE if None.
        on_step: told what is being done.

    Raises:
        InvalidInputError: every plan loses too much, or a validation photograph was calibrated on.
        EngineUnavailableError: no engine runs here.
    """
    gate, tell = gate or Gate(), on_step or (lambda _: None)
    _check_disjoint(calibration, photos)
    tell("scoring f32")
    f32_pictures = [_colorize(bundle, name, "f32", photos) for name in _engines(bundle)]
    failures = []
    for plan in plans:
        tell(f"quantizing: {plan.name}")
        int8_onnx = _quantize(bundle, calibration, plan)
        candidate = dataclasses.replace(bundle, int8_onnx=int8_onnx)
        tell(f"scoring: {plan.name}")
        losses = tuple(
            _quality_loss(name, _colorize(candidate, name, "int8", photos), pictures, photos)
            for name, pictures in zip(_engines(bundle), f32_pictures, strict=True)
        )
        if gate.lets_through(losses):
            return Quantized(
                onnx=int8_onnx, plan=plan, num_calibration=len(calibration), num_photos=len(photos), losses=losses
            )
        failures.append(f"{plan.name}: {'; '.join(map(str, losses))}")
        log.info("int8_refused", extra={"plan": plan.name, "losses": list(map(str, losses))})
    raise InvalidInputError(
        "int8",
        f"loses more than {gate.max_psnr_loss} dB of PSNR or {gate.max_delta_e_rise} of ΔE00 on {len(photos)} "
        f"photographs ({'. '.join(failures)}). Nothing was written; export without int8, or give more photographs to "
        "calibrate on",
    )


def _quantize(bundle: Bundle, calibration: Sequence[Rgb], plan: QuantizationPlan) -> bytes:
    lightness = [photo_lightness(photo, bundle) for photo in calibration]
    int8_onnx = quantize_onnx(bundle.onnx, lightness, plan)
    expected = _predict(bundle, "f32", lightness[:NUM_CORRECTION])
    got = _predict(dataclasses.replace(bundle, int8_onnx=int8_onnx), "int8", lightness[:NUM_CORRECTION])
    return correct_output(int8_onnx, got, expected)


def _predict(bundle: Bundle, precision: Precision, lightness: Sequence[F32]) -> F32:
    engine = open_engine(bundle, precision=precision).engine
    ab = np.concatenate([engine.infer(picture) for picture in lightness])
    engine.close()
    return ab


def _engines(bundle: Bundle) -> list[str]:
    """List those of ENGINES that run here."""
    names = []
    for name in ENGINES:
        try:
            open_engine(bundle, name).engine.close()
        except EngineUnavailableError:
            continue
        names.append(name)
    if not names:
        raise EngineUnavailableError("no engine runs here, so that nothing can be scored")
    return names


def _colorize(bundle: Bundle, engine_name: str, precision: Precision, photos: Sequence[Rgb]) -> list[Rgb]:
    engine: Engine = open_engine(bundle, engine_name, precision=precision).engine
    pictures = [colorize_photo(photo, engine, bundle.manifest) for photo in photos]
    engine.close()
    return pictures


def _quality_loss(engine: str, int8: Sequence[Rgb], f32: Sequence[Rgb], photos: Sequence[Rgb]) -> QualityLoss:
    def delta_e(pictures: Sequence[Rgb], others: Sequence[Rgb]) -> float:
        return float(np.mean([ciede2000(_lab(x), _lab(y)).mean() for x, y in zip(pictures, others, strict=True)]))

    def mean_psnr(pictures: Sequence[Rgb]) -> float:
        return float(np.mean([psnr(x, y) for x, y in zip(pictures, photos, strict=True)]))

    return QualityLoss(
        engine=engine, psnr_loss=mean_psnr(f32) - mean_psnr(int8),
        delta_e_rise=delta_e(int8, photos) - delta_e(f32, photos), delta_e_to_f32=delta_e(int8, f32),
    )  # fmt: skip


def _lab(rgb: Rgb) -> NDArray[np.float64]:
    lab: NDArray[np.float64] = rgb_to_lab(rgb.astype(np.float64) / 255)
    return lab


def _check_disjoint(calibration: Sequence[Rgb], photos: Sequence[Rgb]) -> None:
    calibrated = {photo.tobytes() for photo in calibration}
    if shared := sum(photo.tobytes() in calibrated for photo in photos):
        raise InvalidInputError("photos", f"{shared} of the {len(photos)} validation photographs are calibrated on, "
                                "too; give photographs that the model never saw")  # fmt: skip
