"""The static skeleton of a graph: the shape of every tensor, and the values of those that only compute shapes.

Graphs traced for one batch size are full of small integer arithmetic (`Shape`, `Slice`, `Concat` ...) that always gives
the same numbers. Here it is carried out, so that `mesh.hub.clip_import.batch.axis` sees plain numbers.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

Array = npt.NDArray[np.generic]
Shape = tuple[int, ...]

_LARGEST_VALUE = 1024
"""More elements than a shape computation ever has; larger tensors are weights and are not looked into."""

# fmt: off
_FOLDED = {
    "Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand", "Gather", "Identity", "Mod",
    "Mul", "Range", "Reshape", "Slice", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where",
}
# fmt: on


def static_shapes(model: onnx.ModelProto) -> tuple[dict[str, Shape], dict[str, Array]]:
    """Shapes of all tensors whose shape is fixed, and values of the small ones that do not depend on the input.

    Inputs must have fixed shapes. The model's weights are neither copied nor changed.
    """
    skeleton = _without_weights(model)
    values = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if math.prod(tensor.dims) <= _LARGEST_VALUE
    }
    while True:
        shapes = _infer(skeleton)
        shapes.update({name: value.shape for name, value in values.items()})
        if not _fold(skeleton, shapes, values):
            return shapes, values


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its weights as mere inputs; small constants stay."""
    graph = model.graph
    large = [tensor for tensor in graph.initializer if math.prod(tensor.dims) > _LARGEST_VALUE]
    small = [tensor for tensor in graph.initializer if math.prod(tensor.dims) <= _LARGEST_VALUE]
    weights = [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in large]
    names = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in names]
    outputs = [helper.make_tensor_value_info(v.name, v.type.tensor_type.elem_type, None) for v in graph.output]
    bare = helper.make_graph([], graph.name, [*inputs, *weights], outputs, small)
    for node in graph.node:
        bare.node.add().CopyFrom(node)
    return helper.make_model(bare, opset_imports=list(model.opset_import), ir_version=model.ir_version)


def _infer(skeleton: onnx.ModelProto) -> dict[str, Shape]:
    inferred = shape_inference.infer_shapes(skeleton, data_prop=True).graph
    shapes: dict[str, Shape] = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
    return shapes


def _fold(skeleton: onnx.ModelProto, shapes: Mapping[str, Shape], values: dict[str, Array]) -> bool:
    """Carries out what can be, once through the graph; whether that was anything new."""
    remaining: list[onnx.NodeProto] = []
    for node in skeleton.graph.node:
        result = _value_of(node, shapes, values, skeleton.opset_import)
        if result is None:
            remaining.append(node)
            continue
        values[node.output[0]] = result
        skeleton.graph.initializer.append(numpy_helper.from_array(result, node.output[0]))
    progress = len(remaining) < len(skeleton.graph.node)
    del skeleton.graph.node[:]
    skeleton.graph.node.extend(remaining)
    return progress


def _value_of(
    node: onnx.NodeProto,
    shapes: Mapping[str, Shape],
    values: Mapping[str, Array],
    opsets: Sequence[onnx.OperatorSetIdProto],
) -> Array | None:
    if node.op_type == "Shape" and not node.attribute:
        shape = shapes.get(node.input[0])
        return None if shape is None else np.array(shape, np.int64)
    known = all(name in values for name in node.input if name)
    if not known or len(node.output) != 1 or node.op_type not in _FOLDED:
        return None
    size = math.prod(shapes.get(node.output[0], ()))
    if size > _LARGEST_VALUE:
        return None
    feeds = {name: values[name] for name in node.input if name}
    (result,) = ReferenceEvaluator(_single(node, feeds, opsets)).run(None, feeds)
    value: Array = np.asarray(result)
    return value if value.size <= _LARGEST_VALUE else None


def _single(
    node: onnx.NodeProto, feeds: Mapping[str, Array], opsets: Sequence[onnx.OperatorSetIdProto]
) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), list(value.shape))
        for name, value in feeds.items()
    ]
    output = onnx.ValueInfoProto(name=node.output[0])
    return helper.make_model(helper.make_graph([node], "one", inputs, [output]), opset_imports=list(opsets))
