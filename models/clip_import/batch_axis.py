"""Opens the batch axis of a graph that was traced for a batch of one, where the graph allows it.

The place of the batch is followed from the input through every operator. At batch one it is an axis of length 1, or
hidden in an axis that holds it together with something else: attention reshapes (length, 1, width) to (length, heads,
width / heads), and the second axis is really batch x heads. Reshapes then get -1 in the right place. An operator that
is not known here, or one that would mix items, ends the attempt: the model stays at a batch of one.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from models.clip_import.static_shapes import Array, Shape, static_shapes


class CannotOpen(Exception):
    """The graph does not let items be told apart."""


class Within(Enum):
    """How the batch lies in its axis, which is `batch` long, `batch x rest` or `rest x batch`."""

    ALONE = "alone"
    OUTER = "outer"
    INNER = "inner"


@dataclass(frozen=True)
class Place:
    """Where the batch of a tensor is."""

    axis: int
    within: Within = Within.ALONE

    def moved(self, axis: int) -> "Place":
        """The same, at another axis."""
        return Place(axis, self.within)


def open_batch_axis(model: onnx.ModelProto, *, name: str = "batch") -> None:
    """Makes the first axis of the model's only input and only output a free one, called `name`; in place.

    Raises:
        CannotOpen: the graph is left as it was.
    """
    shapes, values = static_shapes(model)
    tracer = _Tracer(model, shapes, values)
    tracer.trace()
    tracer.apply()
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = name
    del model.graph.value_info[:]


class _Tracer:
    """Follows the batch through the graph and notes what has to change."""

    def __init__(self, model: onnx.ModelProto, shapes: Mapping[str, Shape], values: Mapping[str, Array]) -> None:
        self._graph = model.graph
        self._shapes = shapes
        self._values = values
        self._places: dict[str, Place] = {model.graph.input[0].name: Place(0)}
        self._reshapes: dict[str, list[int]] = {}
        self._expansions: dict[str, list[tuple[int, str, Place]]] = {}

    def trace(self) -> None:
        """Raises CannotOpen unless the batch arrives alone at the output's first axis."""
        for node in self._graph.node:
            if node.output[0] in self._values or not any(name in self._places for name in node.input):
                continue
            rule = _RULES.get(node.op_type)
            if rule is None:
                raise CannotOpen(f"operator {node.op_type} is not known")
            place = rule(self, node)
            for output in node.output:
                self._places[output] = place
        if self._places.get(self._graph.output[0].name) != Place(0):
            raise CannotOpen("the output's first axis is not the batch")

    def apply(self) -> None:
        """Changes the graph."""
        changed: list[onnx.NodeProto] = []
        for node in self._graph.node:
            if (shape := self._reshapes.get(node.output[0])) is not None:
                node.input[1] = self._constant(f"{node.output[0]}_shape", shape)
            for position, like, place in self._expansions.get(node.output[0], ()):
                expansion = self._expand(node.input[position], like, place.axis)
                node.input[position] = expansion[-1].output[0]
                changed.extend(expansion)
            changed.append(node)
        del self._graph.node[:]
        self._graph.node.extend(changed)

    def shape(self, name: str) -> Shape:
        """The tensor's shape at batch one."""
        if name not in self._shapes:
            raise CannotOpen(f"the shape of {name} is not fixed")
        return self._shapes[name]

    def integers(self, node: onnx.NodeProto, position: int, attribute: str) -> list[int] | None:
        """A list of integers that is an attribute in older and an input in newer operator sets; None when absent."""
        if (given := _attribute(node, attribute)) is not None:
            return [int(number) for number in given]
        if len(node.input) <= position or not node.input[position]:
            return None
        if node.input[position] not in self._values:
            raise CannotOpen(f"{attribute} of {node.op_type} is computed")
        return [int(number) for number in self._values[node.input[position]].reshape(-1)]

    def only(self, node: onnx.NodeProto, position: int = 0) -> Place:
        """The batch's place in that input, which must be the only one that has it."""
        if [name in self._places for name in node.input].count(True) != 1 or node.input[position] not in self._places:
            raise CannotOpen(f"operator {node.op_type} has the batch in an unexpected input")
        return self._places[node.input[position]]

    # --- rules, one per kind of operator; each gives the place of the batch in the output --------------------------

    def elementwise(self, node: onnx.NodeProto) -> Place:
        """Operators with broadcasting: all places must agree, and whoever has no batch must not fill its axis."""
        rank = len(self.shape(node.output[0]))
        found = {self._aligned(name, rank) for name in node.input if name in self._places}
        if len(found) != 1:
            raise CannotOpen(f"operator {node.op_type} meets two different axes of the batch")
        place = found.pop()
        for name in node.input:
            if name and name not in self._places:
                axis = place.axis - (rank - len(self.shape(name)))
                if axis >= 0 and self.shape(name)[axis] != 1:
                    raise CannotOpen(f"operator {node.op_type} meets a constant as long as the batch's axis")
        return place

    def same(self, node: onnx.NodeProto) -> Place:
        """Operators that leave the axes of their first input alone: Conv, Softmax, LayerNormalization, ..."""
        place = self.only(node)
        axis = _attribute(node, "axis")
        rank = len(self.shape(node.input[0]))
        touched: set[int] = set() if axis is None else {int(axis) % rank}
        if node.op_type == "LayerNormalization":
            touched = set(range(int(-1 if axis is None else axis) % rank, rank))
        if place.axis in touched:
            raise CannotOpen(f"operator {node.op_type} works along the batch")
        return place

    def matmul(self, node: onnx.NodeProto) -> Place:
        """Batch among the leading axes of either side, or among the rows of the left one."""
        rank = len(self.shape(node.output[0]))
        found: set[Place] = set()
        for position, forbidden in ((0, 1), (1, 2)):
            if (name := node.input[position]) in self._places:
                if self._places[name].axis >= len(self.shape(name)) - forbidden:
                    raise CannotOpen("a matrix product sums over the batch")
                found.add(self._aligned(name, rank))
        if len(found) != 1:
            raise CannotOpen("a matrix product meets two different axes of the batch")
        return found.pop()

    def gemm(self, node: onnx.NodeProto) -> Place:
        """Rows of the left matrix."""
        place = self.only(node)
        if place.axis != 0 or _attribute(node, "transA"):
            raise CannotOpen("a matrix product sums over the batch")
        return place

    def transpose(self, node: onnx.NodeProto) -> Place:
        """The axis moves."""
        place = self.only(node)
        order = _attribute(node, "perm") or range(len(self.shape(node.input[0])))[::-1]
        return place.moved(list(order).index(place.axis))

    def unsqueeze(self, node: onnx.NodeProto) -> Place:
        """New axes may come before it."""
        place = self.only(node)
        rank = len(self.shape(node.output[0]))
        new = {axis % rank for axis in self.integers(node, 1, "axes") or ()}
        return place.moved([axis for axis in range(rank) if axis not in new][place.axis])

    def squeeze(self, node: onnx.NodeProto) -> Place:
        """Axes before it may go; it must not."""
        place = self.only(node)
        shape = self.shape(node.input[0])
        given = self.integers(node, 1, "axes")
        gone = (
            {axis % len(shape) for axis in given} if given is not None else {i for i, n in enumerate(shape) if n == 1}
        )
        if place.axis in gone:
            raise CannotOpen("the batch's axis is squeezed away")
        return place.moved(place.axis - sum(axis < place.axis for axis in gone))

    def reduce(self, node: onnx.NodeProto) -> Place:
        """Sums and means over other axes."""
        place = self.only(node)
        rank = len(self.shape(node.input[0]))
        gone = {axis % rank for axis in self.integers(node, 1, "axes") or range(rank)}
        if place.axis in gone:
            raise CannotOpen(f"operator {node.op_type} works along the batch")
        kept = _attribute(node, "keepdims")
        return place if kept is None or kept else place.moved(place.axis - sum(axis < place.axis for axis in gone))

    def gather(self, node: onnx.NodeProto) -> Place:
        """Picks along another axis, or looks items' tokens up in a table."""
        axis = int(_attribute(node, "axis") or 0) % max(1, len(self.shape(node.input[0])))
        if node.input[1] in self._places:
            place = self.only(node, 1)
            return place.moved(place.axis + axis)
        place = self.only(node)
        if place.axis == axis:
            raise CannotOpen("items of the batch are picked")
        width = len(self.shape(node.input[1]))
        return place if place.axis < axis else place.moved(place.axis - 1 + width)

    def slice(self, node: onnx.NodeProto) -> Place:
        """Cuts along other axes."""
        place = self.only(node)
        axes = self.integers(node, 3, "axes") or list(range(len(self.integers(node, 1, "starts") or ())))
        rank = len(self.shape(node.input[0]))
        if place.axis in {axis % rank for axis in axes}:
            whole = self.shape(node.input[0])[place.axis] == self.shape(node.output[0])[place.axis]
            raise CannotOpen("the batch's axis is cut" + (", if to its whole length" if whole else ""))
        return place

    def concat(self, node: onnx.NodeProto) -> Place:
        """Joins along another axis; what has no batch (the class token) is repeated for each item."""
        rank = len(self.shape(node.output[0]))
        found = {name: self._places[name] for name in node.input if name in self._places}
        like, place = next(iter(found.items()))
        if set(found.values()) != {place} or place.within is not Within.ALONE:
            raise CannotOpen("a concatenation meets two different axes of the batch")
        if int(_attribute(node, "axis") or 0) % rank == place.axis:
            raise CannotOpen("items of the batch are joined")
        lacking = [position for position, name in enumerate(node.input) if name not in self._places]
        self._expansions[node.output[0]] = [(position, like, place) for position in lacking]
        return place

    def expand(self, node: onnx.NodeProto) -> Place:
        """Repeats along other axes."""
        place = self.only(node)
        target = self.integers(node, 1, "shape") or []
        place = place.moved(place.axis + max(0, len(target) - len(self.shape(node.input[0]))))
        offset = len(self.shape(node.output[0])) - len(target)
        if place.axis >= offset and target[place.axis - offset] != 1:
            raise CannotOpen("the batch's axis is repeated")
        return place

    def reshape(self, node: onnx.NodeProto) -> Place:
        """The batch stays between the same elements; -1 goes to the axis that holds it then."""
        place = self.only(node)
        before, after = self.shape(node.input[0]), self.shape(node.output[0])
        elements = math.prod(before[: place.axis])
        if place.within is Within.INNER:
            elements *= before[place.axis]
        result = _place_after(after, elements)
        target = list(after)
        target[result.axis] = -1
        self._reshapes[node.output[0]] = target
        return result

    # --- helpers ---------------------------------------------------------------------------------------------------

    def _aligned(self, name: str, rank: int) -> Place:
        place = self._places[name]
        return place.moved(place.axis + rank - len(self.shape(name)))

    def _constant(self, name: str, numbers: list[int]) -> str:
        self._graph.initializer.append(numpy_helper.from_array(np.array(numbers, np.int64), name))
        return name

    def _expand(self, name: str, like: str, axis: int) -> list[onnx.NodeProto]:
        """Nodes that repeat `name` along `axis` as often as `like` is long there."""
        stem = f"{name}_for_{like}"
        rank = len(self.shape(name))
        pick = self._constant(f"{stem}_axis", [axis])
        pieces = [self._constant(f"{stem}_before", [1] * axis), f"{stem}_batch"]
        pieces.append(self._constant(f"{stem}_after", [1] * (rank - axis - 1)))
        return [
            helper.make_node("Shape", [like], [f"{stem}_shape"]),
            helper.make_node("Gather", [f"{stem}_shape", pick], [f"{stem}_batch"], axis=0),
            helper.make_node("Concat", pieces, [f"{stem}_target"], axis=0),
            helper.make_node("Expand", [name, f"{stem}_target"], [f"{stem}_expanded"]),
        ]


def _place_after(shape: Shape, elements: int) -> Place:
    """Where the batch is in a tensor of this shape (at batch one) that has `elements` elements before it."""
    boundary = [axis for axis in range(len(shape)) if math.prod(shape[:axis]) == elements]
    if not boundary:
        raise CannotOpen("a reshape puts the batch into the middle of an axis")
    for axis in boundary:
        if shape[axis] == 1:
            return Place(axis)
    axis = boundary[-1]
    # Both neighbours could hold it. Features, on the last axis, never do; elsewhere it goes with what was split off.
    return Place(axis - 1, Within.INNER) if axis == len(shape) - 1 and axis > 0 else Place(axis, Within.OUTER)


def _attribute(node: onnx.NodeProto, name: str) -> Any:
    found = [attribute for attribute in node.attribute if attribute.name == name]
    return helper.get_attribute_value(found[0]) if found else None


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

_RULES: dict[str, Callable[[_Tracer, onnx.NodeProto], Place]] = {
    **dict.fromkeys(_ELEMENTWISE, _Tracer.elementwise),
    **dict.fromkeys(_SAME, _Tracer.same),
    **dict.fromkeys(_REDUCING, _Tracer.reduce),
    "Concat": _Tracer.concat,
    "Expand": _Tracer.expand,
    "Gather": _Tracer.gather,
    "Gemm": _Tracer.gemm,
    "MatMul": _Tracer.matmul,
    "Reshape": _Tracer.reshape,
    "Slice": _Tracer.slice,
    "Squeeze": _Tracer.squeeze,
    "Transpose": _Tracer.transpose,
    "Unsqueeze": _Tracer.unsqueeze,
}
