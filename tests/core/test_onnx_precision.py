"""The model in another precision: what is cast, what stays float32, and what comes of it."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from kinema_core.bundle import Bundle, load_bundle
from kinema_core.engines.engine import Precision
from kinema_core.engines.onnx_precision import onnx_in
from kinema_core.engines.self_test import fixed_pictures, mean_delta_e
from kinema_core.errors import EngineError, EngineUnavailableError
from tests.core.tiny_models import tiny_bundle

F32 = NDArray[np.float32]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle()


@pytest.fixture(scope="module")
def pictures() -> F32:
    return fixed_pictures(128)


def run(content: bytes, lightness: F32) -> F32:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    ab: F32 = session.run(None, {"lightness": lightness})[0]
    return ab


def types_of_weights(content: bytes) -> list[tuple[str, int]]:
    """Return the type of each convolution's weights, in the order of the graph."""
    graph = onnx.load_model_from_string(content).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    return [(node.name, types[node.input[1]]) for node in graph.node if node.op_type == "Conv"]


def test_in_f32_the_file_is_that_of_the_bundle(bundle: Bundle) -> None:
    assert onnx_in(bundle, "f32") == ("model.onnx", bundle.onnx)


@pytest.mark.parametrize(("precision", "low"), [("f16", TensorProto.FLOAT16), ("bf16", TensorProto.BFLOAT16)])
def test_every_convolution_but_the_first_and_the_last_is_cast(bundle: Bundle, precision: Precision, low: int) -> None:
    _, content = onnx_in(bundle, precision)

    (_, first), *between, (_, last) = types_of_weights(content)
    assert (first, last) == (TensorProto.FLOAT, TensorProto.FLOAT)
    assert {kind for _, kind in between} == {low}
    assert len(between) == 70
    assert len(content) < 0.52 * len(bundle.onnx)  # nothing is kept twice


@pytest.mark.parametrize("precision", ["f16", "bf16"])
def test_types_agree_from_node_to_node(bundle: Bundle, precision: Precision) -> None:
    model = onnx.load_model_from_string(onnx_in(bundle, precision)[1])
    for opset in model.opset_import:
        opset.version = 22  # where Conv takes bf16 by the letter of ONNX, too

    onnx.checker.check_model(model)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)

    ports = [*model.graph.input, *model.graph.output]
    assert {port.type.tensor_type.elem_type for port in ports} == {TensorProto.FLOAT}


def test_in_f16_nobody_sees_a_difference(bundle: Bundle, pictures: F32) -> None:
    expected = run(bundle.onnx, pictures)

    delta_e = mean_delta_e(pictures, run(onnx_in(bundle, "f16")[1], pictures), expected)

    assert 0 < delta_e < 0.1


def test_in_int8_every_activation_is_symmetric_and_the_colours_stay(bundle: Bundle, pictures: F32) -> None:
    assert bundle.int8_onnx is not None
    name, content = onnx_in(bundle, "int8")
    expected = run(bundle.onnx, pictures)

    graph = onnx.load_model_from_string(content).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    zeros = [tensors[node.input[2]] for node in graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    of_bundle, symmetric = (mean_delta_e(pictures, run(c, pictures), expected) for c in (bundle.int8_onnx, content))

    assert name == "model.int8.onnx"
    assert {zero.dtype for zero in zeros} == {np.dtype(np.int8)}
    assert not any(zero.any() for zero in zeros)
    assert symmetric < of_bundle + 0.1  # Lab units; a step more or less of 8 bits


def test_no_value_of_a_symmetric_activation_is_cut_off(bundle: Bundle) -> None:
    assert bundle.int8_onnx is not None
    before, after = (onnx.load_model_from_string(c).graph for c in (bundle.int8_onnx, onnx_in(bundle, "int8")[1]))
    tensors = [{tensor.name: numpy_helper.to_array(tensor) for tensor in g.initializer} for g in (before, after)]

    num_compared = 0
    for old, new in zip(
        *([node for node in graph.node if node.op_type == "QuantizeLinear"] for graph in (before, after)), strict=True
    ):
        scale, zero = tensors[0][old.input[1]], tensors[0][old.input[2]].astype(np.float64)
        reach = np.maximum(zero, 255 - zero) * scale
        np.testing.assert_allclose(127 * tensors[1][new.input[1]], reach, rtol=1e-6)
        num_compared += 1
    assert num_compared > 40


def test_without_an_int8_form_there_is_none_to_convert(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailableError, match="no int8 form"):
        onnx_in(tiny_bundle(tmp_path / "tiny"), "int8")


def test_a_file_that_is_no_onnx_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"model\.onnx of model 'tiny' cannot be read"):
        onnx_in(tiny_bundle(tmp_path / "tiny", b"\xff\xff no model"), "f16")


def test_without_the_package_onnx_the_error_says_what_to_install(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)

    with pytest.raises(EngineUnavailableError, match="pip install onnx"):
        onnx_in(bundle, "f16")
