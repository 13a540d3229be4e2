"""A model's ONNX graph as a PyTorch module: the dozen operators of which Kinema's networks consist, and no others.

What does not depend on the picture (the exporter computes paddings by eight operators each) is folded away on the
reference implementation that comes with ONNX, so that only convolutions and what lies between them is left.
"""

import operator
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import fx, nn

from kinema_core.errors import EngineError, EngineUnavailableError

Value: TypeAlias = fx.Node | NDArray[Any] | None
"""What is known when the picture is, what is known before, or an input that was left out."""


class Convolution(nn.Conv2d):
    """A convolution that computes in the type of its weights, whatever comes in."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - nn.Conv2d's own name
        """Return the convolution of (B, C, H, W), in the type of the weights."""
        return super().forward(input.to(self.weight.dtype))


def module_from_onnx(onnx_bytes: bytes) -> fx.GraphModule:
    """Return the graph of an ONNX file, of one input and one output, as a module in float32 on the CPU.

    Raises:
        EngineError: it is no ONNX file, or a damaged one, or its weights lie elsewhere.
        EngineUnavailableError: it has an operator, or a form of one, that is not known here.
    """
    try:
        model = onnx.load_model_from_string(onnx_bytes)
        onnx.checker.check_model(model)
        return _Converter(model.graph).convert()
    except EngineError:
        raise
    except Exception as err:  # protobuf's, the checker's, and whatever broken numbers lead to
        raise EngineError(f"the ONNX file cannot be read: {err}") from err


def interface(onnx_bytes: bytes) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Return the inputs and the outputs of an ONNX file: their names, and whether they are float32."""
    graph = onnx.load_model_from_string(onnx_bytes).graph
    is_float = onnx.TensorProto.FLOAT

    def ports(values: Any) -> list[tuple[str, bool]]:
        return [(value.name, value.type.tensor_type.elem_type == is_float) for value in values]

    return ports(graph.input), ports(graph.output)


def convolve_in(module: fx.GraphModule, dtype: torch.dtype) -> None:
    """Let what lies between the first convolution and the last compute in `dtype`; both ends stay float32."""
    convolutions = [part for part in module.modules() if isinstance(part, Convolution)]
    for convolution in convolutions[1:-1]:
        convolution.to(dtype)


class _Converter:
    """Walks an ONNX graph, whose nodes are in the order of computation, and writes that of the module."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._onnx = graph
        self._graph = fx.Graph()
        self._root = nn.Module()
        self._values: dict[str, Value] = {"": None}
        self._num_named = 0

    def convert(self) -> fx.GraphModule:
        for tensor in self._onnx.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                raise EngineError(f"the weights {tensor.name!r} lie in another file; a bundle has them inside")
            self._values[tensor.name] = numpy_helper.to_array(tensor)
        (given,), (wanted,) = self._onnx.input, self._onnx.output
        self._values[given.name] = self._graph.placeholder("picture")
        for node in self._onnx.node:
            inputs = [self._values[name] for name in node.input]
            if not any(isinstance(value, fx.Node) for value in inputs):
                feeds = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
                results: list[Value] = [np.asarray(result) for result in ReferenceEvaluator(node).run(None, feeds)]
            elif node.op_type in _OPERATORS:
                attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
                results = [_OPERATORS[node.op_type](self, inputs, attributes)]
            else:
                raise EngineUnavailableError(
                    f"the model has the operator {node.op_type}, which the torch engine does not know; it knows "
                    f"{', '.join(sorted(_OPERATORS))}. Use another engine"
                )
            self._values.update(zip(node.output, results, strict=True))
        result = self._values[wanted.name]
        if not isinstance(result, fx.Node):
            raise EngineError("the model's output does not depend on its input")
        self._graph.output(result)
        return fx.GraphModule(self._root, self._graph)

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        return self._graph.call_function(function, args, kwargs)

    def convolution(self, inputs: list[Value], attributes: dict[str, Any]) -> fx.Node:
        picture, weight, bias = (*inputs, None)[:3]
        is_known = isinstance(picture, fx.Node) and not isinstance(bias, fx.Node)
        if not is_known or not isinstance(weight, np.ndarray) or weight.ndim != 4:
            raise _unknown("Conv", "weights that depend on the picture, or other than two dimensions")
        if attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
            raise _unknown("Conv", f"auto_pad {attributes['auto_pad']}")
        top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
        padding = (top, left)
        if (top, left) != (bottom, right):
            picture, padding = self.call(F.pad, picture, (left, right, top, bottom)), (0, 0)
        group = attributes.get("group", 1)
        out_channels, channels_of_group, *kernel = weight.shape
        convolution = Convolution(
            channels_of_group * group, out_channels, (kernel[0], kernel[1]), padding=padding, groups=group,
            stride=tuple(attributes.get("strides", (1, 1))), dilation=tuple(attributes.get("dilations", (1, 1))),
            bias=bias is not None,
        )  # fmt: skip
        convolution.weight.data = torch.from_numpy(weight.copy())
        if isinstance(bias, np.ndarray) and convolution.bias is not None:
            convolution.bias.data = torch.from_numpy(bias.copy())
        name = self._next_name("convolution")
        self._root.add_module(name, convolution)
        return self._graph.call_module(name, (self.operand(picture),))

    def operand(self, value: Value) -> "fx.Node | float":
        """Take a number as it is, and an array as a buffer of the module."""
        if isinstance(value, np.ndarray):
            if value.size == 1 and value.ndim == 0:
                return float(value)
            name = self._next_name("constant")
            self._root.register_buffer(name, torch.from_numpy(value.copy()))
            return self._graph.get_attr(name)
        assert value is not None, "the checker lets no operand be left out"
        return value

    def _next_name(self, kind: str) -> str:
        self._num_named += 1
        return f"{kind}_{self._num_named}"


def _unknown(operator_name: str, form: str) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"the model has {operator_name} with {form}, which the torch engine does not know. Use another engine"
    )


def _binary(function: Callable[..., Any]) -> Callable[[_Converter, list[Value], dict[str, Any]], fx.Node]:
    def write(converter: _Converter, inputs: list[Value], _: dict[str, Any]) -> fx.Node:
        return converter.call(function, *(converter.operand(value) for value in inputs))

    return write


def _unary(function: Callable[..., Any]) -> Callable[[_Converter, list[Value], dict[str, Any]], fx.Node]:
    return lambda converter, inputs, _: converter.call(function, inputs[0])


def _clip(converter: _Converter, inputs: list[Value], _: dict[str, Any]) -> fx.Node:
    picture, low, high = (*inputs, None, None)[:3]
    if isinstance(low, fx.Node) or isinstance(high, fx.Node):
        raise _unknown("Clip", "bounds that depend on the picture")
    return converter.call(
        torch.clamp, picture, None if low is None else float(low), None if high is None else float(high)
    )


def _leaky_relu(converter: _Converter, inputs: list[Value], attributes: dict[str, Any]) -> fx.Node:
    return converter.call(F.leaky_relu, inputs[0], attributes.get("alpha", 0.01))


def _concat(converter: _Converter, inputs: list[Value], attributes: dict[str, Any]) -> fx.Node:
    return converter.call(torch.cat, [converter.operand(value) for value in inputs], attributes["axis"])


def _pad(converter: _Converter, inputs: list[Value], attributes: dict[str, Any]) -> fx.Node:
    picture, pads, value = (*inputs, None)[:3]
    if attributes.get("mode", b"constant") != b"constant" or not isinstance(pads, np.ndarray) or len(inputs) > 3:
        raise _unknown("Pad", "another mode than constant, or sizes that depend on the picture")
    begins, ends = np.split(pads, 2)
    from_the_last = [int(side) for pair in zip(begins[::-1], ends[::-1], strict=True) for side in pair]
    return converter.call(F.pad, picture, from_the_last, "constant", 0.0 if value is None else converter.operand(value))


def _resize(converter: _Converter, inputs: list[Value], attributes: dict[str, Any]) -> fx.Node:
    picture, _, scales, sizes = (*inputs, None, None)[:4]
    is_repeating = (
        attributes.get("mode", b"nearest") == b"nearest"
        and attributes.get("coordinate_transformation_mode") == b"asymmetric"
        and attributes.get("nearest_mode") == b"floor"
    )
    if not is_repeating or sizes is not None or not isinstance(scales, np.ndarray) or len(scales) != 4:
        raise _unknown("Resize", "another way than to repeat pixels")
    if scales[0] != 1 or scales[1] != 1 or np.any(scales % 1):
        raise _unknown("Resize", f"factors {scales.tolist()}")
    factors = (float(scales[2]), float(scales[3]))
    return converter.call(F.interpolate, picture, scale_factor=factors, mode="nearest")


_OPERATORS: Final[dict[str, Callable[[_Converter, list[Value], dict[str, Any]], fx.Node]]] = {
    "Add": _binary(operator.add),
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _Converter.convolution,
    "Div": _binary(operator.truediv),
    "LeakyRelu": _leaky_relu,
    "Mul": _binary(operator.mul),
    "Pad": _pad,
    "Relu": _unary(torch.relu),
    "Resize": _resize,
    "Sigmoid": _unary(torch.sigmoid),
    "Sub": _binary(operator.sub),
    "Tanh": _unary(torch.tanh),
}
