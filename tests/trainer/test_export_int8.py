"""The INT8 form runs in both engines, is near the f32 form, and is refused where it is not near enough."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kinema_core.bundle import Bundle
from kinema_core.engines.engine import Engine
from kinema_core.engines.select import open_engine
from kinema_core.errors import InvalidInputError
from kinema_trainer.export.int8 import Gate, Quantized, quantize_bundle, read_calibration
from kinema_trainer.export.onnx_file import export_onnx
from kinema_trainer.export.parity import Rgb
from kinema_trainer.export.quantize import PLANS, correct_output, first_in_f32, make_activations_unsigned, quantize_onnx
from tests.core.tiny_models import MANIFEST, RUNTIMES, convolution_onnx
from tests.trainer.networks import SMALL, lively_network, random_lightness
from tests.trainer.photos import make_photo, write_photos

F32 = NDArray[np.float32]

OPEN_GATE = Gate(max_psnr_loss=3, max_delta_e_rise=3)
"""An untrained network's pictures are all noise; their scores say little."""
SHUT_GATE = Gate(max_psnr_loss=-50, max_delta_e_rise=-50)


@pytest.fixture(scope="module")
def calibration() -> list[Rgb]:
    return [make_photo(seed, 32, 32) for seed in range(6)]


@pytest.fixture(scope="module")
def photos() -> list[Rgb]:
    return [make_photo(seed, 32, 32) for seed in range(100, 104)]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    manifest = replace(MANIFEST, size_multiple=4, output_stride=1, working_size=32)
    return Bundle(Path("nowhere"), manifest, "", export_onnx(lively_network(SMALL)))


@pytest.fixture(scope="module")
def quantized(bundle: Bundle, calibration: list[Rgb], photos: list[Rgb]) -> Quantized:
    return quantize_bundle(bundle, calibration, photos, gate=OPEN_GATE)


@pytest.mark.parametrize("name", RUNTIMES)
def test_the_int8_form_is_near_f32_and_is_not_f32(bundle: Bundle, quantized: Quantized, name: str) -> None:
    both = replace(bundle, int8_onnx=quantized.onnx)
    lightness = random_lightness(32, 48).numpy()

    f32, int8 = (open_engine(both, name, precision=precision).engine.infer(lightness) for precision in ("f32", "int8"))

    assert 0 < np.abs(int8 - f32).mean() < 0.2 * np.abs(f32).mean()


def test_both_engines_run_the_int8_form_alike(bundle: Bundle, quantized: Quantized) -> None:
    both = replace(bundle, int8_onnx=quantized.onnx)
    lightness = random_lightness(32, 48).numpy()

    one, other = (open_engine(both, name, precision="int8").engine.infer(lightness) for name in RUNTIMES)

    # A rounding that tips moves a code by one; that is far less than what quantizing itself moves.
    assert np.abs(one - other).mean() < 0.02 * np.abs(other).mean()


def test_the_int8_form_is_a_quarter_in_weights_and_has_no_signed_activation(
    bundle: Bundle, quantized: Quantized
) -> None:
    model = onnx.load_from_string(quantized.onnx)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

    zero_points = [constants[node.input[2]].dtype for node in model.graph.node if node.op_type == "QuantizeLinear"]
    kept = [value for value in constants.values() if value.dtype == np.float32 and value.ndim == 4 and value.size > 8]

    assert zero_points
    assert set(zero_points) == {np.dtype(np.uint8)}
    assert not kept, "every convolution's weights are in 8 bits"
    assert bundle.int8_onnx is None


def test_what_is_found_is_stated_for_each_engine(quantized: Quantized) -> None:
    assert [loss.engine for loss in quantized.losses] == list(RUNTIMES)
    assert all(loss.delta_e_to_f32 > 0 for loss in quantized.losses)
    assert (quantized.num_calibration, quantized.num_photos, quantized.plan) == (6, 4, PLANS[0])


def test_a_form_that_loses_too_much_is_refused_with_the_numbers_of_every_plan(
    bundle: Bundle, calibration: list[Rgb], photos: list[Rgb]
) -> None:
    steps: list[str] = []
    plans = (PLANS[0], first_in_f32(1))

    with pytest.raises(InvalidInputError) as caught:
        quantize_bundle(bundle, calibration, photos, plans=plans, gate=SHUT_GATE, on_step=steps.append)

    assert "loses more than -50 dB of PSNR" in str(caught.value)
    for plan in plans:
        assert f"{plan.name}: openvino: PSNR " in str(caught.value)
        assert f"quantizing: {plan.name}" in steps


def test_the_plan_that_passes_is_the_one_that_is_taken(
    bundle: Bundle, calibration: list[Rgb], photos: list[Rgb], quantized: Quantized
) -> None:
    (best, *_) = sorted(loss.psnr_loss for loss in quantized.losses)
    gate = Gate(max_psnr_loss=best - 1e-6, max_delta_e_rise=50)  # the first plan just fails it

    with pytest.raises(InvalidInputError, match="all in int8"):
        quantize_bundle(bundle, calibration, photos, plans=PLANS[:1], gate=gate)
    found = quantize_bundle(
        bundle, calibration, photos, plans=(PLANS[0], first_in_f32(99)), gate=replace(gate, max_psnr_loss=3)
    )

    assert found.plan == PLANS[0]


def test_the_first_convolutions_stay_in_f32_where_the_plan_says_so(bundle: Bundle) -> None:
    lightness = [random_lightness(32, 32).numpy()[:1]]

    model = onnx.load_from_string(quantize_onnx(bundle.onnx, lightness, first_in_f32(2)))

    constants = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    weights = [node.input[1] in constants for node in model.graph.node if node.op_type == "Conv"]
    assert weights[:2] == [True, True]
    assert not any(weights[2:])


def test_a_validation_photograph_that_is_calibrated_on_is_refused(bundle: Bundle, calibration: list[Rgb]) -> None:
    with pytest.raises(InvalidInputError, match="1 of the 1 validation photographs"):
        quantize_bundle(bundle, calibration, calibration[2:3])


def test_calibration_draws_from_what_is_not_held_out_and_always_the_same(tmp_path: Path) -> None:
    write_photos(tmp_path, 5)
    (tmp_path / "val").mkdir()
    write_photos(tmp_path / "val", 40)

    drawn, again = (read_calibration(tmp_path, 32, num_photos=3) for _ in range(2))
    everything = read_calibration(tmp_path, 32)

    np.testing.assert_array_equal(drawn, again)
    assert len(drawn) == 3
    assert len(everything) == 5


def test_calibration_without_a_readable_photograph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")

    with pytest.raises(InvalidInputError, match="not one of the 1 photographs"):
        read_calibration(tmp_path, 32)


def test_a_line_fitted_to_the_output_takes_back_what_was_shifted_and_stretched() -> None:
    bundle = Bundle(Path("nowhere"), MANIFEST, "", convolution_onnx())
    lightness = random_lightness().numpy()
    got = open_engine(bundle).engine.infer(lightness)
    expected = got * np.array([[[[0.9]], [[1.2]]]], np.float32) + np.array([[[[3]], [[-4]]]], np.float32)

    corrected = replace(bundle, onnx=correct_output(bundle.onnx, got, expected))

    for name in RUNTIMES:
        np.testing.assert_allclose(open_engine(corrected, name).engine.infer(lightness), expected, rtol=0, atol=1e-3)


def test_an_output_that_never_varies_is_shifted_and_not_stretched() -> None:
    flat = np.full((1, 2, 4, 4), 5, np.float32)
    model = onnx.load_from_string(correct_output(convolution_onnx(), flat, flat + 1))

    constants = {tensor.name: numpy_helper.to_array(tensor).ravel() for tensor in model.graph.initializer}

    np.testing.assert_array_equal(constants["ab_gain"], [1, 1])
    np.testing.assert_array_equal(constants["ab_shift"], [1, 1])


def signed_concat_onnx() -> bytes:
    """A convolution of two maps in signed 8 bits, side by side: what OpenVINO 2026.4.1 gets wrong."""
    rng = np.random.default_rng(0)
    constants: dict[str, NDArray[np.generic]] = {"step": np.array(2, np.float32), "zero": np.array(0, np.int8)}
    nodes = []

    def quantize(name: str) -> str:
        nodes.append(helper.make_node("QuantizeLinear", [name, "step", "zero"], [f"{name}_codes"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_codes", "step", "zero"], [f"{name}_coarse"]))
        return f"{name}_coarse"

    def convolve(source: str, name: str, shape: tuple[int, ...], stride: int = 1) -> str:
        constants[f"{name}_codes_w"] = rng.integers(-127, 128, shape).astype(np.int8)
        constants[f"{name}_step"] = np.full(shape[0], 0.0020137, np.float32)  # no tie is rounded
        constants[f"{name}_zero"] = np.zeros(shape[0], np.int8)
        weight = [f"{name}_codes_w", f"{name}_step", f"{name}_zero"]
        nodes.append(helper.make_node("DequantizeLinear", weight, [f"{name}_w"], axis=0))
        nodes.append(helper.make_node("Conv", [source, f"{name}_w"], [name], strides=[stride, stride]))
        return name

    one = quantize(convolve(quantize("lightness"), "one", (16, 1, 1, 1), stride=2))
    two = quantize(convolve(one, "two", (16, 16, 1, 1)))
    nodes.append(helper.make_node("Concat", [one, two], ["both"], axis=1))
    nodes.append(helper.make_node("Identity", [convolve("both", "last", (2, 32, 1, 1))], ["ab"]))
    graph = helper.make_graph(
        nodes,
        "signed",
        [helper.make_tensor_value_info("lightness", TensorProto.FLOAT, ["batch", 1, "height", "width"])],
        [helper.make_tensor_value_info("ab", TensorProto.FLOAT, ["batch", 2, "half_height", "half_width"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def test_activations_without_a_sign_have_the_same_values_and_openvino_gets_them_right() -> None:
    model = onnx.load_from_string(signed_concat_onnx())
    signed = Bundle(Path("nowhere"), MANIFEST, "", model.SerializeToString())
    make_activations_unsigned(model)
    unsigned = replace(signed, onnx=model.SerializeToString())
    lightness = random_lightness(32, 32).numpy()

    def infer(bundle: Bundle, name: str) -> F32:
        engine: Engine = open_engine(bundle, name).engine
        return engine.infer(lightness)

    expected = infer(signed, "onnxruntime")
    assert np.abs(expected).mean() > 1
    np.testing.assert_allclose(infer(unsigned, "onnxruntime"), expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(infer(unsigned, "openvino"), expected, rtol=0, atol=1e-4)


def test_nncf_has_nothing_to_report_with(quantized: Quantized) -> None:
    assert quantized.onnx
    assert "nncf" in sys.modules
    assert "openvino_telemetry" not in sys.modules
