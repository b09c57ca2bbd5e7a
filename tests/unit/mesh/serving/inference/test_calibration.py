"""How a processor's ways are timed, and when nothing can be said of them."""

import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mesh.serving.inference import calibration
from mesh.serving.inference.calibration import calibrate
from mesh.serving.runtimes.session import NOTHING_ENDS_IT, Array, Interruption
from tests.doubles.sessions import FakeSession

ITEM = {"x": np.zeros((1, 1), np.float32)}


class TimedSession(FakeSession):
    """Takes a known processor time."""

    def __init__(self, threads: int, seconds: float, *, sleeping: float = 0.0) -> None:
        super().__init__(threads)
        self.seconds, self.sleeping = seconds, sleeping

    def run(self, feeds: Mapping[str, Array], interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        until = time.thread_time() + self.seconds
        while time.thread_time() < until:
            pass
        time.sleep(self.sleeping)
        return super().run(feeds)


def test_a_busy_machine_is_known_by_time_without_processor_and_given_up() -> None:
    narrow = TimedSession(1, 0.002, sleeping=0.01)
    assert calibrate(narrow, TimedSession(2, 0.002), ITEM, 2) is None
    assert len(narrow.batches) == 1 + 1 + 2 + 1


@pytest.mark.parametrize(("processor", "told"), [(0.052, True), (0.027, False)])
def test_a_wide_run_that_takes_longer_is_slow_if_it_had_all_cores(
    monkeypatch: pytest.MonkeyPatch, processor: float, told: bool
) -> None:
    narrow, wide = FakeSession(1), FakeSession(2)
    runs = {id(narrow): calibration._Run(0.019, 0.019), id(wide): calibration._Run(0.026, processor)}
    monkeypatch.setattr(calibration, "_timed", lambda session, *_: runs[id(session)])
    found = calibrate(narrow, wide, ITEM, 2)
    assert (found is not None) == told
    assert found is None or not found.wide_pays_alone


class ElsewhereSession(TimedSession):
    """Runs on a thread of its own, as some runtimes do."""

    def run(self, feeds: Mapping[str, Array], interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        with ThreadPoolExecutor(1) as own:
            return own.submit(super().run, feeds).result()


def test_it_sees_the_processor_time_of_a_runtimes_own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "BUSY_RATIO", 50)  # this machine may be busy; a time of none would still be below
    assert calibrate(ElsewhereSession(1, 0.004), ElsewhereSession(2, 0.0001), ITEM, 1) is not None


def test_it_runs_every_way_and_stays_within_its_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "BUSY_RATIO", math.inf)  # this machine may be busy, and slow
    monkeypatch.setattr(calibration, "BUDGET_SECONDS", math.inf)
    narrow, wide = FakeSession(1), FakeSession(2)
    calibrate(narrow, wide, ITEM, 2)
    assert len(wide.batches) == 1 + 3
    assert len(narrow.batches) == 1 + 3 + 3 * 2
