"""`bench.chaos`, shortened: real processes killed, paused, broken, rolled and reconfigured under load, and not one
request lost or answered wrong. The full length is `python -m bench.chaos`.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bench.chaos.experiment import experiment
from bench.chaos.fleet import Fleet, fleet
from bench.chaos.scenarios import SCENARIOS, Pace

QUICK = Pace(between=0.8, outage=2.0, pause=3.0)
IMPATIENT = {
    "health_check": {"interval_seconds": 0.3, "unhealthy_interval_seconds": 0.2, "timeout_seconds": 0.5},
    "outlier_detection": {"base_ejection_seconds": 2.0},
}
TASKS = ("ocr", "clip", "clip-text")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small_fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("fleet")
    async with fleet(folder, families=("ocr", "clip"), replicas=3, work_ms=100, settings=IMPATIENT) as made:
        yield made


@pytest.mark.timeout(180)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_nothing_is_lost(small_fleet: Fleet, scenario: str) -> None:
    result = await experiment(small_fleet, scenario, requests=240, concurrency=8, pace=QUICK, tasks=TASKS)
    assert result.outcome.failures == []
    assert result.outcome.answered == 240
    assert (result.after.active, result.after.held) == (0, 0)
    if (
        result.after.files > result.before.files + 2
    ):  # a leak grows every time; what was opened once and for all does not
        result = await experiment(small_fleet, scenario, requests=240, concurrency=8, pace=QUICK, tasks=TASKS)
    assert result.after.files <= result.before.files + 2
    assert result.after.memory_bytes < result.before.memory_bytes + 40_000_000
    if scenario == "outage":
        assert result.held_requests > 0
    if scenario == "routers":
        assert result.outcome.second_url > 0
