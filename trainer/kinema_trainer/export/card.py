"""The text of MODEL_CARD.md."""

from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

from kinema_core.bundle import Manifest
from kinema_trainer.export.int8 import CALIBRATION_SEED, MAX_DELTA_E_RISE, MAX_PSNR_LOSS, Quantized
from kinema_trainer.export.labels import Labels
from kinema_trainer.export.parity import MAX_AB_DIFFERENCE, MAX_DELTA_E, Parity
from kinema_trainer.recipes.recipe import Recipe

COLUMNS = ("psnr", "ab_psnr", "ssim", "delta_e", "colourfulness", "truth_colourfulness", "a_error", "b_error")

MUTED = """Trained by a pixel loss alone: where several colours are likely it gives a muted mean of them, which for
clothes, vehicles, painted things and flowers is often brownish or grey. What has one colour (vegetation, sky, water,
wood, skin) comes out recognizably."""
VIVID = """Trained by a loss that wants pictures to look like photographs: where several colours are likely it tends to
pick one, which is livelier than their mean and may be wrong. A colour may change from one frame to the next."""


def flat_scores(evaluation: Mapping[str, Any] | None) -> dict[str, float]:
    """Name each method's mean scores "method.score"; the model's own go without a prefix.

    Numbers that JSON could not hold, infinite ones, are left out.
    """
    return {
        score if method == "model" else f"{method}.{score}": value
        for method, scores in (evaluation["methods"] if evaluation else {}).items()
        for score, value in scores.items()
        if score != "num_photos" and value is not None
    }


def model_card(
    manifest: Manifest, recipe: Recipe, evaluation: Mapping[str, Any] | None, parities: Sequence[Parity],
    quantized: Quantized | None, *, labels: Labels, photos: str,
) -> str:  # fmt: skip
    """Fill in the template.

    Args:
        manifest: of the bundle.
        recipe: that trained it.
        evaluation: the content of a `kinema evaluate --json` file on this model.
        parities: how far the engines are from torch.
        quantized: the INT8 form.
        labels: what the bundle says of itself.
        photos: what the gates' photographs are called.
    """
    template = resources.files("kinema_trainer").joinpath("MODEL_CARD.template.md").read_text(encoding="utf-8")
    is_vivid = recipe.adversarial is not None or recipe.perceptual is not None
    filled = Template(template).substitute(
        name=manifest.name, version=manifest.version, multiple=manifest.size_multiple, stride=_stride(manifest),
        network=recipe.network.kind, parameters=f"{manifest.num_parameters:,}", recipe=manifest.recipe,
        gflops=f"{manifest.scores['gflops']:.2f}", working_size=manifest.working_size,
        timing=labels.timing or "not stated", training=labels.training or "not stated",
        data=manifest.data or "not stated", failures=labels.failures.strip(),
        licence=manifest.licence, created=manifest.created, scores=_score_rows(evaluation),
        engines=_parity_rows(parities, photos), int8=_int8_rows(quantized, photos),
        expectation=VIVID if is_vivid else MUTED,
    )  # fmt: skip
    return filled.rstrip() + "\n"


def _stride(manifest: Manifest) -> str:
    return (
        "(B, 2, H, W)"
        if manifest.output_stride == 1
        else f"(B, 2, H/{manifest.output_stride}, W/{manifest.output_stride})"
    )


def _score_rows(evaluation: Mapping[str, Any] | None) -> str:
    if not evaluation:
        return "Not scored."
    rows = [f"On {evaluation['num_photos']} photographs of `{evaluation['photos']}` at {evaluation['size']} px:", ""]
    rows += ["| method | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for method, scores in evaluation["methods"].items():
        rows.append(f"| {method} | " + " | ".join(_number(scores.get(column)) for column in COLUMNS) + " |")
    spans = [_span(evaluation["intervals"]["model"].get(column)) for column in COLUMNS]
    rows.append(f"| model, {evaluation['confidence']:.0%} interval | " + " | ".join(spans) + " |")
    return "\n".join(rows)


def _parity_rows(parities: Sequence[Parity], photos: str) -> str:
    if not parities:
        return "Not compared with torch: no engine ran where the bundle was made."
    said = (
        f"Held against torch on {parities[0].num_photos} pictures of `{photos}`. In f32 at most {MAX_AB_DIFFERENCE} of "
        f"ab and a mean CIEDE2000 of {MAX_DELTA_E} are let through; bf16 is another arithmetic, and only reported."
    )
    rows = [
        said,
        "",
        "| engine | largest difference of ab | mean CIEDE2000 |",
        "|---|---|---|",
    ]
    rows += [f"| {p.engine} {p.precision} | {p.max_ab_difference:.2g} | {p.mean_delta_e:.2g} |" for p in parities]
    return "\n".join(rows)


def _int8_rows(quantized: Quantized | None, photos: str) -> str:
    if not quantized:
        return "The bundle has no INT8 form."
    said = (
        f"`model.int8.onnx` ({len(quantized.onnx) / 1e6:.1f} MB): {quantized.plan.name}, calibrated on "
        f"{quantized.num_calibration} training photographs (seed {CALIBRATION_SEED}). Against f32, on "
        f"{quantized.num_photos} photographs of `{photos}`; a loss of {MAX_PSNR_LOSS} dB or a rise of "
        f"{MAX_DELTA_E_RISE} would have been refused. CPUs without VNNI may give other numbers."
    )
    rows = [
        said,
        "",
        "| engine | PSNR | CIEDE2000 to the originals | CIEDE2000 between the two forms |",
        "|---|---|---|---|",
    ]
    rows += [
        f"| {loss.engine} | {-loss.psnr_loss:+.3f} dB | {loss.delta_e_rise:+.3f} | {loss.delta_e_to_f32:.2f} |"
        for loss in quantized.losses
    ]
    return "\n".join(rows)


def _span(interval: Mapping[str, float] | None) -> str:
    return "-" if interval is None else f"{_number(interval['low'])} to {_number(interval['high'])}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
