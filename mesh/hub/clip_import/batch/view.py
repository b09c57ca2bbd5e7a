"""Where the batch of every tensor is: what the rules of `mesh.hub.clip_import.batch.rules` read and write."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import onnx
from onnx import helper

from mesh.hub.clip_import.batch.static_shapes import Array, Shape


class CannotOpenError(Exception):
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


class BatchView:
    """A graph traced for a batch of one, as the rules see it.

    Attributes:
        places: tensor -> where its batch is; tensors that do not depend on the input are not in it.
        reshapes: output of a Reshape -> the shape it must get.
        expansions: output of a Concat -> its inputs (by position) to be repeated along the batch of another tensor.
    """

    def __init__(self, given: str, shapes: Mapping[str, Shape], values: Mapping[str, Array]) -> None:
        self.shapes = shapes
        self.values = values
        self.places: dict[str, Place] = {given: Place(0)}
        self.reshapes: dict[str, list[int]] = {}
        self.expansions: dict[str, list[tuple[int, str, Place]]] = {}

    def shape(self, name: str) -> Shape:
        """The tensor's shape at batch one."""
        if name not in self.shapes:
            raise CannotOpenError(f"the shape of {name} is not fixed")
        return self.shapes[name]

    def integers(self, node: onnx.NodeProto, position: int, name: str) -> list[int] | None:
        """A list of integers that is an attribute in older and an input in newer operator sets; None when absent."""
        if (given := attribute(node, name)) is not None:
            return [int(number) for number in given]
        if len(node.input) <= position or not node.input[position]:
            return None
        if node.input[position] not in self.values:
            raise CannotOpenError(f"{name} of {node.op_type} is computed")
        return [int(number) for number in self.values[node.input[position]].reshape(-1)]

    def only(self, node: onnx.NodeProto, position: int = 0) -> Place:
        """The batch's place in that input, which must be the only one that has it."""
        if [name in self.places for name in node.input].count(True) != 1 or node.input[position] not in self.places:
            raise CannotOpenError(f"operator {node.op_type} has the batch in an unexpected input")
        return self.places[node.input[position]]

    def aligned(self, name: str, rank: int) -> Place:
        """The batch's place in a tensor, counted in one of `rank` axes that it is broadcast to."""
        place = self.places[name]
        return place.moved(place.axis + rank - len(self.shape(name)))


def place_after(shape: Shape, elements: int) -> Place:
    """Where the batch is in a tensor of this shape (at batch one) that has `elements` elements before it."""
    boundary = [axis for axis in range(len(shape)) if math.prod(shape[:axis]) == elements]
    if not boundary:
        raise CannotOpenError("a reshape puts the batch into the middle of an axis")
    for axis in boundary:
        if shape[axis] == 1:
            return Place(axis)
    axis = boundary[-1]
    # Both neighbours could hold it. Features, on the last axis, never do; elsewhere it goes with what was split off.
    return Place(axis - 1, Within.INNER) if axis == len(shape) - 1 and axis > 0 else Place(axis, Within.OUTER)


def attribute(node: onnx.NodeProto, name: str) -> Any:
    """An operator's attribute, or None when it has none of that name."""
    found = [one for one in node.attribute if one.name == name]
    return helper.get_attribute_value(found[0]) if found else None
