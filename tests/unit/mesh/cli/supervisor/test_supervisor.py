"""The order of starting and draining, and what is said of each process."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from mesh.cli.machine.plan import Plan
from mesh.cli.machine.routers import router_plans
from mesh.cli.machine.supervisor_settings import SupervisorSettings
from mesh.cli.supervisor.exits import Exit, oom_kills
from mesh.cli.supervisor.probes import Level, ProcessCondition
from mesh.cli.supervisor.process import LineListener, ManagedProcess, ProcessState
from mesh.cli.supervisor.sockets import BoundRouter
from mesh.cli.supervisor.supervisor import SILENCE_SECONDS, STEADY_SECONDS, Supervisor
from mesh.core.sockets import listening_socket
from router.config import RouterSettings
from tests.waiting import PATIENCE_SECONDS

READY = ProcessCondition(Level.READY, "model")


def plan(name: str) -> Plan:
    return Plan(name, name, "127.0.0.1:1", (), stop_seconds=1.0)


SERVICES = (plan("ocr"), plan("clip"))
NAMES = ("ocr", "clip", "router", "router-2")


def bound_routers() -> tuple[BoundRouter, ...]:
    """Two routers, each with a socket of the kernel's choice."""
    plans = router_plans(RouterSettings(), SupervisorSettings(), {})
    return tuple(BoundRouter(one, {"immich_ml": listening_socket("127.0.0.1", 0)}) for one in plans)


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

    def __init__(self, condition: ProcessCondition | None) -> None:
        self.condition = condition
        self.asked = 0

    async def check(self) -> ProcessCondition | None:
        self.asked += 1
        return self.condition


class SupervisedFakes:
    """A supervisor of fake processes and all that it said."""

    def __init__(self, conditions: Mapping[str, ProcessCondition] | None = None) -> None:
        self.journal: list[str] = []
        self.told: dict[str, ProcessCondition] = {}
        self.changed = asyncio.Event()
        self.probes = {name: FixedProbe((conditions or {}).get(name, READY)) for name in NAMES}
        self.routers = bound_routers()
        self.now = 0.0
        self.supervisor = Supervisor(
            SERVICES, self.routers, self.probes, lambda *_: None, self._tell, self._start, lambda: self.now
        )
        self.stop, self.hurry = asyncio.Event(), asyncio.Event()

    def _start(self, plan: Plan, descriptors: Sequence[int], on_line: LineListener) -> FakeProcess:
        process = FakeProcess(plan.name, (), plan.environment, on_line, descriptors=descriptors)
        process.journal = self.journal
        return process

    def _tell(self, name: str, condition: ProcessCondition) -> None:
        self.told[name] = condition
        self.changed.set()

    async def until_settled(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.supervisor.settled:
                self.changed.clear()
                await self.changed.wait()


async def test_services_start_first_and_routers_stop_first() -> None:
    stage = SupervisedFakes()
    running = asyncio.create_task(stage.supervisor.run(stage.stop, stage.hurry))
    await stage.until_settled()
    stage.stop.set()
    await running
    assert stage.journal[:4] == ["ocr started", "clip started", "router started", "router-2 started"]
    asked = [line.removesuffix(" asked to stop") for line in stage.journal if line.endswith("asked to stop")]
    assert asked == ["router", "router-2", "ocr", "clip"]
    assert stage.journal.index("router-2 drained") < stage.journal.index("ocr asked to stop")
    assert stage.told == dict.fromkeys(NAMES, READY)


async def test_a_router_that_is_away_keeps_its_connections_until_the_end() -> None:
    """They wait in the kernel, and are refused as soon as nobody will come any more."""
    stage = SupervisedFakes()
    address = stage.routers[1].sockets["immich_ml"].getsockname()
    running = asyncio.create_task(stage.supervisor.run(stage.stop, stage.hurry))
    await stage.until_settled()
    with socket.create_connection(address, PATIENCE_SECONDS):
        stage.stop.set()
        await running
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


async def test_an_answer_that_does_not_come_is_no_news() -> None:
    stage = SupervisedFakes()
    running = asyncio.create_task(stage.supervisor.run(stage.stop, stage.hurry))
    await stage.until_settled()
    assert stage.supervisor._answer("ocr", None, None) == READY
    stage.now += SILENCE_SECONDS + 1
    assert stage.supervisor._answer("ocr", None, None) == ProcessCondition(Level.COMING, "does not answer")
    # The next life of it has not answered anything yet.
    assert stage.supervisor._answer("ocr", 4711, None) == ProcessCondition(Level.COMING, "starting")
    stage.stop.set()
    await running


async def test_who_is_ready_is_asked_again_only_after_a_while_and_ever_less_often() -> None:
    stage = SupervisedFakes()
    supervisor, probe = stage.supervisor, stage.probes["ocr"]
    supervisor.processes["ocr"].state = ProcessState.RUNNING
    await supervisor._look("ocr")
    for pause in (*STEADY_SECONDS, STEADY_SECONDS[-1]):
        asked = probe.asked
        stage.now += pause - 1
        await supervisor._look("ocr")
        assert probe.asked == asked
        stage.now += 1
        await supervisor._look("ocr")
        assert probe.asked == asked + 1
    probe.condition = coming = ProcessCondition(Level.COMING, "loading")
    stage.now += STEADY_SECONDS[-1]
    for _ in range(2):  # and who is not ready, at every look
        asked = probe.asked
        await supervisor._look("ocr")
        assert probe.asked == asked + 1
        assert stage.told["ocr"] == coming
    probe.condition = READY
    await supervisor._look("ocr")
    stage.now += STEADY_SECONDS[0]
    asked = probe.asked
    await supervisor._look("ocr")
    assert probe.asked == asked + 1


async def test_the_end_of_a_process_is_told_at_once() -> None:
    """Though nobody would have asked it anything for a while."""
    stage = SupervisedFakes()
    running = asyncio.create_task(stage.supervisor.run(stage.stop, stage.hurry))
    await stage.until_settled()
    ended = stage.supervisor.processes["ocr"]
    ended.ends, ended.last_exit = 1, Exit(1, "no memory")
    ended.state = ProcessState.WAITING
    async with asyncio.timeout(PATIENCE_SECONDS):
        while stage.told["ocr"] == READY:
            stage.changed.clear()
            await stage.changed.wait()
    assert stage.told["ocr"] == ProcessCondition(Level.FAILED, "ended (exit code 1: no memory), is started again")
    stage.stop.set()
    await running


async def test_hurry_kills_what_still_drains() -> None:
    stage = SupervisedFakes()
    for process in stage.supervisor.processes.values():
        assert isinstance(process, FakeProcess)
        process.drains = not process.name.startswith("router")
    running = asyncio.create_task(stage.supervisor.run(stage.stop, stage.hurry))
    await stage.until_settled()
    stage.stop.set()
    stage.hurry.set()
    await asyncio.wait_for(running, PATIENCE_SECONDS)
    assert {"router killed", "router-2 killed", "ocr killed", "clip killed"} <= set(stage.journal)


@pytest.mark.parametrize(
    ("condition", "settled"),
    [
        (ProcessCondition(Level.COMING, "downloading", progress=0.1), True),
        (ProcessCondition(Level.FAILED, "no such model"), True),
        (ProcessCondition(Level.COMING, "loading"), False),
    ],
)
async def test_a_download_or_a_failure_does_not_keep_the_summary_back(
    condition: ProcessCondition, settled: bool
) -> None:
    stage = SupervisedFakes({"clip": condition})
    running = asyncio.create_task(stage.supervisor.run(stage.stop, stage.hurry))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(stage.told) < len(NAMES):
            stage.changed.clear()
            await stage.changed.wait()
    assert stage.supervisor.settled is settled
    stage.stop.set()
    await running


async def test_a_process_that_keeps_ending_is_told_with_its_reason() -> None:
    stage = SupervisedFakes()
    crashed = stage.supervisor.processes["ocr"]

    async def end_twice() -> None:
        crashed.state, crashed.ends = ProcessState.WAITING, 2
        crashed.last_exit = Exit(1, "CUDA is not there")
        await crashed._stopping.wait()

    crashed.run = end_twice  # type: ignore[method-assign]
    running = asyncio.create_task(stage.supervisor.run(stage.stop, stage.hurry))
    await stage.until_settled()
    expected = "ended 2 times (exit code 1: CUDA is not there), is started again"
    assert stage.told["ocr"] == ProcessCondition(Level.FAILED, expected)
    stage.stop.set()
    await running


async def test_an_end_is_told_though_the_next_life_has_begun() -> None:
    """A look may take longer than the pause before a restart; whoever looks after the log wants to know why."""
    stage = SupervisedFakes()
    running = asyncio.create_task(stage.supervisor.run(stage.stop, stage.hurry))
    await stage.until_settled()
    told: list[str] = []
    stage.supervisor._on_condition = lambda name, condition: told.append(f"{name}: {condition.text}")
    killed = stage.supervisor.processes["ocr"]
    killed.ends, killed.last_exit = 1, Exit(-9, "GET /ping 200")
    await stage.supervisor._look("ocr")
    assert told == ["ocr: ended (SIGKILL from outside), is started again", "ocr: model"]
    stage.stop.set()
    await running


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Exit(0, "bye"), "exit code 0"),
        (Exit(3), "exit code 3"),
        (Exit(-11, "Fatal Python error: Segmentation fault"), "SIGSEGV: Fatal Python error: Segmentation fault"),
        (Exit(-9, "GET /ping 200"), "SIGKILL from outside"),
        (Exit(-9, "GET /ping 200", out_of_memory=True), "SIGKILL by the kernel: memory ran out"),
    ],
)
def test_why_a_process_ended(found: Exit, expected: str) -> None:
    assert str(found) == expected


def test_the_kernels_count_of_processes_killed_for_memory(tmp_path: Path) -> None:
    vmstat = tmp_path / "vmstat"
    assert oom_kills(vmstat) == 0
    vmstat.write_text("nr_free_pages 1\noom_kill 3\n")
    assert oom_kills(vmstat) == 3
