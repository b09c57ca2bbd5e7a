"""Small graphs that both runtimes hold."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.builders.graph import Graph


def save_projection(path: Path, seed: int = 0) -> Path:
    """A graph that projects rows of 64 numbers onto 32, with a note in its metadata."""
    weights = np.random.default_rng(seed).standard_normal((64, 32)).astype(np.float32)
    graph = Graph()
    rows = graph.input("x", ["rows", 64])
    graph.output(graph.op("MatMul", rows, graph.weight(weights)), "y", ["rows", 32])
    model = graph.model()
    onnx.helper.set_model_props(model, {"character": "a\nb\n "})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def projection(tmp_path: Path) -> Path:
    """The graph, in a folder of a cache at `tmp_path`."""
    return save_projection(tmp_path / "clip" / "tiny" / "visual" / "model.onnx")
