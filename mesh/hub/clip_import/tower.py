"""Edits that make one tower of a CLIP graph fit for Immich's layout: cut out, named, typed, normalised, saved."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mesh.hub.clip_import import graph_file
from mesh.hub.clip_import.companions import CONTEXT_LENGTH
from mesh.hub.layout import MODEL_FILE

EMBEDDING = "embedding"
IMAGE = "image"
TEXT = "text"
BATCH = "batch"

PROTOBUF_LIMIT_BYTES = 2_000_000_000 - 64_000_000
"""A protobuf message ends at 2 GiB; beyond this the weights go into a file of their own."""


def keep_only(model: onnx.ModelProto, output: str) -> None:
    """Removes whatever `output` does not need: other outputs, their nodes and weights, inputs nobody reads."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    needed: set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting.extend(makers[name].input if name in makers else ())
    kept = [node for node in graph.node if needed.intersection(node.output)]
    del graph.node[:]
    graph.node.extend(kept)
    for values in (graph.input, graph.initializer, graph.output):
        _keep(values, needed if values is not graph.output else {output})
    del graph.value_info[:]


def rename(model: onnx.ModelProto, old: str, new: str) -> None:
    """Renames a tensor everywhere: input, output or in between."""
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for values in (model.graph.input, model.graph.output, model.graph.initializer):
        for value in values:
            if value.name == old:
                value.name = new


def rename_input(model: onnx.ModelProto, old: str, new: str) -> None:
    """Renames an input of the graph; a tensor in between that has the new name gives way."""
    if old != new:
        rename(model, new, f"{new}_inside")
        rename(model, old, new)


def set_shape(value: onnx.ValueInfoProto, shape: list[int | str]) -> None:
    """Gives an input or output its shape; names are free axes."""
    kind = value.type.tensor_type
    value.CopyFrom(helper.make_tensor_value_info(value.name, kind.elem_type, shape))


def normalise_output(model: onnx.ModelProto, dimension: int) -> None:
    """The only output, [batch, dimension], becomes `embedding`: divided by its length."""
    graph = model.graph
    rename(model, EMBEDDING, f"{EMBEDDING}_inside")
    raw = graph.output[0].name
    batch = _first_axis(graph.output[0])
    graph.initializer.append(numpy_helper.from_array(np.array(1e-12, np.float32), f"{EMBEDDING}_least"))
    length = helper.make_node("ReduceL2", [raw], [f"{EMBEDDING}_length"], keepdims=1)
    if _opset(model) >= 18:
        length.input.append(f"{EMBEDDING}_axes")
        graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), f"{EMBEDDING}_axes"))
    else:
        length.attribute.append(helper.make_attribute("axes", [1]))
    graph.node.extend(
        [
            length,
            helper.make_node("Max", [f"{EMBEDDING}_length", f"{EMBEDDING}_least"], [f"{EMBEDDING}_divisor"]),
            helper.make_node("Div", [raw, f"{EMBEDDING}_divisor"], [EMBEDDING]),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, [batch, dimension]))


def tokens_as_input(model: onnx.ModelProto, tokens: str, mask: str | None = None, types: str | None = None) -> None:
    """`text` int32 [batch, 52], as Immich ML feeds it, replaces the graph's own inputs.

    Args:
        tokens: the graph's input of token ids.
        mask: its input that marks what is not padding, or None when it finds that out itself.
        types: its input of token types, all 0 here, or None.
    """
    graph = model.graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    batch = _first_axis(next(value for value in graph.input if value.name == tokens))
    rename(model, TEXT, f"{TEXT}_inside")
    inner = f"{TEXT}_inside" if tokens == TEXT else tokens
    new = [helper.make_node("Cast", [TEXT], [inner], to=kinds[tokens])]
    if mask or types:
        graph.initializer.append(numpy_helper.from_array(np.array(0, np.int32), f"{TEXT}_padding"))
    if mask:
        new.append(helper.make_node("Equal", [TEXT, f"{TEXT}_padding"], [f"{TEXT}_is_padding"]))
        new.append(helper.make_node("Not", [f"{TEXT}_is_padding"], [f"{TEXT}_is_there"]))
        new.append(helper.make_node("Cast", [f"{TEXT}_is_there"], [mask], to=kinds[mask]))
    if types:
        new.append(helper.make_node("Mul", [TEXT, f"{TEXT}_padding"], [f"{TEXT}_types"]))
        new.append(helper.make_node("Cast", [f"{TEXT}_types"], [types], to=kinds[types]))
    nodes = [*new, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(TEXT, TensorProto.INT32, [batch, CONTEXT_LENGTH]))


def save(model: onnx.ModelProto, folder: Path, name: str = MODEL_FILE) -> Path:
    """Writes `<folder>/<name>`, and beyond protobuf's limit its weights into `<name>.data`; the model is spent then."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > PROTOBUF_LIMIT_BYTES:
        onnx.save(model, str(path), save_as_external_data=True, location=f"{name}.data")
    else:
        graph_file.write(model, path)
    return path


def output_width(model: onnx.ModelProto, name: str) -> int:
    """Length of the embeddings: the output's last axis, or the width of the matrix that makes it."""
    output = next(value for value in model.graph.output if value.name == name)
    dims = output.type.tensor_type.shape.dim
    if dims and dims[-1].dim_value:
        return int(dims[-1].dim_value)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    makers = {made: node for node in model.graph.node for made in node.output}
    while name in makers:
        node = makers[name]
        if node.op_type in ("MatMul", "Gemm") and len(shapes.get(node.input[1], ())) == 2:
            transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
            return int(shapes[node.input[1]][0 if transposed else 1])
        name = node.input[0]
    raise ValueError(f"the width of output {output.name} is not known")


def _keep(values: Any, names: set[str]) -> None:
    """Removes the others one by one: a list of the kept ones would hold all weights twice."""
    for position in reversed(range(len(values))):
        if values[position].name not in names:
            del values[position]


def _first_axis(value: onnx.ValueInfoProto) -> int | str:
    axis = value.type.tensor_type.shape.dim[0]
    return axis.dim_value if axis.HasField("dim_value") else BATCH


def _opset(model: onnx.ModelProto) -> int:
    return int(next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx")))
