"""Runs router and services on this machine: starts, watches, restarts and drains them.

Order matters at both ends. Services start first (the router holds what comes before they are ready, but why let it);
the router stops first, so that requests in flight still find the services behind it.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from mesh.cli.supervisor.plans import MachinePlan, Plan
from mesh.cli.supervisor.probes import STARTING, Condition, Level
from mesh.cli.supervisor.process import LineListener, ManagedProcess, ProcessState, module_command

POLL_SECONDS = 0.5
KILL_MARGIN_SECONDS = 1.0


class Probe(Protocol):
    """What the supervisor needs of a probe."""

    async def ask(self) -> Condition:
        """The condition of its process now. Never raises for a process that does not answer."""
        ...


ProcessFactory = Callable[[Plan, Mapping[str, str], LineListener], ManagedProcess]
ConditionListener = Callable[[str, Condition], None]
"""Gets (name of the process, its condition), on every change."""


def start_module(plan: Plan, environment: Mapping[str, str], on_line: LineListener) -> ManagedProcess:
    """The process of a plan, not yet started."""
    return ManagedProcess(plan.name, module_command(plan.module), environment, on_line)


class Supervisor:
    """The processes of one machine.

    Args:
        machine: what to run.
        probes: one per process name.
        on_line: gets every line of output.
        on_condition: gets every change of a condition.
        start: makes a process of a plan (tests replace it).
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        machine: MachinePlan,
        probes: Mapping[str, Probe],
        on_line: LineListener,
        on_condition: ConditionListener,
        start: ProcessFactory = start_module,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.conditions: dict[str, Condition] = {}
        self._plans = {plan.name: plan for plan in (*machine.services, machine.router)}
        self._router = machine.router.name
        self._processes = {name: start(plan, machine.environment, on_line) for name, plan in self._plans.items()}
        self._probes = probes
        self._on_condition = on_condition
        self._clock = clock
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def processes(self) -> Mapping[str, ManagedProcess]:
        """The processes by name."""
        return self._processes

    @property
    def settled(self) -> bool:
        """Whether every process is ready, failed, or busy with a download: nothing more will happen soon."""
        known = [self.conditions.get(name, STARTING) for name in self._plans]
        return all(one.level is not Level.COMING or one.progress is not None for one in known)

    def reload(self) -> None:
        """Makes the router read its configuration file again."""
        if pid := self._processes[self._router].pid:
            os.kill(pid, signal.SIGHUP)

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        """Runs everything until `stop`, then drains in order; `hurry` ends the draining by force."""
        self._keepers = [asyncio.create_task(process.run()) for process in self._processes.values()]
        watchers = [asyncio.create_task(self._watch(name)) for name in self._plans]
        try:
            await stop.wait()
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            await self._drain(hurry)

    async def _watch(self, name: str) -> None:
        while True:
            condition = await self._condition(name)
            if condition != self.conditions.get(name):
                self.conditions[name] = condition
                self._on_condition(name, condition)
            await asyncio.sleep(POLL_SECONDS)

    async def _condition(self, name: str) -> Condition:
        """What the process says of itself while it runs, else what became of it."""
        process = self._processes[name]
        if process.state is ProcessState.RUNNING:
            return await self._probes[name].ask()
        if process.state is ProcessState.STOPPED and process.exit_code is None:
            return STARTING
        why = _reason(process.exit_code or 0)
        text = f"ended ({why}), is started again"
        if process.restarts and process.last_line:
            text = f"ended {process.restarts + 1} times ({why}), last words: {process.last_line}"
        return Condition(Level.FAILED, text)

    async def _drain(self, hurry: asyncio.Event) -> None:
        """Router, then services; whoever is left then is killed."""
        forced = asyncio.create_task(hurry.wait())
        draining = asyncio.create_task(self._stop_in_order())
        await asyncio.wait({forced, draining}, return_when=asyncio.FIRST_COMPLETED)
        forced.cancel()
        if not draining.done():
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
        await asyncio.gather(*(process.kill() for process in self._processes.values()))
        await asyncio.gather(*self._keepers)

    async def _stop_in_order(self) -> None:
        await self._stop(self._router)
        await asyncio.gather(*(self._stop(name) for name in self._plans if name != self._router))

    async def _stop(self, name: str) -> None:
        if not await self._processes[name].stop(self._plans[name].stop_seconds):
            self._on_condition(name, Condition(Level.FAILED, "did not drain in time and was killed"))


def _reason(exit_code: int) -> str:
    """An exit code in words; negative ones are signals."""
    return f"exit code {exit_code}" if exit_code >= 0 else signal.Signals(-exit_code).name
