"""Graphs that engines under test run."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper


def doubling_graph(path: Path, batch: int | None) -> Path:
    """A graph that doubles rows of three numbers; `batch` None leaves the first axis open."""
    shape = [batch if batch is not None else "batch", 3]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"answer": "42"})
    onnx.save(model, str(path))
    return path
