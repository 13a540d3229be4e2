"""NVIDIA's own TensorRT-RTX reads and builds the model that ships: its builder needs no GPU. Nothing is run here."""

from pathlib import Path
from typing import Any

import pytest

from kinema_core.bundle import Bundle, load_bundle
from kinema_core.engines.cuda_driver import Gpu
from kinema_core.engines.engine import Precision
from kinema_core.engines.onnx_precision import onnx_in
from kinema_core.engines.tensorrt import build_for_all
from kinema_core.engines.tensorrt_plan import BuiltPlan, Profile, build_plan, parse_onnx, profiles_for
from kinema_core.engines.tensorrt_runtime import TensorRt, compute_capabilities, load_tensorrt, target_of
from kinema_core.errors import BundleError, EngineError, EngineUnavailableError
from tests.core.tiny_models import chain_onnx, convolution_onnx, quantized_onnx, tiny_bundle

trt = pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is for Linux on x86-64: pip install 'kinema[tensorrt-rtx]'"
)

PRECISIONS: tuple[Precision, ...] = ("f32", "f16", "bf16", "int8")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle()


@pytest.fixture(scope="module")
def runtime() -> TensorRt:
    return load_tensorrt("tensorrt-rtx")


def build(runtime: TensorRt, onnx_bytes: bytes, *profiles: Profile, **options: Any) -> BuiltPlan:
    return build_plan(runtime, onnx_bytes, profiles, size_multiple=32, **options)


@pytest.mark.parametrize(
    ("precision", "inner"), [("f32", "FLOAT"), ("f16", "HALF"), ("bf16", "BF16"), ("int8", "INT8")]
)
def test_the_network_has_the_types_of_the_precision_and_float32_at_its_ends(
    runtime: TensorRt, bundle: Bundle, precision: Precision, inner: str
) -> None:
    builder = trt.Builder(runtime.logger)

    network = parse_onnx(runtime, builder, onnx_in(bundle, precision)[1])

    assert network.get_flag(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    ends = [network.get_input(0), network.get_output(0)]
    assert [(tensor.name, tensor.dtype) for tensor in ends] == [("lightness", trt.float32), ("ab", trt.float32)]
    assert [tuple(tensor.shape) for tensor in ends] == [(-1, 1, -1, -1), (-1, 2, -1, -1)]  # free batch, height, width
    layers = [network.get_layer(number) for number in range(network.num_layers)]
    kinds = [tensor.dtype for layer in layers for tensor in (layer.get_output(n) for n in range(layer.num_outputs))]
    assert sum(kind == getattr(trt.DataType, inner) for kind in kinds) > 60


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_model_that_ships_is_built(runtime: TensorRt, bundle: Bundle, precision: Precision) -> None:
    built = build(
        runtime,
        onnx_in(bundle, precision)[1],
        *profiles_for(bundle.manifest.working_size),
        targets=(trt.ComputeCapability.SM89,),
    )

    assert 5_000_000 < len(built.plan) < 40_000_000  # its weights, and not much more


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "has_turing"), [("f32", True), ("bf16", False)])
def test_one_plan_can_be_for_every_gpu_that_is_listed(tmp_path: Path, precision: Precision, has_turing: bool) -> None:
    num_bytes, targets = build_for_all(tiny_bundle(tmp_path / "chain", chain_onnx(), working_size=64), precision)

    assert num_bytes > 1000
    assert {"8.0", "8.6", "8.9", "12.0"} <= set(targets)
    assert ("7.5" in targets) == has_turing  # a Turing has no bf16


def test_the_bundles_own_int8_form_is_not_for_tensorrt_which_is_why_it_is_converted(
    runtime: TensorRt, bundle: Bundle
) -> None:
    assert bundle.int8_onnx is not None

    with pytest.raises(EngineError, match=r"QuantizeLinear.*Non-zero zero point is not supported"):
        build(runtime, bundle.int8_onnx, Profile(1, 64, 1, 64))


def test_two_profiles_for_other_sizes_are_two_in_the_plan(runtime: TensorRt) -> None:
    one, two = (
        build(runtime, convolution_onnx(), *profiles).plan
        for profiles in ([Profile(4, 128, 2, 64)], [Profile(4, 128, 2, 64), Profile(1, 256, 1, 256)])
    )

    assert one != two


def test_a_profile_whose_best_size_is_beyond_its_largest_is_refused(runtime: TensorRt) -> None:
    with pytest.raises(EngineError, match="TensorRT-RTX"):
        build(runtime, convolution_onnx(), Profile(4, 128, 8, 64))


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (convolution_onnx(input_name="grey"), BundleError, "must take lightness.*grey"),
        (convolution_onnx(output_name="rgb"), BundleError, "must take lightness.*rgb"),
        (b"no model", EngineError, "TensorRT-RTX .* cannot read the model"),
        (convolution_onnx()[:-40], EngineError, "TensorRT-RTX .* cannot read the model"),
    ],
    ids=["another input", "another output", "no ONNX", "cut off"],
)
def test_what_is_no_kinema_model_is_not_built(
    runtime: TensorRt, content: bytes, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build(runtime, content, Profile(1, 64, 1, 64))


def test_a_quantized_model_without_offsets_needs_no_conversion(runtime: TensorRt) -> None:
    assert build(runtime, quantized_onnx(), Profile(1, 64, 1, 64)).plan


def test_an_ampere_and_an_ada_are_known_and_a_hopper_is_not(runtime: TensorRt) -> None:
    ada = Gpu("Ada", (8, 9), 24 << 30, (13, 0))

    assert target_of(runtime, ada) == trt.ComputeCapability.SM89
    assert (8, 0) in compute_capabilities(runtime)
    with pytest.raises(EngineUnavailableError, match=r"has no code for Hopper.*9\.0.*lists .*8\.9, 12\.0"):
        target_of(runtime, Gpu("Hopper", (9, 0), 80 << 30, (13, 0)))


def test_for_this_machines_gpu_nothing_is_built_where_there_is_none(runtime: TensorRt) -> None:
    with pytest.raises(EngineError, match=r"CUDA driver|Cuda Runtime"):
        build(runtime, convolution_onnx(), Profile(1, 64, 1, 64), targets=(trt.ComputeCapability.CURRENT,))
