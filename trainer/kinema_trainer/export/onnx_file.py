"""A network as an ONNX file, and back."""

import io
import warnings
from typing import Any

import onnx
import torch
from torch import Tensor

from kinema_core.engines.engine import INPUT, OUTPUT
from kinema_core.errors import InvalidInputError
from kinema_trainer.export.fold import fold_norms
from kinema_trainer.models.color_network import ColorNetwork

OPSET = 18


def export_onnx(network: ColorNetwork) -> bytes:
    """Export as ONNX: "lightness" (B, 1, H, W), L* 0-100 -> "ab" (B, 2, H/s, W/s), B, H and W free.

    Initializers bear the names of the folded network's state dict, so that the weights can be read back.

    Raises:
        InvalidInputError: folding the norms changes what the network computes.
    """
    folded = fold_norms(network)
    stride, size = network.output_stride, 2 * network.size_multiple
    height, width = (side if stride == 1 else f"{side}/{stride}" for side in ("height", "width"))
    buffer: Any = io.BytesIO()  # torch's stub wants a path and takes any file
    with warnings.catch_warnings():
        # The tracing exporter is deprecated, but it needs no further package and keeps the names of the weights. It
        # also warns of a slice in the padding that it does not fold (the engines do), and of instance norms, which
        # take their statistics from the input in training and evaluation alike.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)
        warnings.filterwarnings("ignore", "ONNX export mode .* 'instance_norm'", UserWarning)
        torch.onnx.export(
            folded, (torch.zeros(1, 1, size, size),), buffer, dynamo=False, opset_version=OPSET,
            input_names=[INPUT], output_names=[OUTPUT],
            dynamic_axes={
                INPUT: {0: "batch", 2: "height", 3: "width"},
                OUTPUT: {0: "batch", 2: height, 3: width},
            },
        )  # fmt: skip
    model = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(model)
    return model.SerializeToString()


def load_onnx_weights(onnx_bytes: bytes, network: ColorNetwork) -> ColorNetwork:
    """Return `network`, norms folded, with the weights of an ONNX file that `export_onnx` wrote.

    Raises:
        InvalidInputError: the file lacks a weight of the network's, or has it in another shape.
    """
    model = onnx.load_from_string(onnx_bytes)
    weights: dict[str, Tensor] = {
        w.name: torch.from_numpy(onnx.numpy_helper.to_array(w).copy()) for w in model.graph.initializer
    }
    folded = fold_norms(network)
    try:
        folded.load_state_dict({name: weights[name] for name in folded.state_dict()})
    except (KeyError, RuntimeError) as err:
        raise InvalidInputError("onnx", f"does not hold the weights of {type(network).__name__}: {err}") from err
    return folded
