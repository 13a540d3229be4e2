"""From a checkpoint to a model bundle: export, compare with torch, quantize if asked to, write all of it or nothing."""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kinema_core.bundle import Bundle, Manifest, write_bundle
from kinema_core.errors import BundleError, InvalidInputError
from kinema_trainer.evaluation.photo_set import PhotoSet
from kinema_trainer.export.card import flat_scores, model_card
from kinema_trainer.export.int8 import Quantized, quantize_bundle
from kinema_trainer.export.labels import Labels
from kinema_trainer.export.onnx_file import export_onnx
from kinema_trainer.export.parity import Parity, Rgb, check_parity, synthetic_photos
from kinema_trainer.export.quantize import PLANS, QuantizationPlan
from kinema_trainer.models.color_network import ColorNetwork, count_parameters
from kinema_trainer.training.checkpoints import TrainedNetwork, load_trained_network

NUM_PARITY_PHOTOS = 16
"""So many of the validation photographs are enough to compare engines with torch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What a bundle is checked on before it is written.

    Raises:
        InvalidInputError: photographs to calibrate on, and none to check the INT8 form on.
    """

    photos: PhotoSet | None = None
    """Validation photographs to compare engines and forms on; synthetic pictures if None."""
    calibration: Sequence[Rgb] | None = None
    """Training photographs, (S, S, 3) sRGB each; with them the bundle gets an INT8 form."""
    plans: Sequence[QuantizationPlan] = PLANS
    """What is tried for the INT8 form, in this order."""
    is_engine_needed: bool = True
    """False lets a bundle through where no engine runs that could be compared with torch; its card says so."""

    def __post_init__(self) -> None:
        if self.calibration is not None and self.photos is None:
            raise InvalidInputError(
                "int8", "needs validation photographs to be held against f32 on; give some as photos"
            )


def export_bundle(
    checkpoint: Path, folder: Path, labels: Labels, checks: Checks | None = None, *, ab_gain: float = 1.0,
    evaluation: dict[str, Any] | None = None, on_step: Callable[[str], None] | None = None,
) -> Bundle:  # fmt: skip
    """Write a bundle of a checkpoint's averaged network, after it passed the gates of `parity.py` and `int8.py`.

    Args:
        checkpoint: of `kinema train`.
        folder: must not be there yet.
        labels: what the bundle says of itself.
        checks: on which pictures it is checked; on synthetic ones if None.
        ab_gain: the network's ab is multiplied by this. A loss that counts colourful pixels for more overshoots on
            photographs it has not seen; a gain below 1 takes that back.
        evaluation: the content of a `kinema evaluate --json` file on this very network; its means go into the manifest.
        on_step: told what is being done.

    Raises:
        InvalidInputError: the checkpoint is none of Kinema's, the evaluation is of another model, an engine gives
            something else than torch, or the INT8 form loses too much.
        BundleError: the folder is there already, or the bundle would be too large.
        EngineError: no engine runs the model here.
    """
    if folder.exists():  # not after minutes of work
        raise BundleError(f"{folder} is there already; remove it or choose another folder")
    checks, tell = checks or Checks(), on_step or (lambda _: None)
    trained = load_trained_network(checkpoint)
    scale_ab(trained.network, ab_gain)
    tell("exporting")
    onnx_bytes = export_onnx(trained.network)
    _check_is_of(evaluation, onnx_bytes)
    bundle = Bundle(folder, _manifest(trained, labels, ab_gain), "", onnx_bytes)
    truths = list(checks.photos.truths.values()) if checks.photos else synthetic_photos(labels.working_size)
    tell("comparing the engines with torch")
    parities = check_parity(
        trained.network, bundle, _spread(truths, NUM_PARITY_PHOTOS), is_engine_needed=checks.is_engine_needed
    )
    quantized = None
    if checks.calibration:
        quantized = quantize_bundle(bundle, checks.calibration, truths, plans=checks.plans, on_step=tell)
    gflops = trained.network.describe(labels.working_size).gflops
    scores = flat_scores(evaluation) | {"gflops": gflops} | gate_scores(parities, quantized)
    manifest = dataclasses.replace(bundle.manifest, scores=scores)
    card = model_card(
        manifest, trained.recipe, evaluation, parities, quantized, labels=labels,
        photos=checks.photos.source if checks.photos else "synthetic pictures",
    )  # fmt: skip
    return write_bundle(folder, onnx_bytes, manifest, card, int8_onnx=quantized.onnx if quantized else None)


def scale_ab(network: ColorNetwork, gain: float) -> None:
    """Multiply what `network` predicts by `gain`: in the weights of its head, or behind it where the head is bent."""
    if gain == 1:
        return
    head = getattr(network, "head", None)
    size = 2 * network.size_multiple
    probe = 100 * torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = network.eval()(probe)
        if isinstance(head, nn.Conv2d | nn.ConvTranspose2d):
            weights = [parameter.clone() for parameter in head.parameters()]
            for parameter in head.parameters():
                parameter.mul_(gain)
            if torch.allclose(network(probe), gain * before, rtol=1e-4, atol=1e-4):
                return
            for parameter, weight in zip(head.parameters(), weights, strict=True):
                parameter.copy_(weight)

    def scaled(_module: nn.Module, _inputs: tuple[Tensor, ...], ab: Tensor) -> Tensor:
        return ab * gain

    network.register_forward_hook(scaled)  # is exported with the network


def gate_scores(parities: Sequence[Parity], quantized: Quantized | None) -> dict[str, float]:
    """Name what the gates measured for the manifest: "parity.openvino.f32.delta_e", "int8.openvino.psnr_loss", ..."""
    scores = {}
    for parity in parities:
        prefix = f"parity.{parity.engine}.{parity.precision}"
        scores[f"{prefix}.max_ab_difference"] = parity.max_ab_difference
        scores[f"{prefix}.delta_e"] = parity.mean_delta_e
    for loss in quantized.losses if quantized else ():
        scores[f"int8.{loss.engine}.psnr_loss"] = loss.psnr_loss
        scores[f"int8.{loss.engine}.delta_e_rise"] = loss.delta_e_rise
    return {name: value for name, value in scores.items() if math.isfinite(value)}


def _manifest(trained: TrainedNetwork, labels: Labels, ab_gain: float) -> Manifest:
    network = trained.network
    return Manifest(
        name=labels.name, version=labels.version, data=labels.data, licence=labels.licence,
        recipe=f"{trained.recipe.name}, step {trained.step}, ab x {ab_gain:g}",
        num_parameters=count_parameters(network), created=datetime.now(UTC).date().isoformat(),
        size_multiple=network.size_multiple, output_stride=network.output_stride, working_size=labels.working_size,
    )  # fmt: skip


def _check_is_of(evaluation: Mapping[str, Any] | None, onnx_bytes: bytes) -> None:
    digest = hashlib.sha256(onnx_bytes).hexdigest()
    if evaluation and evaluation["onnx_digest"] != digest:
        scored = evaluation["onnx_digest"][:12]
        raise InvalidInputError("scores", f"are of the model {scored}, this one is {digest[:12]}; evaluate it first")


def _spread(photos: Sequence[Rgb], limit: int) -> list[Rgb]:
    if len(photos) <= limit:
        return list(photos)
    return [photos[i * len(photos) // limit] for i in range(limit)]
