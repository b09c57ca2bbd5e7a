"""What each kind of operator does to the place of the batch: one rule per kind.

A rule gives the batch's place in the operator's output, notes what has to change in the graph, or raises
CannotOpenError
where the operator would mix items.
"""

import math
from collections.abc import Callable

import onnx

from mesh.hub.clip_import.batch.view import BatchView, CannotOpenError, Place, Within, attribute, place_after


def _elementwise(view: BatchView, node: onnx.NodeProto) -> Place:
    """Operators with broadcasting: all places must agree, and whoever has no batch must not fill its axis."""
    rank = len(view.shape(node.output[0]))
    found = {view.aligned(name, rank) for name in node.input if name in view.places}
    if len(found) != 1:
        raise CannotOpenError(f"operator {node.op_type} meets two different axes of the batch")
    place = found.pop()
    for name in node.input:
        if name and name not in view.places:
            axis = place.axis - (rank - len(view.shape(name)))
            if axis >= 0 and view.shape(name)[axis] != 1:
                raise CannotOpenError(f"operator {node.op_type} meets a constant as long as the batch's axis")
    return place


def _same(view: BatchView, node: onnx.NodeProto) -> Place:
    """Operators that leave the axes of their first input alone: Conv, Softmax, LayerNormalization, ..."""
    place = view.only(node)
    axis = attribute(node, "axis")
    rank = len(view.shape(node.input[0]))
    touched: set[int] = set() if axis is None else {int(axis) % rank}
    if node.op_type == "LayerNormalization":
        touched = set(range(int(-1 if axis is None else axis) % rank, rank))
    if place.axis in touched:
        raise CannotOpenError(f"operator {node.op_type} works along the batch")
    return place


def _matmul(view: BatchView, node: onnx.NodeProto) -> Place:
    """Batch among the leading axes of either side, or among the rows of the left one."""
    rank = len(view.shape(node.output[0]))
    found: set[Place] = set()
    for position, forbidden in ((0, 1), (1, 2)):
        if (name := node.input[position]) in view.places:
            if view.places[name].axis >= len(view.shape(name)) - forbidden:
                raise CannotOpenError("a matrix product sums over the batch")
            found.add(view.aligned(name, rank))
    if len(found) != 1:
        raise CannotOpenError("a matrix product meets two different axes of the batch")
    return found.pop()


def _gemm(view: BatchView, node: onnx.NodeProto) -> Place:
    """Rows of the left matrix."""
    place = view.only(node)
    if place.axis != 0 or attribute(node, "transA"):
        raise CannotOpenError("a matrix product sums over the batch")
    return place


def _transpose(view: BatchView, node: onnx.NodeProto) -> Place:
    """The axis moves."""
    place = view.only(node)
    order = attribute(node, "perm") or range(len(view.shape(node.input[0])))[::-1]
    return place.moved(list(order).index(place.axis))


def _unsqueeze(view: BatchView, node: onnx.NodeProto) -> Place:
    """New axes may come before it."""
    place = view.only(node)
    rank = len(view.shape(node.output[0]))
    new = {axis % rank for axis in view.integers(node, 1, "axes") or ()}
    return place.moved([axis for axis in range(rank) if axis not in new][place.axis])


def _squeeze(view: BatchView, node: onnx.NodeProto) -> Place:
    """Axes before it may go; it must not."""
    place = view.only(node)
    shape = view.shape(node.input[0])
    given = view.integers(node, 1, "axes")
    gone = {axis % len(shape) for axis in given} if given is not None else {i for i, n in enumerate(shape) if n == 1}
    if place.axis in gone:
        raise CannotOpenError("the batch's axis is squeezed away")
    return place.moved(place.axis - sum(axis < place.axis for axis in gone))


def _reduce(view: BatchView, node: onnx.NodeProto) -> Place:
    """Sums and means over other axes."""
    place = view.only(node)
    rank = len(view.shape(node.input[0]))
    gone = {axis % rank for axis in view.integers(node, 1, "axes") or range(rank)}
    if place.axis in gone:
        raise CannotOpenError(f"operator {node.op_type} works along the batch")
    kept = attribute(node, "keepdims")
    return place if kept is None or kept else place.moved(place.axis - sum(axis < place.axis for axis in gone))


def _gather(view: BatchView, node: onnx.NodeProto) -> Place:
    """Picks along another axis, or looks items' tokens up in a table."""
    axis = int(attribute(node, "axis") or 0) % max(1, len(view.shape(node.input[0])))
    if node.input[1] in view.places:
        place = view.only(node, 1)
        return place.moved(place.axis + axis)
    place = view.only(node)
    if place.axis == axis:
        raise CannotOpenError("items of the batch are picked")
    width = len(view.shape(node.input[1]))
    return place if place.axis < axis else place.moved(place.axis - 1 + width)


def _slice(view: BatchView, node: onnx.NodeProto) -> Place:
    """Cuts along other axes."""
    place = view.only(node)
    axes = view.integers(node, 3, "axes") or list(range(len(view.integers(node, 1, "starts") or ())))
    rank = len(view.shape(node.input[0]))
    if place.axis in {axis % rank for axis in axes}:
        whole = view.shape(node.input[0])[place.axis] == view.shape(node.output[0])[place.axis]
        raise CannotOpenError("the batch's axis is cut" + (", if to its whole length" if whole else ""))
    return place


def _concat(view: BatchView, node: onnx.NodeProto) -> Place:
    """Joins along another axis; what has no batch (the class token) is repeated for each item."""
    rank = len(view.shape(node.output[0]))
    found = {name: view.places[name] for name in node.input if name in view.places}
    like, place = next(iter(found.items()))
    if set(found.values()) != {place} or place.within is not Within.ALONE:
        raise CannotOpenError("a concatenation meets two different axes of the batch")
    if int(attribute(node, "axis") or 0) % rank == place.axis:
        raise CannotOpenError("items of the batch are joined")
    lacking = [position for position, name in enumerate(node.input) if name not in view.places]
    view.expansions[node.output[0]] = [(position, like, place) for position in lacking]
    return place


def _expand(view: BatchView, node: onnx.NodeProto) -> Place:
    """Repeats along other axes."""
    place = view.only(node)
    target = view.integers(node, 1, "shape") or []
    place = place.moved(place.axis + max(0, len(target) - len(view.shape(node.input[0]))))
    offset = len(view.shape(node.output[0])) - len(target)
    if place.axis >= offset and target[place.axis - offset] != 1:
        raise CannotOpenError("the batch's axis is repeated")
    return place


def _reshape(view: BatchView, node: onnx.NodeProto) -> Place:
    """The batch stays between the same elements; -1 goes to the axis that holds it then."""
    place = view.only(node)
    before, after = view.shape(node.input[0]), view.shape(node.output[0])
    elements = math.prod(before[: place.axis])
    if place.within is Within.INNER:
        elements *= before[place.axis]
    result = place_after(after, elements)
    target = list(after)
    target[result.axis] = -1
    view.reshapes[node.output[0]] = target
    return result


_ELEMENTWISE = [
    "Add",
    "And",
    "Cast",
    "Clip",
    "Div",
    "Equal",
    "Erf",
    "Exp",
    "Gelu",
    "Greater",
    "Identity",
    "Less",
    "Max",
]
_ELEMENTWISE += [
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "Pow",
    "Reciprocal",
    "Relu",
    "Sigmoid",
    "Sqrt",
    "Sub",
    "Tanh",
    "Where",
]
_SAME = ["AveragePool", "BatchNormalization", "Conv", "LayerNormalization", "LpNormalization", "Softmax"]
_REDUCING = ["ReduceL2", "ReduceMean", "ReduceSum"]

RULES: dict[str, Callable[[BatchView, onnx.NodeProto], Place]] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(_REDUCING, _reduce),
    "Concat": _concat,
    "Expand": _expand,
    "Gather": _gather,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
