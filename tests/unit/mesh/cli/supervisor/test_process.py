"""One child: its lines, its restarts, its end."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mesh.cli.supervisor.exits import Exit
from mesh.cli.supervisor.process import BackoffPolicy, ManagedProcess, ProcessState
from tests.waiting import PATIENCE_SECONDS, until

ROOT = Path(__file__).parents[5]
IMPATIENT = BackoffPolicy(first=0.01, longest=0.04, healthy=30.0)


class Output:
    """Collects lines and lets a test wait for the n-th."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = asyncio.Event()

    def __call__(self, _: str, line: str) -> None:
        self.lines.append(line)
        self._changed.set()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.lines) < count:
                self._changed.clear()
                await self._changed.wait()


def shell(script: str, output: Output, backoff: BackoffPolicy = IMPATIENT) -> ManagedProcess:
    return ManagedProcess("child", ["/bin/sh", "-c", script], os.environ, output, backoff)


async def test_a_crashed_child_is_started_again() -> None:
    output = Output()
    process = shell("echo started; exit 3", output)
    keeper = asyncio.create_task(process.run())
    await output.wait_for(3)
    assert process.last_exit == Exit(3, "started")
    await process.stop(1.0)
    await keeper
    assert process.ends >= 2
    assert process.state is ProcessState.STOPPED


def test_pauses_grow_up_to_the_longest() -> None:
    policy = BackoffPolicy(first=0.5, longest=30.0)
    assert [policy.pause(failures) for failures in (1, 2, 3, 7, 5000)] == [0.5, 1.0, 2.0, 30.0, 30.0]


async def test_a_long_life_forgets_earlier_failures() -> None:
    """With a clock on which every life lasts a minute, the pause stays the first one."""
    output = Output()
    now = iter(range(0, 100_000, 60))
    pauses: list[float] = []

    class CountingPolicy(BackoffPolicy):
        def pause(self, failures: int) -> float:
            pauses.append(failures)
            return 0.001

    process = ManagedProcess(
        "child", ["/bin/sh", "-c", "echo x"], os.environ, output, CountingPolicy(), lambda: next(now)
    )
    keeper = asyncio.create_task(process.run())
    await output.wait_for(3)
    await process.stop(1.0)
    await keeper
    assert set(pauses) == {1}


async def test_stop_lets_the_child_drain() -> None:
    output = Output()
    process = shell("trap 'echo drained; exit 0' TERM; echo ready; while :; do sleep 0.01; done", output)
    keeper = asyncio.create_task(process.run())
    await output.wait_for(1)
    assert process.pid is not None
    assert await process.stop(10.0)
    await keeper
    assert output.lines == ["ready", "drained"]
    assert process.ends == 0


async def test_a_child_that_does_not_drain_is_killed_with_all_it_started() -> None:
    output = Output()
    process = shell("trap '' TERM; sleep 600 & echo $!; wait; wait", output)
    keeper = asyncio.create_task(process.run())
    await output.wait_for(1)
    grandchild = int(output.lines[0])
    assert not await process.stop(0.05)
    await keeper
    assert process.last_exit is not None
    assert process.last_exit.code == -signal.SIGKILL
    await gone(grandchild)


async def test_a_stop_during_the_pause_ends_at_once() -> None:
    output = Output()
    process = shell("echo x", output, BackoffPolicy(first=3600.0, longest=3600.0))
    keeper = asyncio.create_task(process.run())
    await output.wait_for(1)
    await until(lambda: process.state is ProcessState.WAITING)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await process.stop(1.0)
        await keeper


async def test_output_without_line_ends_is_not_collected_without_limit() -> None:
    output = Output()
    process = shell("head -c 300000 /dev/zero | tr '\\0' x; echo; echo end; sleep 600", output)
    keeper = asyncio.create_task(process.run())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "end" not in output.lines:
            await output.wait_for(len(output.lines) + 1)
    assert max(len(line) for line in output.lines) <= 2 * 64 * 1024
    assert sum(len(line) for line in output.lines) == 300_003
    await process.kill()
    await keeper


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
async def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    """The supervisor gets SIGKILL, so it can tell nobody."""
    module = tmp_path / "sleeper.py"
    module.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    supervisor = tmp_path / "supervisor.py"
    supervisor.write_text(
        "import asyncio, os\n"
        "from mesh.cli.supervisor.process import ManagedProcess, module_command\n"
        "def show(_, line): print(line, flush=True)\n"
        "asyncio.run(ManagedProcess('s', module_command('sleeper'), os.environ, show).run())\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    parent = await asyncio.create_subprocess_exec(
        sys.executable, str(supervisor), env=environment, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), PATIENCE_SECONDS))
    parent.kill()
    await parent.wait()
    await gone(child)


async def gone(pid: int) -> None:
    """Waits until a process has ended (a zombie that nobody reaps has)."""

    def has_ended() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    await until(has_ended)
