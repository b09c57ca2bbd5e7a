"""One child process of the supervisor: started, its lines passed on, restarted with growing pauses, stopped."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from mesh.cli.supervisor.child import PARENT_VARIABLE
from mesh.cli.supervisor.exits import Exit, oom_kills

LineListener = Callable[[str, str], None]
"""Gets (name of the process, one line of its output)."""

LONGEST_LINE = 64 * 1024
KILL_SECONDS = 5.0
"""How long the kernel may take to end a process after SIGKILL."""


class ProcessState(Enum):
    """Where a process is in its life."""

    RUNNING = auto()
    WAITING = auto()
    """Ended by itself; to be restarted after a pause."""
    STOPPED = auto()
    """Not started yet, or stopped by us."""


@dataclass(frozen=True)
class BackoffPolicy:
    """Pauses before restarts, in seconds: `first`, doubling to `longest`; `first` again after a life of `healthy`."""

    first: float = 0.5
    longest: float = 30.0
    healthy: float = 30.0

    def pause(self, failures: int) -> float:
        """The pause after the n-th failure in a row, counted from 1."""
        return float(min(self.longest, self.first * 2.0 ** min(failures - 1, 30)))


class ManagedProcess:
    """A child that is kept alive between `run` and `stop`.

    Args:
        name: for messages.
        command: program and arguments.
        environment: all of it.
        on_line: gets every line the child writes.
        backoff: pauses between restarts.
        descriptors: open files that every life of it inherits.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_line: LineListener,
        backoff: BackoffPolicy = BackoffPolicy(),
        clock: Callable[[], float] = time.monotonic,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._state = ProcessState.STOPPED
        self._turned = asyncio.Event()
        self.ends = 0
        """How often it ended by itself."""
        self.last_exit: Exit | None = None
        self.next_start: float | None = None
        self._command = tuple(command)
        self._environment = dict(environment) | {PARENT_VARIABLE: str(os.getpid())}
        self._on_line = on_line
        self._backoff = backoff
        self._clock = clock
        self._descriptors = tuple(descriptors)
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    @property
    def state(self) -> ProcessState:
        """Where it is in its life."""
        return self._state

    @state.setter
    def state(self, state: ProcessState) -> None:
        self._state = state
        self._turned.set()

    async def turn(self, seconds: float) -> None:
        """Returns when its state has changed since the last call, after so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._turned.wait()
        self._turned.clear()

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process and self.state is ProcessState.RUNNING else None

    async def run(self) -> None:
        """Keeps the child alive until `stop`."""
        failures = 0
        while not self._stopping.is_set():
            lived = await self._live()
            if self._stopping.is_set():
                break
            failures = 1 if lived >= self._backoff.healthy else failures + 1
            self.ends += 1
            await self._pause(self._backoff.pause(failures))
        self.state = ProcessState.STOPPED

    async def stop(self, grace_seconds: float) -> bool:
        """Ends the child: SIGTERM, and SIGKILL when it has not drained in time. Returns whether it drained."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return True
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), grace_seconds)
        except TimeoutError:
            await self.kill()
            return False
        return True

    async def kill(self) -> None:
        """Ends the child at once, and whatever it started."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            self._signal(signal.SIGKILL)
            await asyncio.wait_for(self._process.wait(), KILL_SECONDS)

    async def _live(self) -> float:
        """One life of the child; returns its length in seconds."""
        start = self._clock()
        killed_before = oom_kills()
        last_line = ""
        try:
            self._process = await self._start()
        except OSError as error:  # no memory, too many processes: like a child that ended at once
            self.last_exit = Exit(os.EX_OSERR, f"cannot be started: {error}")
            self._on_line(self.name, self.last_exit.last_line)
            return 0.0
        self.state = ProcessState.RUNNING
        if self._stopping.is_set():  # while it was being started
            self._signal(signal.SIGKILL)
        assert self._process.stdout is not None
        async for line in _lines(self._process.stdout):
            last_line = line or last_line
            self._on_line(self.name, line)
        code = await self._process.wait()
        self.last_exit = Exit(code, last_line, oom_kills() > killed_before)
        return self._clock() - start

    async def _start(self) -> asyncio.subprocess.Process:
        # A group of its own: Ctrl-C at the terminal reaches the supervisor alone, which then drains in order. In one
        # session with the others: Linux shares processors out by session, and priorities count within one alone.
        return await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            process_group=0,
            pass_fds=self._descriptors,
        )

    async def _pause(self, seconds: float) -> None:
        self.state = ProcessState.WAITING
        self.next_start = self._clock() + seconds
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self.next_start = None

    def _signal(self, number: signal.Signals) -> None:
        """SIGTERM to the child alone, SIGKILL to its whole group."""
        assert self._process is not None
        try:
            if number is signal.SIGKILL:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)
        except ProcessLookupError:
            pass  # it ended in this very moment


def module_command(module: str) -> tuple[str, ...]:
    """The command that runs one of our modules as a child of this process, whatever lies in the folder it starts in."""
    return (sys.executable, "-P", "-m", "mesh.cli.supervisor.child", module)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Lines without their ends. One longer than `LONGEST_LINE` is cut rather than collected without limit."""
    rest = b""
    while chunk := await stream.read(LONGEST_LINE):
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line.decode(errors="replace").rstrip("\r")
        if len(rest) > LONGEST_LINE:
            yield rest.decode(errors="replace")
            rest = b""
    if rest:
        yield rest.decode(errors="replace")
