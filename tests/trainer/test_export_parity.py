"""An ONNX file that colours otherwise than its network is not let through."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from kinema_core.bundle import Bundle
from kinema_core.engines.select import CPU_ENGINES
from kinema_core.errors import EngineUnavailableError, InvalidInputError
from kinema_trainer.export.onnx_file import export_onnx
from kinema_trainer.export.parity import MAX_AB_DIFFERENCE, TorchEngine, check_parity, compare, synthetic_photos
from kinema_trainer.models.color_network import ColorNetwork
from tests.core.tiny_models import MANIFEST, RUNTIMES
from tests.trainer.networks import SMALL, lively_network
from tests.trainer.photos import make_photo

PHOTOS = [make_photo(seed, 32, 48) for seed in range(3)]


@pytest.fixture
def network() -> ColorNetwork:
    return lively_network(SMALL)


def bundle_of(onnx_bytes: bytes) -> Bundle:
    manifest = replace(MANIFEST, size_multiple=4, output_stride=1, working_size=32)
    return Bundle(Path("nowhere"), manifest, "", onnx_bytes)


def altered(onnx_bytes: bytes, name: str, factor: float) -> bytes:
    model = onnx.load_from_string(onnx_bytes)
    (weight,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(factor), name))
    return model.SerializeToString()


def test_every_engine_here_gives_what_torch_gives(network: ColorNetwork) -> None:
    results = check_parity(network, bundle_of(export_onnx(network)), PHOTOS)

    gated = [result for result in results if result.is_gated]
    assert [result.engine for result in gated] == list(RUNTIMES)
    assert all(result.max_ab_difference < MAX_AB_DIFFERENCE / 10 for result in gated)
    assert all(result.num_photos == len(PHOTOS) for result in results)


def test_bf16_is_reported_where_the_cpu_has_it_and_not_held_to_the_bounds(network: ColorNetwork) -> None:
    bundle = bundle_of(export_onnx(network))
    try:
        CPU_ENGINES["openvino"](bundle, precision="bf16", num_threads=None)
    except EngineUnavailableError as err:
        pytest.skip(str(err))

    results = check_parity(network, bundle, PHOTOS)

    (bf16,) = (result for result in results if result.precision == "bf16")
    assert not bf16.is_gated
    assert bf16.max_ab_difference > max(result.max_ab_difference for result in results if result.is_gated)


@pytest.mark.parametrize("factor", [1.02, -1.0])
def test_a_file_with_one_altered_weight_is_refused_with_the_numbers(network: ColorNetwork, factor: float) -> None:
    wrong = bundle_of(altered(export_onnx(network), "head.weight", factor))

    with pytest.raises(InvalidInputError, match=r"openvino f32: max \|Δab\| \d.*onnxruntime f32.*Nothing was written"):
        check_parity(network, wrong, PHOTOS)


def test_the_difference_of_an_engine_from_itself_is_nothing(network: ColorNetwork) -> None:
    bundle = bundle_of(export_onnx(network))

    result = compare(TorchEngine(network), TorchEngine(network), bundle, PHOTOS)

    assert (result.max_ab_difference, result.mean_delta_e) == (0, 0)


def test_where_no_engine_runs_nothing_is_let_through(network: ColorNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = bundle_of(export_onnx(network))
    for package in CPU_ENGINES:
        monkeypatch.setitem(sys.modules, package, None)  # makes its import fail

    with pytest.raises(EngineUnavailableError, match="nothing can be compared"):
        check_parity(network, bundle, PHOTOS)


def test_synthetic_photos_are_colourful_and_always_the_same() -> None:
    photos, again = synthetic_photos(64), synthetic_photos(64)

    assert all(photo.shape == (64, 64, 3) and photo.std() > 20 for photo in photos)
    np.testing.assert_array_equal(photos, again)
