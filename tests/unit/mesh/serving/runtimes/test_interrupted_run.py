"""A run that is ended from outside says so, in both runtimes, and the session goes on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest

from mesh.core.settings import Precision
from mesh.serving.runtimes.guarded import GuardedSession
from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.openvino import OpenVinoSession
from mesh.serving.runtimes.session import InterruptedRunError, ModelSession, RuntimeSettings
from tests.builders.graph import Graph

SIDE = 256
OPERATORS = 300


@pytest.fixture
def long_graph(tmp_path: Path) -> Path:
    """A graph of many operators, none of which takes long."""
    graph = Graph()
    rows = graph.input("x", ["rows", SIDE])
    turn = graph.weight(np.roll(np.eye(SIDE, dtype=np.float32), 1, axis=0))
    for _ in range(OPERATORS):
        rows = graph.op("Relu", graph.op("MatMul", rows, turn))
    graph.output(rows, "y", ["rows", SIDE])
    onnx.save(graph.model(), str(tmp_path / "long.onnx"))
    return tmp_path / "long.onnx"


@pytest.fixture(params=["onnxruntime", "OpenVINO"])
def session(request: pytest.FixtureRequest, long_graph: Path) -> Iterator[ModelSession]:
    runtime = RuntimeSettings(cores=2)
    session: ModelSession
    if request.param == "onnxruntime":
        session = OnnxSession(long_graph, runtime)
    else:
        session = OpenVinoSession(long_graph, runtime, Precision.FP32)
    yield GuardedSession(session)
    session.close()


class EndedAtOnce:
    """Ends what begins, until it has ended."""

    @contextmanager
    def may_end(self, end: Callable[[], None]) -> Iterator[None]:
        over = threading.Event()

        def insist() -> None:
            while not over.is_set():
                end()

        thread = threading.Thread(target=insist)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def test_an_ended_run_is_an_error_of_its_own_and_the_next_one_is_whole(session: ModelSession) -> None:
    feeds = {"x": np.arange(512 * SIDE, dtype=np.float32).reshape(512, SIDE)}
    (whole,) = session.run(feeds)
    assert np.array_equal(np.sort(whole), np.sort(feeds["x"]))
    for _ in range(3):
        with pytest.raises(InterruptedRunError):
            session.run(feeds, EndedAtOnce())
        assert np.array_equal(session.run(feeds)[0], whole)


def test_an_error_of_the_run_itself_stays_one(session: ModelSession) -> None:
    class Watched:
        @contextmanager
        def may_end(self, end: Callable[[], None]) -> Iterator[None]:
            yield

    with pytest.raises(Exception, match=r"(?i)rank|shape|dimension") as raised:
        session.run({"x": np.zeros(3, np.float32)}, Watched())
    assert not isinstance(raised.value, InterruptedRunError)
