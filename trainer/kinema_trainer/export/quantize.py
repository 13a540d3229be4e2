"""From the f32 ONNX file to its INT8 form, by NNCF's post-training quantization (Kozlov et al., arXiv:2002.08679).

The form is plain ONNX, QuantizeLinear and DequantizeLinear around what is to run in 8 bits, so that one file serves
both engines. Weights are signed with a scale for each channel; activations are unsigned with a zero point.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kinema_core.engines.engine import F32, INPUT, OUTPUT
from kinema_core.engines.telemetry import disable_onnxruntime_telemetry, without_openvino_telemetry

_RAW: Final = "ab_raw"
"""The quantized network's own output, before its correction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationPlan:
    """What is quantized, and how the biases are corrected for what rounding shifts."""

    name: str
    num_first_f32: int = 0
    """So many convolutions from the input on stay in f32, in the order of the graph; at most half of all. The first are
    the most delicate: few channels, with wide and unlike ranges."""
    is_bias_correction_fast: bool = True
    """False takes NNCF's slower correction, layer after layer on what the quantized layers before it give."""


ALL_INT8: Final = QuantizationPlan(name="all in int8")


def first_in_f32(count: int) -> QuantizationPlan:
    """Quantize all but the first `count` convolutions."""
    if count == 0:
        return ALL_INT8
    return QuantizationPlan(name=f"all but the first {count} convolutions in int8", num_first_f32=count)


PLANS: Final = (
    ALL_INT8,
    first_in_f32(9),
    QuantizationPlan(
        name="all but the first 9 convolutions in int8, slow bias correction", num_first_f32=9,
        is_bias_correction_fast=False,
    ),
)  # fmt: skip
"""What is tried, the one with most in 8 bits first."""


def quantize_onnx(onnx_bytes: bytes, lightness: Sequence[F32], plan: QuantizationPlan) -> bytes:
    """Quantize a model.

    Args:
        onnx_bytes: the model in f32.
        lightness: inputs to calibrate on, each (1, 1, h, w), L* 0-100; a few hundred photographs.
        plan: what to quantize.
    """
    nncf = _load_nncf()
    model = onnx.load_from_string(onnx_bytes)
    quantized: onnx.ModelProto = nncf.quantize(
        model, nncf.Dataset([{INPUT: picture} for picture in lightness]), subset_size=len(lightness),
        # Symmetric weights, asymmetric activations: what follows a linear layer is seldom centred on zero.
        preset=nncf.QuantizationPreset.MIXED,
        fast_bias_correction=plan.is_bias_correction_fast,
        ignored_scope=nncf.IgnoredScope(names=names) if (names := _names_in_f32(model, plan)) else None,
    )  # fmt: skip
    make_activations_unsigned(quantized)
    onnx.checker.check_model(quantized)
    return quantized.SerializeToString()


def make_activations_unsigned(model: onnx.ModelProto) -> None:
    """Turn signed 8-bit activations into unsigned ones of the same values: zero points move from z to z + 128.

    OpenVINO 2026.4.1 gets signed ones wrong where they run into a Concat, as the taps of every U-Net do: convolutions
    of such maps are off by half their size. Unsigned ones are right, and what the CPU's instructions want anyway.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    zero_points = {
        n.input[2] for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] not in constants
    }
    for name in zero_points:
        tensor = constants[name]
        if tensor.data_type == TensorProto.INT8:
            moved = numpy_helper.to_array(tensor).astype(np.int16) + 128
            tensor.CopyFrom(numpy_helper.from_array(moved.astype(np.uint8), name))
    del model.graph.value_info[:]  # holds the types from before; it is only a cache


def correct_output(onnx_bytes: bytes, got: F32, expected: F32) -> bytes:
    """Append a gain and a shift for each of a and b, by which what the model gave comes nearest to what it should give.

    Quantizing a network whose maps are rectified shifts and stretches its output as a whole; this takes that back. What
    is fitted is the least-squares line from `got` to `expected`.

    Args:
        onnx_bytes: the quantized model.
        got: (N, 2, h, w), its ab on calibration photographs.
        expected: (N, 2, h, w), the f32 model's.
    """
    axes = (0, 2, 3)
    x, y = got.astype(np.float64), expected.astype(np.float64)
    x_mean, y_mean = x.mean(axes, keepdims=True), y.mean(axes, keepdims=True)
    variance = np.square(x - x_mean).mean(axes, keepdims=True)
    covariance = ((x - x_mean) * (y - y_mean)).mean(axes, keepdims=True)
    gain = np.where(variance > 0, covariance / np.where(variance > 0, variance, 1), 1)  # (1, 2, 1, 1)
    shift = y_mean - gain * x_mean
    model = onnx.load_from_string(onnx_bytes)
    for node in model.graph.node:
        node.output[:] = [_RAW if name == OUTPUT else name for name in node.output]
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value, np.float32), name)
        for name, value in (("ab_gain", gain), ("ab_shift", shift))
    )
    model.graph.node.extend([
        helper.make_node("Mul", [_RAW, "ab_gain"], ["ab_scaled"], name="ab_gain"),
        helper.make_node("Add", ["ab_scaled", "ab_shift"], [OUTPUT], name="ab_shift"),
    ])  # fmt: skip
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _names_in_f32(model: onnx.ModelProto, plan: QuantizationPlan) -> list[str]:
    convolutions = [n.name for n in model.graph.node if n.op_type in {"Conv", "ConvTranspose"}]
    return convolutions[: min(plan.num_first_f32, len(convolutions) // 2)]


def _load_nncf() -> Any:
    """Import NNCF so that it reports nothing to its maker, nor does what it imports."""
    disable_onnxruntime_telemetry()
    with without_openvino_telemetry():
        import nncf
    nncf.nncf_logger.setLevel(logging.ERROR)  # not `set_log_level`: that also turns to every handler it finds
    return nncf
