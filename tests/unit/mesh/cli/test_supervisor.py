"""The order of starting and draining, and what is said of each process."""

import asyncio
from collections.abc import Mapping

import pytest

from mesh.cli.supervisor.plans import MachinePlan, Plan
from mesh.cli.supervisor.probes import Condition, Level
from mesh.cli.supervisor.process import LineListener, ManagedProcess, ProcessState
from mesh.cli.supervisor.supervisor import Supervisor
from router.config import RouterSettings
from tests.waiting import PATIENCE_SECONDS

READY = Condition(Level.READY, "model")


def plan(name: str) -> Plan:
    return Plan(name, name, "127.0.0.1:1", (), stop_seconds=1.0)


MACHINE = MachinePlan({}, (plan("ocr"), plan("clip")), plan("router"), RouterSettings())


class FakeProcess(ManagedProcess):
    """Runs nothing; writes what is done to it into a journal."""

    journal: list[str]
    drains = True

    async def run(self) -> None:
        self.journal.append(f"{self.name} started")
        self.state = ProcessState.RUNNING
        await self._stopping.wait()
        self.state = ProcessState.STOPPED

    async def stop(self, grace_seconds: float) -> bool:
        self.journal.append(f"{self.name} asked to stop")
        await asyncio.sleep(0)
        if not self.drains:
            await asyncio.Event().wait()
        self._stopping.set()
        self.journal.append(f"{self.name} drained")
        return True

    async def kill(self) -> None:
        if not self._stopping.is_set():
            self.journal.append(f"{self.name} killed")
        self._stopping.set()


class FixedProbe:
    """Always the same condition."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition

    async def ask(self) -> Condition:
        return self.condition


class Stage:
    """A supervisor of fake processes and all that it said."""

    def __init__(self, conditions: Mapping[str, Condition] | None = None) -> None:
        self.journal: list[str] = []
        self.told: dict[str, Condition] = {}
        self.changed = asyncio.Event()
        names = ("ocr", "clip", "router")
        probes = {name: FixedProbe((conditions or {}).get(name, READY)) for name in names}
        self.supervisor = Supervisor(MACHINE, probes, lambda *_: None, self._tell, self._start)
        self.stop, self.hurry = asyncio.Event(), asyncio.Event()

    def _start(self, plan: Plan, environment: Mapping[str, str], on_line: LineListener) -> FakeProcess:
        process = FakeProcess(plan.name, (), environment, on_line)
        process.journal = self.journal
        return process

    def _tell(self, name: str, condition: Condition) -> None:
        self.told[name] = condition
        self.changed.set()

    async def until_settled(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.supervisor.settled:
                self.changed.clear()
                await self.changed.wait()


async def test_services_start_first_and_the_router_stops_first() -> None:
    stage = Stage()
    running = asyncio.create_task(stage.supervisor.run(stage.stop, stage.hurry))
    await stage.until_settled()
    stage.stop.set()
    await running
    assert stage.journal[:3] == ["ocr started", "clip started", "router started"]
    assert stage.journal[3:5] == ["router asked to stop", "router drained"]
    assert set(stage.journal[5:]) == {"ocr asked to stop", "ocr drained", "clip asked to stop", "clip drained"}
    assert stage.told == {"ocr": READY, "clip": READY, "router": READY}


async def test_hurry_kills_what_still_drains() -> None:
    stage = Stage()
    for process in stage.supervisor.processes.values():
        assert isinstance(process, FakeProcess)
        process.drains = process.name != "router"
    running = asyncio.create_task(stage.supervisor.run(stage.stop, stage.hurry))
    await stage.until_settled()
    stage.stop.set()
    stage.hurry.set()
    await asyncio.wait_for(running, PATIENCE_SECONDS)
    assert {"router killed", "ocr killed", "clip killed"} <= set(stage.journal)


@pytest.mark.parametrize(
    ("condition", "settled"),
    [
        (Condition(Level.COMING, "downloading", progress=0.1), True),
        (Condition(Level.FAILED, "no such model"), True),
        (Condition(Level.COMING, "loading"), False),
    ],
)
async def test_a_download_or_a_failure_does_not_keep_the_summary_back(condition: Condition, settled: bool) -> None:
    stage = Stage({"clip": condition})
    running = asyncio.create_task(stage.supervisor.run(stage.stop, stage.hurry))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(stage.told) < 3:
            stage.changed.clear()
            await stage.changed.wait()
    assert stage.supervisor.settled is settled
    stage.stop.set()
    await running


async def test_a_process_that_keeps_ending_is_told_with_its_last_words() -> None:
    stage = Stage()
    crashed = stage.supervisor.processes["ocr"]

    async def end_twice() -> None:
        crashed.state, crashed.exit_code, crashed.restarts = ProcessState.WAITING, -9, 1
        crashed.last_line = "CUDA is not there"
        await crashed._stopping.wait()

    crashed.run = end_twice  # type: ignore[method-assign]
    running = asyncio.create_task(stage.supervisor.run(stage.stop, stage.hurry))
    await stage.until_settled()
    assert stage.told["ocr"] == Condition(Level.FAILED, "ended 2 times (SIGKILL), last words: CUDA is not there")
    stage.stop.set()
    await running
