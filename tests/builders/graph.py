"""Writes ONNX graphs by hand, one operator per call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Dimension = int | str | None
"""A fixed length, a named free one, or a nameless free one."""

FLOAT = TensorProto.FLOAT
FLOAT16 = TensorProto.FLOAT16
UINT8 = TensorProto.UINT8
INT32 = TensorProto.INT32
INT64 = TensorProto.INT64


class Graph:
    """A graph under construction. Every method that adds a tensor returns its name."""

    def __init__(self, *, opset: int = 17) -> None:
        self._opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._names = 0

    def input(self, name: str, shape: Sequence[Dimension], kind: int = FLOAT) -> str:
        """Declares an input."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def output(self, tensor: str, name: str, shape: Sequence[Dimension], kind: int = FLOAT) -> None:
        """Declares `tensor` as an output called `name`."""
        self._nodes.append(helper.make_node("Identity", [tensor], [name], name=f"output_{name}"))
        self._outputs.append(helper.make_tensor_value_info(name, kind, list(shape)))

    def weight(self, values: npt.ArrayLike, name: str | None = None) -> str:
        """Adds a constant; Python floats become float32, Python ints int64."""
        array = np.asarray(values)
        if not isinstance(values, np.ndarray):
            array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        name = name or self._fresh("weight")
        self._initializers.append(numpy_helper.from_array(array.copy(order="C"), name))
        return name

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Adds an operator with one output, which has the node's name unless one is given."""
        output = self._fresh(kind.lower())
        self._nodes.append(helper.make_node(kind, list(inputs), [output], name=name or output, **attributes))
        return output

    def from_bytes(self, name: str, shape: Sequence[Dimension], mean: float, std: float) -> str:
        """Declares an input of bytes, channels last, that the graph itself normalises and turns to channels first."""
        floats = self.op("Cast", self.input(name, shape, UINT8), to=FLOAT)
        scaled = self.op("Div", self.op("Sub", floats, self.weight([float(mean)])), self.weight([float(std)]))
        return self.op("Transpose", scaled, perm=[0, 3, 1, 2])

    def model(self) -> onnx.ModelProto:
        """The finished model, checked."""
        graph = helper.make_graph(self._nodes, "built", self._inputs, self._outputs, self._initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)], ir_version=8)
        onnx.checker.check_model(model)
        return model

    def save(self, path: Path) -> Path:
        """Writes the finished model, its folder included."""
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(self.model(), str(path))
        return path

    def _fresh(self, stem: str) -> str:
        self._names += 1
        return f"{stem}_{self._names}"
