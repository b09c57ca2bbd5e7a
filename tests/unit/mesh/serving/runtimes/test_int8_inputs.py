"""What graphs are fed is kept as a sample that does not hang on the order of runs."""

from pathlib import Path

import numpy as np

from mesh.serving.runtimes.int8.inputs import InputLog
from mesh.serving.runtimes.session import Feeds, RuntimeSettings

GRAPH = Path("graph.onnx")


def kept(order: list[int], most: int) -> list[Feeds]:
    log = InputLog(most)
    for number in order:
        log.note(GRAPH, {"x": np.full((1, 4), number, np.float32)})
    return log.of_graphs()[GRAPH]


def test_the_sample_is_the_same_in_any_order() -> None:
    forwards, backwards = kept(list(range(50)), 8), kept(list(reversed(range(50))), 8)
    assert len(forwards) == 8
    assert [feeds["x"].tolist() for feeds in forwards] == [feeds["x"].tolist() for feeds in backwards]
    assert [feeds["x"][0, 0] for feeds in forwards] != list(range(8))


def test_an_input_counts_once() -> None:
    assert len(kept([3, 3, 3], 8)) == 1


def test_what_a_caller_changes_afterwards_changes_no_input() -> None:
    log, buffer = InputLog(8), np.zeros((1, 4), np.float32)
    log.note(GRAPH, {"x": buffer})
    buffer += 1
    assert log.of_graphs()[GRAPH][0]["x"].sum() == 0


def test_a_session_notes_its_runs_and_gives_the_graphs_numbers(projection: Path) -> None:
    log = InputLog(8)
    session = log.open_session(projection, RuntimeSettings(), 1)
    outputs = session.run({"x": np.ones((1, 64), np.float32)})
    assert outputs[0].shape == (1, 32)
    assert session.provider == "CPUExecutionProvider"
    assert [feeds["x"].shape for feeds in log.of_graphs()[projection]] == [(1, 64)]
    session.close()
