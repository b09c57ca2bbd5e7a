"""Which sessions of a graph are opened: what was measured once is not measured again, and what lost is not opened."""

from pathlib import Path

import numpy as np
import pytest

from mesh.serving.inference.calibration import Calibration
from mesh.serving.inference.sessions import Sessions
from mesh.serving.runtimes.compiled import CompiledFiles, Records
from mesh.serving.runtimes.selection import RuntimeChoice
from mesh.serving.runtimes.session import Feeds, ModelSession
from tests.doubles.sessions import FakeSession
from tests.unit.mesh.serving.inference.test_engine import (
    WIDE_NEVER_PAYS,
    WIDE_PAYS_ALONE,
    WIDE_PAYS_ALWAYS,
)

CORES = 2
WHICH = {"model": "m", "part": "p"}


@pytest.fixture
def records(tmp_path: Path) -> Records:
    """Of a graph in a cache at `tmp_path`."""
    graph = tmp_path / "clip" / "m" / "visual" / "model.onnx"
    graph.parent.mkdir(parents=True)
    graph.write_bytes(b"graph")
    return Records(CompiledFiles(graph, tmp_path), ("runtime 1",))


def start(records: Records | None, result: Calibration | None, cores: int = CORES) -> tuple[list[int], Sessions, int]:
    """One start, and what comes when nothing else goes on: how many threads the sessions have that were opened, those
    that are kept, how often was measured."""
    opened: list[int] = []
    measured: list[Feeds] = []

    def open_one(threads: int) -> ModelSession:
        opened.append(threads)
        return FakeSession(threads)

    def measure(narrow: ModelSession, wide: ModelSession, feeds: Feeds, cores: int) -> Calibration | None:
        measured.append(feeds)
        return result

    sessions = Sessions.best(RuntimeChoice(open_one, records=records), cores, None, which=WHICH, measure=measure)
    assert not measured, "others may be starting too"
    if sessions.measure and (found := sessions.measure()):
        sessions = sessions.settled(found, in_use=False)
        assert sessions.measure is None
    return opened, sessions, len(measured)


@pytest.mark.parametrize(
    ("result", "opened_later", "always_wide"),
    [(WIDE_PAYS_ALONE, [1, 2], False), (WIDE_PAYS_ALWAYS, [2], True), (WIDE_NEVER_PAYS, [1], False)],
)
def test_a_later_start_measures_nothing_and_opens_what_pays(
    records: Records, result: Calibration, opened_later: list[int], always_wide: bool
) -> None:
    opened, first, times = start(records, result)
    assert (opened, times) == ([1, 2], 1)
    opened, later, times = start(records, None)
    assert (opened, times) == (opened_later, 0)
    assert later.always_wide is always_wide
    assert later.memory_bytes == 10 * len(opened_later)
    assert first.always_wide is False, "its workers are counted already"
    assert first.memory_bytes == (10 if result is WIDE_NEVER_PAYS else 20)


def test_a_session_in_use_is_kept(records: Records) -> None:
    _, sessions, _ = start(records, None)
    settled = sessions.settled(WIDE_NEVER_PAYS, in_use=True)
    assert (settled.wide, settled.measure) == (sessions.wide, None)
    assert isinstance(settled.wide, FakeSession)
    assert not settled.wide.closed


def test_a_busy_machine_is_measured_again_at_the_next_start(records: Records) -> None:
    start(records, None)
    opened, _, times = start(records, WIDE_NEVER_PAYS)
    assert (opened, times) == ([1, 2], 1)


def test_other_cores_are_measured_anew(records: Records) -> None:
    start(records, WIDE_NEVER_PAYS)
    opened, _, times = start(records, WIDE_PAYS_ALONE, cores=4)
    assert (opened, times) == ([1, 4], 1)


@pytest.mark.parametrize(
    "damage",
    [
        "not json",
        "[1, 2]",
        '{"side_by_side_per_second": "fast", "alone_narrow_seconds": 1.0, "alone_wide_seconds": 1.0}',
        '{"side_by_side_per_second": NaN, "alone_narrow_seconds": 1.0, "alone_wide_seconds": 1.0}',
        '{"side_by_side_per_second": 1.0, "alone_narrow_seconds": 0.0, "alone_wide_seconds": 1.0}',
        '{"side_by_side_per_second": 1.0}',
    ],
)
def test_a_damaged_record_is_made_again(records: Records, tmp_path: Path, damage: str) -> None:
    start(records, WIDE_NEVER_PAYS)
    (record,) = tmp_path.rglob("compiled/*.json")
    record.write_text(damage)
    _, _, times = start(records, WIDE_NEVER_PAYS)
    assert times == 1
    _, _, times = start(records, None)
    assert times == 0


def test_a_run_takes_the_session_that_fits_the_moment() -> None:
    _, sessions, _ = start(None, WIDE_PAYS_ALONE)
    assert sessions.of_run(alone=True) is sessions.wide
    assert sessions.of_run(alone=False) is sessions.narrow
    assert sessions.narrow.run({"x": np.zeros((1, 1), np.float32)})
