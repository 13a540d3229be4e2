"""From a checkpoint to a model bundle."""

import copy
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from kinema_core.errors import InvalidInputError
from kinema_trainer.models.residual_unet import OUTPUT_STRIDE, SIZE_MULTIPLE, ResidualUNet, ResidualUNetConfig

log = logging.getLogger(__name__)

OPSET = 18
INPUT_NAME = "lightness"
OUTPUT_NAME = "ab"


def load_network(checkpoint: Path) -> tuple[ResidualUNet, dict[str, Any]]:
    """Return the averaged network of a checkpoint, in evaluation mode, and the recipe it was trained by.

    Raises:
        InvalidInputError: the file is no checkpoint of Kinema's.
    """
    try:
        kept: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        recipe: dict[str, Any] = kept["recipe"]
        network = ResidualUNet(
            ResidualUNetConfig(*(tuple(recipe["network"][name]) for name in ("channels", "num_blocks")))
        )
        network.load_state_dict(kept["average"])
    except (OSError, RuntimeError, KeyError, TypeError) as error:
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
    buffer = io.BytesIO()
    dynamic = {
        INPUT_NAME: {0: "batch", 2: "height", 3: "width"},
        OUTPUT_NAME: {0: "batch", 2: f"height/{OUTPUT_STRIDE}", 3: f"width/{OUTPUT_STRIDE}"},
    }
    with warnings.catch_warnings():
        # The tracing exporter is deprecated, but it needs no further package and keeps the names of the weights.
        warnings.simplefilter("ignore", DeprecationWarning)
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
    weights: dict[str, Tensor] = {w.name: torch.from_numpy(onnx.numpy_helper.to_array(w).copy()) for w in model.graph.initializer}
    folded = fold_norms(network)
    folded.load_state_dict({name: weights[name] for name in folded.state_dict()})
    return folded
