"""Opens the batch axis of a graph that was traced for a batch of one, where the graph allows it.

The place of the batch is followed from the input through every operator. At batch one it is an axis of length 1, or
hidden in an axis that holds it together with something else: attention reshapes (length, 1, width) to (length, heads,
width / heads), and the second axis is really batch x heads. Reshapes then get -1 in the right place. An operator that
is not known here, or one that would mix items, ends the attempt: the model stays at a batch of one.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from mesh.hub.clip_import.batch.rules import RULES
from mesh.hub.clip_import.batch.static_shapes import static_shapes
from mesh.hub.clip_import.batch.view import BatchView, CannotOpenError, Place


def open_batch_axis(model: onnx.ModelProto, *, name: str = "batch") -> None:
    """Makes the first axis of the model's only input and only output a free one, called `name`; in place.

    Raises:
        CannotOpenError: the graph is left as it was.
    """
    view = BatchView(model.graph.input[0].name, *static_shapes(model))
    _trace(model.graph, view)
    _change(model.graph, view)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = name
    del model.graph.value_info[:]


def _trace(graph: onnx.GraphProto, view: BatchView) -> None:
    """Raises CannotOpenError unless the batch arrives alone at the output's first axis."""
    for node in graph.node:
        if node.output[0] in view.values or not any(name in view.places for name in node.input):
            continue
        rule = RULES.get(node.op_type)
        if rule is None:
            raise CannotOpenError(f"operator {node.op_type} is not known")
        place = rule(view, node)
        view.places.update(dict.fromkeys(node.output, place))
    if view.places.get(graph.output[0].name) != Place(0):
        raise CannotOpenError("the output's first axis is not the batch")


def _change(graph: onnx.GraphProto, view: BatchView) -> None:
    """Gives reshapes their new shapes, and concatenations what is as long as the batch."""
    changed: list[onnx.NodeProto] = []
    for node in graph.node:
        if (shape := view.reshapes.get(node.output[0])) is not None:
            node.input[1] = _constant(graph, f"{node.output[0]}_shape", shape)
        for position, like, place in view.expansions.get(node.output[0], ()):
            rank = len(view.shape(node.input[position]))
            expansion = _expand(graph, node.input[position], rank, like, place.axis)
            node.input[position] = expansion[-1].output[0]
            changed.extend(expansion)
        changed.append(node)
    del graph.node[:]
    graph.node.extend(changed)


def _expand(graph: onnx.GraphProto, name: str, rank: int, like: str, axis: int) -> list[onnx.NodeProto]:
    """Nodes that repeat `name` along `axis` as often as `like` is long there."""
    stem = f"{name}_for_{like}"
    pick = _constant(graph, f"{stem}_axis", [axis])
    before = _constant(graph, f"{stem}_before", [1] * axis)
    after = _constant(graph, f"{stem}_after", [1] * (rank - axis - 1))
    return [
        helper.make_node("Shape", [like], [f"{stem}_shape"]),
        helper.make_node("Gather", [f"{stem}_shape", pick], [f"{stem}_batch"], axis=0),
        helper.make_node("Concat", [before, f"{stem}_batch", after], [f"{stem}_target"], axis=0),
        helper.make_node("Expand", [name, f"{stem}_target"], [f"{stem}_expanded"]),
    ]


def _constant(graph: onnx.GraphProto, name: str, numbers: list[int]) -> str:
    graph.initializer.append(numpy_helper.from_array(np.array(numbers, np.int64), name))
    return name
