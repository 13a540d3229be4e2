"""ONNX colorizers from elsewhere."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from kinema_core.color import GREY_TAGS, luma_to_lightness, rgb_to_grey
from kinema_core.errors import EngineError, InvalidInputError
from kinema_trainer.evaluation.onnx_colorizer import OnnxColorizer, OnnxSpec, parse_onnx_spec
from tests.core.tiny_models import BIAS, F32, convolution_onnx
from tests.trainer.evaluations import write_file
from tests.trainer.photos import make_photo

CENTRE = np.zeros((2, 1, 3, 3), np.float32)
"""ab is the pixel's own L times these."""
CENTRE[:, 0, 1, 1] = 0.2, -0.4


def save_network(path: Path, *, stride: int = 1, side: int | None = None) -> Path:
    model = onnx.load_from_string(convolution_onnx(CENTRE, stride=stride, input_name="L", output_name="AB"))
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:] if side else ():
        dimension.dim_value = side or 0
    return write_file(path, model.SerializeToString())


def predict_ab(spec: OnnxSpec, grey: np.ndarray) -> F32:
    return OnnxColorizer(spec, num_threads=1).predict_ab(grey)


def test_a_network_of_lab_units_gives_the_ab_it_says(tmp_path: Path) -> None:
    grey = rgb_to_grey(make_photo(1, 40, 56))

    ab = predict_ab(OnnxSpec(path=save_network(tmp_path / "net.onnx")), grey)

    expected = luma_to_lightness(grey, GREY_TAGS)[..., None] * CENTRE[:, 0, 1, 1] + BIAS
    np.testing.assert_allclose(ab, expected, atol=2e-5)  # float32 products up to 40


def test_the_scales_are_applied_on_the_way_in_and_out(tmp_path: Path) -> None:
    grey = rgb_to_grey(make_photo(1, 40, 56))
    spec = OnnxSpec(path=save_network(tmp_path / "net.onnx"), l_offset=50, l_scale=100, ab_scale=110)

    ab = predict_ab(spec, grey)

    seen = (luma_to_lightness(grey, GREY_TAGS)[..., None] - 50) / 100
    np.testing.assert_allclose(ab, 110 * (seen * CENTRE[:, 0, 1, 1] + BIAS), rtol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_ab_comes_at_the_pictures_size_whatever_the_networks(tmp_path: Path, stride: int) -> None:
    grey = np.full((48, 64), 119, np.uint8)

    ab = predict_ab(OnnxSpec(path=save_network(tmp_path / "net.onnx", stride=stride)), grey)

    assert ab.shape == (48, 64, 2)
    assert np.ptp(ab, axis=(0, 1)).max() < 1e-4  # of one grey comes one colour


def test_a_network_of_a_fixed_size_sees_the_picture_scaled_to_it(tmp_path: Path) -> None:
    grey = rgb_to_grey(make_photo(1, 48, 64))

    fixed = predict_ab(OnnxSpec(path=save_network(tmp_path / "fixed.onnx", side=16)), grey)
    free = predict_ab(OnnxSpec(path=save_network(tmp_path / "free.onnx"), size=16), grey)

    np.testing.assert_array_equal(fixed, free)
    assert fixed.shape == (48, 64, 2)


def test_a_specification_is_read_with_its_options(tmp_path: Path) -> None:
    path = save_network(tmp_path / "net.onnx")

    assert parse_onnx_spec(str(path)) == OnnxSpec(path=path, name="net")
    options = "l_offset=50,l_scale=50,ab_scale=110,size=256,name=paper"
    assert parse_onnx_spec(f"{path},{options}") == OnnxSpec(
        path=path, name="paper", l_offset=50, l_scale=50, ab_scale=110, size=256
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("scale=3", "takes name, l_offset, l_scale, ab_scale, size after the file, got 'scale'"),
        ("size=big", "size must be a whole number"),
        ("l_scale=0", "must be above 0"),
        ("ab_scale=-1", "must be above 0"),
        ("size=-4", "size must be 0 to"),
    ],
)
def test_a_wrong_option_is_refused(tmp_path: Path, options: str, message: str) -> None:
    path = save_network(tmp_path / "net.onnx")

    with pytest.raises(InvalidInputError, match=message):
        parse_onnx_spec(f"{path},{options}")


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"there is no file 'nowhere\.onnx'"):
        parse_onnx_spec("nowhere.onnx")


def test_another_size_than_the_fixed_one_is_refused(tmp_path: Path) -> None:
    path = save_network(tmp_path / "net.onnx", side=16)

    with pytest.raises(InvalidInputError, match="fixed size 16x16; leave size= out"):
        OnnxColorizer(OnnxSpec(path=path, size=32))


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    path = write_file(tmp_path / "net.onnx", b"not a network")

    with pytest.raises(EngineError, match=r"cannot read net\.onnx"):
        OnnxColorizer(OnnxSpec(path=path))


def save_graph(path: Path, node: onnx.NodeProto, *inputs: tuple[str, list[int | str]]) -> Path:
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "odd", shapes, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return write_file(path, model.SerializeToString())


def test_a_network_that_takes_hints_too_is_refused(tmp_path: Path) -> None:
    shape: list[int | str] = [1, 1, "h", "w"]
    path = save_graph(
        tmp_path / "net.onnx", helper.make_node("Add", ["l", "mask"], ["out"]), ("l", shape), ("mask", shape)
    )

    with pytest.raises(InvalidInputError, match="must have one input and one output"):
        OnnxColorizer(OnnxSpec(path=path))


def test_a_network_that_takes_rgb_is_refused(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "net.onnx", helper.make_node("Identity", ["rgb"], ["out"]), ("rgb", [1, 3, "h", "w"]))

    with pytest.raises(InvalidInputError, match=r"must take L as \(1, 1, h, w\)"):
        OnnxColorizer(OnnxSpec(path=path))


def test_a_network_that_gives_no_ab_is_an_error(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "net.onnx", helper.make_node("Identity", ["l"], ["out"]), ("l", [1, 1, "h", "w"]))

    with pytest.raises(EngineError, match=r"must give finite ab \(1, 2, h, w\), it gave \(1, 1, 32, 32\)"):
        predict_ab(OnnxSpec(path=path), np.full((32, 32), 119, np.uint8))
