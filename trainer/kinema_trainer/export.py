"""From a checkpoint to a model bundle."""

import copy
import hashlib
import io
import logging
import warnings
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from pickle import UnpicklingError  # only named: torch raises it for what is no checkpoint
from string import Template
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from kinema_core.bundle import Bundle, Manifest, write_bundle
from kinema_core.errors import InvalidInputError
from kinema_trainer.models.residual_unet import (
    OUTPUT_STRIDE,
    SIZE_MULTIPLE,
    ResidualUNet,
    ResidualUNetConfig,
    count_parameters,
)

log = logging.getLogger(__name__)

OPSET = 18
INPUT_NAME = "lightness"
OUTPUT_NAME = "ab"


def load_network(checkpoint: Path) -> tuple[ResidualUNet, dict[str, Any]]:
    """Return the averaged network of a checkpoint, in evaluation mode, and its recipe with the step it had reached.

    Raises:
        InvalidInputError: the file is no checkpoint of Kinema's.
    """
    try:
        kept: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        recipe: dict[str, Any] = {**kept["recipe"], "step": kept["step"]}
        network = ResidualUNet(
            ResidualUNetConfig(*(tuple(recipe["network"][name]) for name in ("channels", "num_blocks")))
        )
        network.load_state_dict(kept["average"])
    except (OSError, RuntimeError, KeyError, TypeError, UnpicklingError) as error:
        raise InvalidInputError("checkpoint", f"{checkpoint} is not a checkpoint of `kinema train`: {error}") from error
    return network.eval(), recipe


def fold_norms(network: nn.Module) -> nn.Module:
    """Return a copy in which each BatchNorm is folded into the convolution before it and left as an identity.

    Every module of Kinema's networks registers a norm right behind its convolution, so pairs are found by order.
    """
    folded = copy.deepcopy(network).eval()
    _fold_children(folded)
    return folded


def _fold_children(module: nn.Module) -> None:
    before: tuple[str, nn.Conv2d] | None = None
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d) and before is not None:
            setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
            setattr(module, name, nn.Identity())
        before = (name, child) if isinstance(child, nn.Conv2d) else None
        _fold_children(child)


def export_onnx(network: nn.Module) -> bytes:
    """Export as ONNX: "lightness" (B, 1, H, W), L* 0-100 -> "ab" (B, 2, H/2, W/2), B, H and W free.

    Initializers bear the names of the folded network's state dict, so that the weights can be read back.
    """
    folded = fold_norms(network)
    buffer: Any = io.BytesIO()  # torch's stub wants a path and takes any file
    dynamic = {
        INPUT_NAME: {0: "batch", 2: "height", 3: "width"},
        OUTPUT_NAME: {0: "batch", 2: f"height/{OUTPUT_STRIDE}", 3: f"width/{OUTPUT_STRIDE}"},
    }
    with warnings.catch_warnings():
        # The tracing exporter is deprecated, but it needs no further package and keeps the names of the weights. Its
        # other warning is of a slice in the padding that it does not fold; the engines do.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)
        torch.onnx.export(
            folded, (torch.zeros(1, 1, 2 * SIZE_MULTIPLE, 2 * SIZE_MULTIPLE),), buffer, dynamo=False,
            input_names=[INPUT_NAME], output_names=[OUTPUT_NAME], dynamic_axes=dynamic, opset_version=OPSET,
        )  # fmt: skip
    model = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(model)
    return model.SerializeToString()


def load_onnx_weights(onnx_bytes: bytes, network: ResidualUNet) -> nn.Module:
    """Return `network`, norms folded, with the weights of an ONNX file that `export_onnx` wrote."""
    model = onnx.load_from_string(onnx_bytes)
    weights: dict[str, Tensor] = {
        w.name: torch.from_numpy(onnx.numpy_helper.to_array(w).copy()) for w in model.graph.initializer
    }
    folded = fold_norms(network)
    folded.load_state_dict({name: weights[name] for name in folded.state_dict()})
    return folded


def export_bundle(
    checkpoint: Path, folder: Path, *, name: str, version: str, data: str, licence: str,
    ab_gain: float = 1.0, evaluation: dict[str, Any] | None = None,
) -> Bundle:  # fmt: skip
    """Write a bundle of a checkpoint's averaged network.

    Args:
        checkpoint: of `kinema train`.
        folder: must not be there yet.
        name: what clients ask for.
        version: of the model.
        data: what it was trained on, in a sentence.
        licence: SPDX expression for the weights.
        ab_gain: the network's ab is multiplied by this. A loss that counts colourful pixels for more overshoots on
            photographs it has not seen; a gain below 1 takes that back.
        evaluation: the content of a `kinema evaluate --json` file on this very network; its means go into the manifest.

    Raises:
        InvalidInputError: the checkpoint is none of Kinema's, or the evaluation is of another model.
        BundleError: the folder is there already, or the bundle would be too large.
    """
    network, recipe = load_network(checkpoint)
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter.mul_(ab_gain)
    onnx_bytes = export_onnx(network)
    digest = hashlib.sha256(onnx_bytes).hexdigest()
    if evaluation and evaluation["onnx_digest"] != digest:
        scored = evaluation["onnx_digest"][:12]
        raise InvalidInputError("scores", f"are of the model {scored}, this one is {digest[:12]}; evaluate it first")
    manifest = Manifest(
        name=name, version=version, recipe=f"{recipe['name']}, step {recipe['step']}, ab x {ab_gain:g}", data=data,
        licence=licence, num_parameters=count_parameters(network), created=datetime.now(UTC).date().isoformat(),
        scores=flat_scores(evaluation) if evaluation else {}, size_multiple=SIZE_MULTIPLE, output_stride=OUTPUT_STRIDE,
    )  # fmt: skip
    return write_bundle(folder, onnx_bytes, manifest, model_card(manifest, evaluation))


def flat_scores(evaluation: dict[str, Any]) -> dict[str, float]:
    """Name each method's mean scores "method.score"; the model's own go without a prefix."""
    return {
        score if method == "model" else f"{method}.{score}": value
        for method, scores in evaluation["methods"].items()
        for score, value in scores.items()
        if score != "num_photos"
    }


def model_card(manifest: Manifest, evaluation: dict[str, Any] | None) -> str:
    """Return the text of MODEL_CARD.md."""
    template = resources.files("kinema_trainer").joinpath("MODEL_CARD.template.md").read_text(encoding="utf-8")
    return Template(template).substitute(
        name=manifest.name, version=manifest.version, multiple=manifest.size_multiple, stride=manifest.output_stride,
        parameters=f"{manifest.num_parameters:,}", recipe=manifest.recipe, data=manifest.data or "not stated",
        licence=manifest.licence, created=manifest.created, scores=_score_rows(evaluation),
    )  # fmt: skip


def _score_rows(evaluation: dict[str, Any] | None) -> str:
    if not evaluation:
        return "Not scored."
    columns = ("psnr", "ab_psnr", "ssim", "delta_e", "colourfulness", "truth_colourfulness", "a_error", "b_error")
    rows = [f"On {evaluation['num_photos']} photographs of `{evaluation['photos']}` at {evaluation['size']} px:", ""]
    rows += ["| method | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for method, scores in evaluation["methods"].items():
        rows.append(f"| {method} | " + " | ".join(f"{scores[column]:.3f}" for column in columns) + " |")
    return "\n".join(rows)
