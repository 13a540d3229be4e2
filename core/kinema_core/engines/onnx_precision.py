"""The bundle's model in another precision, for runtimes that take the precision from the types in the ONNX file.

Only what lies between the first convolutions and the last is computed in 16 bits. What a picture is read with and what
ab are written with stay float32, and so do norms: they are a small part of the work, and where 16 bits show.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kinema_core.bundle import Bundle
from kinema_core.engines.engine import Precision, model_file
from kinema_core.errors import EngineError, EngineUnavailableError

if TYPE_CHECKING:
    import onnx

_CONVOLUTIONS: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_KEPT_IN_F32: Final = frozenset({
    "BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization", "LpNormalization",
    "ReduceMean", "Softmax", "Cast", "QuantizeLinear", "DequantizeLinear",
})  # fmt: skip
_FIRST_INPUT_ALONE: Final = frozenset({"Resize"})
"""Its scales are float32 whatever it scales."""


def onnx_in(bundle: Bundle, precision: Precision) -> tuple[str, bytes]:
    """Return the name of the bundle's ONNX file for `precision`, and its content with types that say so.

    Int8 has its activations quantized symmetrically there, which GPUs need and the bundle's own form does not have.

    Raises:
        EngineUnavailableError: the package `onnx` is missing, or the bundle has no int8 form.
        EngineError: the file cannot be read.
    """
    file_name, content = model_file(bundle, precision)
    if precision == "f32":
        return file_name, content
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as err:
        raise EngineUnavailableError(
            f"precision {precision} on a GPU needs the package onnx ({err}); install it with `pip install onnx`, or "
            "use precision f32"
        ) from err
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as err:
        raise EngineError(f"{file_name} of model {bundle.manifest.name!r} cannot be read: {err}") from err
    if precision == "int8":
        make_symmetric(model)
    else:
        cast_between_convolutions(model, precision)
    return file_name, model.SerializeToString()


def cast_between_convolutions(model: "onnx.ModelProto", precision: Precision) -> None:
    """Give every float32 value between two convolutions the type of `precision`, "f16" or "bf16", in place."""
    from onnx import TensorProto

    low = {"f16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}[precision]
    between = _between_convolutions(model.graph.node)
    caster = _Caster(model, low, {name for node in between for name in node.output})
    chosen = {id(node) for node in between}
    for node in list(model.graph.node):
        caster.add(node, is_low=id(node) in chosen)
    del model.graph.node[:]
    model.graph.node.extend(caster.nodes)
    _drop_what_is_not_used(model)


def make_symmetric(model: "onnx.ModelProto") -> None:
    """Quantize every activation to -127..127 around zero, in place; the range stays, its steps grow up to twofold."""
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    done = set()
    for node in model.graph.node:
        if node.op_type not in {"QuantizeLinear", "DequantizeLinear"} or len(node.input) < 3:
            continue
        scale_name, zero_name = node.input[1], node.input[2]
        zero = numpy_helper.to_array(tensors[zero_name])
        if zero.dtype != np.uint8:
            continue
        if scale_name not in done:
            reach = np.maximum(zero.astype(np.float32), 255 - zero.astype(np.float32)) / 127
            scale = (numpy_helper.to_array(tensors[scale_name]) * reach).astype(np.float32)
            tensors[scale_name].CopyFrom(numpy_helper.from_array(scale, scale_name))
            done.add(scale_name)
        symmetric = f"{zero_name}/int8"
        if symmetric not in tensors:
            tensor = numpy_helper.from_array(np.zeros(zero.shape, np.int8), symmetric)
            tensors[symmetric] = tensor
            model.graph.initializer.append(tensor)
        node.input[2] = symmetric
    _drop_what_is_not_used(model)


def _drop_what_is_not_used(model: "onnx.ModelProto") -> None:
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes = [node for node in model.graph.node if node.op_type != "Constant" or node.output[0] in used]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.graph.value_info[:]  # they tell the old types


def _between_convolutions(nodes: Iterable["onnx.NodeProto"]) -> list["onnx.NodeProto"]:
    """List the nodes that a convolution feeds and that feed another, less what is kept in float32."""
    nodes = list(nodes)  # in an order in which values are made before they are used, as ONNX demands
    fed: set[str] = set()
    for node in nodes:
        if node.op_type in _CONVOLUTIONS or fed.intersection(node.input):
            fed.update(node.output)
    feeding: set[str] = set()
    for node in reversed(nodes):
        if node.op_type in _CONVOLUTIONS or feeding.intersection(node.output):
            feeding.update(node.input)
    return [
        node for node in nodes
        if fed.intersection(node.input) and feeding.intersection(node.output) and node.op_type not in _KEPT_IN_F32
    ]  # fmt: skip


class _Caster:
    """Rebuilds a graph node by node and puts a Cast wherever a value is wanted in another type."""

    def __init__(self, model: "onnx.ModelProto", low: int, low_values: set[str]) -> None:
        import onnx

        self.nodes: list[onnx.NodeProto] = []
        self._graph = model.graph
        self._low = low
        self._low_values = low_values
        self._made: set[str] = set()
        self._constants: dict[str, Any] = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self._constants[node.output[0]] = node.attribute[0].t
        types = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        values = [*types.input, *types.output, *types.value_info]
        is_float = onnx.TensorProto.FLOAT
        self._float_values = {v.name for v in values if v.type.tensor_type.elem_type == is_float}
        self._float_values |= {name for name, tensor in self._constants.items() if tensor.data_type == is_float}

    def add(self, node: "onnx.NodeProto", *, is_low: bool) -> None:
        """Append `node`, its inputs in the type it needs."""
        for index, name in enumerate(node.input):
            if name not in self._float_values or (index and node.op_type in _FIRST_INPUT_ALONE):
                continue
            node.input[index] = self._in_low(name) if is_low else self._in_f32(name)
        self.nodes.append(node)

    def _in_low(self, name: str) -> str:
        if name in self._low_values:
            return name
        constant = self._constants.get(name)
        return self._cast(name, self._low) if constant is None else self._low_constant(name, constant)

    def _in_f32(self, name: str) -> str:
        from onnx import TensorProto

        return self._cast(name, TensorProto.FLOAT) if name in self._low_values else name

    def _cast(self, name: str, to: int) -> str:
        from onnx import helper

        cast = f"{name}/cast"  # a value is made in one type and cast to the other alone
        if cast not in self._made:
            self.nodes.append(helper.make_node("Cast", [name], [cast], name=cast, to=to))
            self._made.add(cast)
        return cast

    def _low_constant(self, name: str, constant: Any) -> str:
        from onnx import helper, numpy_helper

        low = f"{name}/low"
        if low not in self._made:
            values = numpy_helper.to_array(constant).astype(helper.tensor_dtype_to_np_dtype(self._low))
            self._graph.initializer.append(numpy_helper.from_array(values, low))
            self._made.add(low)
        return low
