"""Sessions of onnxruntime on the processor work in the same memory, and give it back when they go."""

from pathlib import Path

import numpy as np
import onnx

from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.session import RuntimeSettings
from tests.builders.graph import Graph
from tests.unit.mesh.serving.runtimes.test_selection import anonymous_bytes

ROWS, WIDTH = 8192, 2048
WORKING_BYTES = 4 * ROWS * WIDTH
"""Of the one array between the graph's input and output: 64 MB."""
ITEM = {"x": np.ones((ROWS, 1), np.float32)}


def save_spread(path: Path) -> Path:
    """A graph that spreads each of its numbers over many and adds them up again."""
    graph = Graph()
    rows = graph.input("x", ["rows", 1])
    spread = graph.op("MatMul", rows, graph.weight(np.ones((1, WIDTH), np.float32)))
    graph.output(graph.op("MatMul", spread, graph.weight(np.ones((WIDTH, 1), np.float32))), "y", ["rows", 1])
    onnx.save(graph.model(), str(path))
    return path


def test_sessions_that_run_in_turn_work_in_the_same_memory(tmp_path: Path) -> None:
    graph = save_spread(tmp_path / "spread.onnx")
    before = anonymous_bytes()
    sessions = [OnnxSession(graph, RuntimeSettings(), threads) for threads in (1, 2, 1, 2)]
    for session in sessions:
        assert np.all(session.run(ITEM)[0] == WIDTH)
    assert anonymous_bytes() - before < 2.5 * WORKING_BYTES
    sessions[0].close()
    assert np.all(sessions[1].run(ITEM)[0] == WIDTH)
    for session in sessions[1:]:
        session.close()
    assert anonymous_bytes() - before < 0.5 * WORKING_BYTES
