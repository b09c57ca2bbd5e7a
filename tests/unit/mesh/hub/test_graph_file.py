"""Graphs read and written field by field are the same graphs."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf.message import DecodeError

from mesh.hub.clip_import import graph_file
from tests.builders.graph import Graph


@pytest.fixture
def model() -> onnx.ModelProto:
    graph = Graph()
    given = graph.input("x", [None, 300])
    made = graph.op("MatMul", given, graph.weight(np.eye(300, dtype=np.float32) * 2))
    graph.output(graph.op("Add", made, graph.weight([1.0])), "y", [None, 300])
    made_model = graph.model()
    onnx.helper.set_model_props(made_model, {"author": "somebody"})
    return made_model


def test_what_is_read_is_what_onnx_reads(model: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(model, str(tmp_path / "model.onnx"))
    assert graph_file.read(tmp_path / "model.onnx") == onnx.load(str(tmp_path / "model.onnx"))


def test_what_is_written_others_read(model: onnx.ModelProto, tmp_path: Path) -> None:
    before = onnx.ModelProto()
    before.CopyFrom(model)
    path = tmp_path / "model.onnx"
    graph_file.write(model, path)
    onnx.checker.check_model(str(path))
    assert onnx.load(str(path)) == before
    assert graph_file.read(path) == before
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"x": np.ones((2, 300), np.float32)})
    assert (answer == 3).all()


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_files_that_end_too_early_are_refused(model: onnx.ModelProto, tmp_path: Path, kept: int) -> None:
    (tmp_path / "cut.onnx").write_bytes(model.SerializeToString()[:kept])
    with pytest.raises((ValueError, DecodeError)):
        graph_file.read(tmp_path / "cut.onnx")


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "page.onnx").write_text("<html>Log in to the hotel's network</html>")
    with pytest.raises((ValueError, DecodeError)):
        graph_file.read(tmp_path / "page.onnx")
