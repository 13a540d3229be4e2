"""A model so small that NumPy can check it: one 3x3 convolution with stride 2 from L* to ab."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kinema_core.bundle import Bundle, Manifest, write_bundle

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

RUNTIMES = ("openvino", "onnxruntime")
"""The engines that run any network and int8; torch runs f32 and bf16, of the network that ships."""

MANIFEST = Manifest(
    name="tiny",
    version="1.0",
    recipe="none: fixed random weights",
    data="",
    licence="CC0-1.0",
    num_parameters=20,
    created="2026-01-31",
    scores={"psnr": 20.5},
)
WEIGHTS: F32 = np.random.default_rng(7).normal(0, 0.1, (2, 1, 3, 3)).astype(np.float32)
BIAS: F32 = np.array([3, -5], np.float32)


def convolution_onnx(
    weights: F32 = WEIGHTS, *, stride: int = 2, input_name: str = "lightness", output_name: str = "ab"
) -> bytes:
    """Return the ONNX file of the convolution with `weights` (2, 1, 3, 3) and BIAS; batch, height and width free."""
    node = helper.make_node(
        "Conv", [input_name, "weight", "bias"], [output_name], strides=[stride, stride], pads=[1, 1, 1, 1]
    )
    graph = helper.make_graph(
        [node],
        "tiny",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["batch", 1, "height", "width"])],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, ["batch", 2, "half_height", "half_width"])],
        [numpy_helper.from_array(weights, "weight"), numpy_helper.from_array(BIAS, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def chain_onnx() -> bytes:
    """Return a model with a convolution between two others, so that there is something to cast."""
    rng = np.random.default_rng(3)
    shapes = {"first": (4, 1, 3, 3), "middle": (4, 4, 3, 3), "last": (2, 4, 3, 3)}
    weights = {name: rng.normal(0, 0.15, shape).astype(np.float32) for name, shape in shapes.items()}
    nodes, value = [], "lightness"
    for name in shapes:
        output = "ab" if name == "last" else name + "_out"
        stride = 2 if name == "last" else 1
        nodes.append(helper.make_node("Conv", [value, name], [output], name=name, strides=[stride] * 2, pads=[1] * 4))
        value = output
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("lightness", TensorProto.FLOAT, ["batch", 1, "height", "width"])],
        [helper.make_tensor_value_info("ab", TensorProto.FLOAT, ["batch", 2, "half_height", "half_width"])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


QUANTIZED_STEP = 0.002
"""Of the weights of `quantized_onnx`; that of L* is 0.5."""


def quantized_onnx(step: float = QUANTIZED_STEP) -> bytes:
    """Return the convolution in 8 bits: L* in steps of 0.5, weights in `step`; between QuantizeLinear and back."""
    weights = np.clip(np.rint(WEIGHTS / step), -127, 127).astype(np.int8)
    constants = {
        "lightness_step": np.float32(0.5), "lightness_zero": np.uint8(0), "weight_step": np.float32(step),
        "weight_zero": np.int8(0), "weight_codes": weights, "bias": BIAS,
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["lightness", "lightness_step", "lightness_zero"], ["codes"]),
        helper.make_node("DequantizeLinear", ["codes", "lightness_step", "lightness_zero"], ["coarse"]),
        helper.make_node("DequantizeLinear", ["weight_codes", "weight_step", "weight_zero"], ["weight"]),
        helper.make_node("Conv", ["coarse", "weight", "bias"], ["ab"], strides=[2, 2], pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny_int8",
        [helper.make_tensor_value_info("lightness", TensorProto.FLOAT, ["batch", 1, "height", "width"])],
        [helper.make_tensor_value_info("ab", TensorProto.FLOAT, ["batch", 2, "half_height", "half_width"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def quantized_convolve(lightness: F32, step: float = QUANTIZED_STEP) -> F64:
    """Compute in float64 what `quantized_onnx` gives."""
    weights = np.clip(np.rint(WEIGHTS / step), -127, 127).astype(np.float64) * np.float32(step)
    return convolve((np.rint(lightness / np.float32(0.5)) * 0.5).astype(np.float32), weights)


def convolve(lightness: F32, weights: F32 | F64 = WEIGHTS, bias: F32 | float = BIAS) -> F64:
    """Compute in float64 what the model gives: (B, 1, h, w) -> (B, 2, h/2, w/2)."""
    padded = np.pad(lightness[:, 0].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
    ab: F64 = np.einsum("bhwij,cij->bchw", windows, weights[:, 0].astype(np.float64))
    ab += np.reshape(bias, (-1, 1, 1))
    return ab


def tiny_bundle(
    folder: Path, onnx_bytes: bytes | None = None, *, int8_onnx: bytes | None = None, **changes: Any
) -> Bundle:
    """Write a bundle of the tiny model, or of `onnx_bytes`, with the manifest `changes`."""
    manifest = dataclasses.replace(MANIFEST, **changes)
    onnx_bytes = convolution_onnx() if onnx_bytes is None else onnx_bytes
    return write_bundle(folder, onnx_bytes, manifest, "# Tiny\n", int8_onnx=int8_onnx)
