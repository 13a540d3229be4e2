"""The torch engine reads the ONNX graph of a bundle and gives the colours of ONNX Runtime."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kinema_core.bundle import Bundle, load_bundle
from kinema_core.engines import torch as torch_engine
from kinema_core.engines.cuda_driver import Gpu
from kinema_core.engines.engine import Precision
from kinema_core.engines.onnx_to_torch import module_from_onnx
from kinema_core.engines.onnxruntime import open_onnxruntime
from kinema_core.engines.torch import TorchEngine, open_torch, open_torch_cuda
from kinema_core.errors import EngineError, EngineUnavailableError
from tests.core.tiny_models import quantized_onnx, tiny_bundle

F32 = NDArray[np.float32]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle()


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> Iterator[TorchEngine]:
    opened = open_torch(bundle)
    yield opened
    opened.close()


def random_lightness(*shape: int) -> F32:
    return np.random.default_rng(3).uniform(0, 100, shape).astype(np.float32)


def onnx_of(nodes: list[onnx.NodeProto], **constants: NDArray[Any]) -> bytes:
    """Return the file of a graph from `x` (B, 2, h, w) to `y`."""
    graph = helper.make_graph(
        nodes,
        "operators",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, "height", "width"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def node(kind: str, *inputs: str, output: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs), [output], **attributes)


WEIGHT = np.random.default_rng(1).normal(size=(4, 1, 3, 5)).astype(np.float32)
REPEAT = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("Conv", "x", "w", "b", group=2, pads=[1, 2, 1, 2])], {"w": WEIGHT, "b": np.ones(4, np.float32)}),
        ([node("Conv", "x", "w", group=2, pads=[0, 2, 2, 1], strides=[2, 1], dilations=[1, 2])], {"w": WEIGHT}),
        ([node("Pad", "x", "p", "v")], {"p": np.array([0, 0, 1, 2, 0, 0, 3, 4]), "v": np.float32(0.5)}),
        ([node("Resize", "x", "", "s", **REPEAT)], {"s": np.array([1, 1, 2, 3], np.float32)}),
        ([node("Clip", "x", "low", "high")], {"low": np.float32(-0.5), "high": np.float32(0.25)}),
        ([node("Clip", "x", "", "high")], {"high": np.float32(0.25)}),
        ([node("Concat", "x", "x", axis=1)], {}),
        ([node("Sub", "c", "x")], {"c": np.array([1, -2], np.float32).reshape(1, 2, 1, 1)}),
        ([node("Div", "x", "c", output="z"), node("Mul", "z", "x")], {"c": np.float32(50)}),
        ([node("LeakyRelu", "x", output="z", alpha=0.2), node("Sigmoid", "z", output="q"), node("Tanh", "q")], {}),
        (
            [node("Add", "c", "c", output="z"), node("Add", "x", "z", output="q"), node("Relu", "q")],
            {"c": np.float32(1)},
        ),
    ],
    ids=[
        "Conv",
        "Conv, uneven",
        "Pad",
        "Resize",
        "Clip",
        "Clip above",
        "Concat",
        "Sub",
        "Div, Mul",
        "curves",
        "folded",
    ],
)
def test_an_operator_gives_what_its_reference_gives(
    nodes: list[onnx.NodeProto], constants: dict[str, NDArray[Any]]
) -> None:
    onnx_bytes = onnx_of(nodes, **constants)
    x = np.random.default_rng(2).normal(size=(2, 2, 12, 10)).astype(np.float32)

    y = module_from_onnx(onnx_bytes)(torch.from_numpy(x)).detach().numpy()

    expected: Any
    (expected,) = onnx.reference.ReferenceEvaluator(onnx.load_model_from_string(onnx_bytes)).run(None, {"x": x})
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5)  # sums of at most 15 products around 1, in float32


@pytest.mark.parametrize(
    ("nodes", "constants", "named"),
    [
        ([node("Softmax", "x")], {}, "Softmax"),
        ([node("Resize", "x", "", "s", mode="linear")], {"s": np.array([1, 1, 2, 2], np.float32)}, "Resize"),
        ([node("Resize", "x", "", "s", **REPEAT)], {"s": np.array([1, 1, 1.5, 2], np.float32)}, "Resize"),
        ([node("Pad", "x", "p", mode="reflect")], {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, "Pad"),
        ([node("Conv", "x", "x")], {}, "Conv"),
        ([node("Conv", "x", "w", group=2, auto_pad="SAME_UPPER")], {"w": WEIGHT}, "Conv"),
    ],
)
def test_what_it_does_not_know_is_named_and_another_engine_may_run_it(
    nodes: list[onnx.NodeProto], constants: dict[str, NDArray[Any]], named: str
) -> None:
    with pytest.raises(EngineUnavailableError, match=f"{named}.*another engine"):
        module_from_onnx(onnx_of(nodes, **constants))


def test_weights_in_another_file_are_not_looked_for() -> None:
    model = onnx.load_model_from_string(onnx_of([node("Conv", "x", "w", group=2)], w=WEIGHT))
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret")

    with pytest.raises(EngineError, match=r"secret|another file"):
        module_from_onnx(model.SerializeToString())


def test_a_graph_that_ignores_the_picture_is_refused() -> None:
    with pytest.raises(EngineError, match="does not depend"):
        module_from_onnx(onnx_of([node("Add", "c", "c")], c=np.array(1, np.float32)))


def test_bf16_is_near_onnx_runtime_and_not_f32(bundle: Bundle, engine: TorchEngine) -> None:
    lightness = random_lightness(1, 1, 64, 96)

    ab = open_torch(bundle, precision="bf16").infer(lightness)

    difference = np.abs(ab - open_onnxruntime(bundle).infer(lightness))
    # 8 bits of mantissa in each of some sixty layers: ab of up to 30 here, of which a hundredth is 0.3.
    assert 1e-3 < difference.max() < 1.0
    assert np.abs(engine.infer(lightness) - ab).max() > 1e-3


def test_on_the_cpu_the_threads_of_the_process_are_left_as_they_were(engine: TorchEngine) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        engine.infer(random_lightness(2, 1, 32, 32))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_tensor_gets_the_colours_that_an_array_gets(engine: TorchEngine) -> None:
    lightness = random_lightness(2, 1, 64, 96)

    ab = engine.infer_on_device(torch.from_numpy(lightness))

    np.testing.assert_array_equal(ab.numpy(), engine.infer(lightness))
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer_on_device(torch.from_numpy(lightness))


def test_where_company_changes_the_bits_each_picture_runs_alone_as_array_and_as_tensor(bundle: Bundle) -> None:
    sizes: list[int] = []

    def run(lightness: torch.Tensor) -> torch.Tensor:
        sizes.append(len(lightness))
        return torch.ones(len(lightness), 2, 16, 16)

    engine = TorchEngine(bundle, run, device="cuda", precision="f32")
    engine.infer(random_lightness(3, 1, 32, 32))
    engine.run_one_by_one()
    engine.infer(random_lightness(3, 1, 32, 32))
    engine.infer_on_device(torch.from_numpy(random_lightness(2, 1, 32, 32)))

    assert sizes == [2, 1, 1, 1, 1, 1, 1]


def test_the_network_that_ships_may_lie_channels_last_and_is_compiled_in_one_piece(bundle: Bundle) -> None:
    module = module_from_onnx(bundle.onnx).eval()
    lightness = torch.from_numpy(random_lightness(2, 1, 64, 96))
    with torch.inference_mode():
        expected = module(lightness)
        last: Any = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stubs lack it

        # The tracer alone, for kernels are a GPU's business; it refuses what would break the network into pieces.
        run: Any = torch.compile(last, backend="eager", fullgraph=True)
        compiled = run(lightness)

        torch.testing.assert_close(last(lightness), expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(compiled, expected, rtol=0, atol=1e-3)


def test_int8_is_left_to_others(tmp_path: Path) -> None:
    both = tiny_bundle(tmp_path / "both", int8_onnx=quantized_onnx())

    with pytest.raises(EngineUnavailableError, match="not in int8"):
        open_torch(both, precision="int8")


def test_a_torch_without_cuda_says_so(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu("a GPU", (9, 0), 1 << 36, (13, 0))
    monkeypatch.setattr(torch_engine, "find_gpu", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(EngineUnavailableError, match="does not get CUDA to work on a GPU"):
        open_torch_cuda(bundle)


def test_who_colours_by_another_engine_never_loads_torch(tmp_path: Path) -> None:
    path = tiny_bundle(tmp_path / "tiny").path
    program = (
        "import sys\n"
        "import kinema_core.pipeline\n"
        "from kinema_core.bundle import load_bundle\n"
        "from kinema_core.engines.select import open_engine\n"
        "from kinema_core.frame_way import HOST, way_for\n"
        f"assert way_for(open_engine(load_bundle({str(path)!r}), 'openvino').engine) is HOST\n"
        "assert not {'torch', 'onnx', 'kinema_core.device'} & set(sys.modules)\n"
    )

    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, check=True, timeout=120)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["f32", "f16"])
@pytest.mark.parametrize("with_graphs", [False, True])
def test_on_a_gpu_the_colours_are_those_of_the_cpu(bundle: Bundle, precision: Precision, with_graphs: bool) -> None:
    lightness = random_lightness(2, 1, 64, 96)
    expected = open_onnxruntime(bundle).infer(lightness)

    opened = open_torch_cuda(bundle, precision=precision, with_graphs=with_graphs)

    for _ in range(2):  # captured, and replayed
        np.testing.assert_allclose(opened.infer(lightness), expected, rtol=0, atol=1e-3 if precision == "f32" else 0.5)
    opened.close()
