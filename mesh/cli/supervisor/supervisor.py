"""Runs routers and services on this machine: starts, watches, restarts and drains them.

Order matters at both ends. Services start first (a router holds what comes before they are ready, but why let it); the
routers stop first, so that requests in flight still find the services behind them.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from mesh.cli.machine.plan import Plan
from mesh.cli.supervisor.probes import Level, ProcessCondition, silent, starting
from mesh.cli.supervisor.process import LineListener, ManagedProcess, ProcessState, module_command
from mesh.cli.supervisor.sockets import BoundRouter

POLL_SECONDS = 0.5
STEADY_SECONDS = (5.0, 10.0, 20.0)
"""A process that was ready is asked again after these times, one after the other, and then after the last of them:
asking is most of what an idle mesh does. When it ends is known at once."""
SILENCE_SECONDS = 30.0
"""A process that has answered keeps its condition for so long without another answer."""


class ConditionProbe(Protocol):
    """What the supervisor needs of a probe."""

    async def check(self) -> ProcessCondition | None:
        """The condition of its process now; None when it does not answer."""
        ...


ProcessFactory = Callable[[Plan, Sequence[int], LineListener], ManagedProcess]
"""Makes the process of a plan, given the descriptors that it inherits."""
ConditionListener = Callable[[str, ProcessCondition], None]
"""Gets (name of the process, its condition), on every change."""


def start_module(plan: Plan, descriptors: Sequence[int], on_line: LineListener) -> ManagedProcess:
    """The process of a plan, not yet started."""
    command = module_command(plan.module)
    return ManagedProcess(plan.name, command, plan.environment, on_line, descriptors=descriptors)


class Supervisor:
    """The processes of one machine.

    Args:
        services: what to run behind the routers.
        routers: what to run in front, with the sockets that are kept for them.
        probes: one per process name.
        on_line: gets every line of output.
        on_condition: gets every change of a condition.
        start: makes a process of a plan (tests replace it).
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        services: Sequence[Plan],
        routers: Sequence[BoundRouter],
        probes: Mapping[str, ConditionProbe],
        on_line: LineListener,
        on_condition: ConditionListener,
        start: ProcessFactory = start_module,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.conditions: dict[str, ProcessCondition] = {}
        self._routers = tuple(routers)
        self._plans: dict[str, Plan] = {plan.name: plan for plan in (*services, *(one.plan for one in routers))}
        self._router_names = tuple(one.plan.name for one in routers)
        descriptors = {one.plan.name: one.descriptors for one in routers}
        self._processes = {name: start(plan, descriptors.get(name, ()), on_line) for name, plan in self._plans.items()}
        self._probes = probes
        self._on_condition = on_condition
        self._clock = clock
        self._answered: dict[str, tuple[int | None, float]] = {}
        self._same_answers = dict.fromkeys(self._plans, 0)
        self._ends_told = dict.fromkeys(self._plans, 0)
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def processes(self) -> Mapping[str, ManagedProcess]:
        """The processes by name."""
        return self._processes

    @property
    def settled(self) -> bool:
        """Whether every process is ready, failed, or busy with a download: nothing more will happen soon."""
        known = [self.conditions.get(name, starting()) for name in self._plans]
        return all(one.level is not Level.COMING or one.progress is not None for one in known)

    def reload(self) -> None:
        """Makes the routers read their configuration file again."""
        for name in self._router_names:
            if pid := self._processes[name].pid:
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
            await self._look(name)
            process = self._processes[name]
            left = self._steady_until(name, process.pid) - self._clock()
            await process.turn(left if left > 0 and process.state is ProcessState.RUNNING else POLL_SECONDS)

    async def _look(self, name: str) -> None:
        process = self._processes[name]
        # Since the last look it may have ended and run again: that it ended, and why, is told all the same.
        if process.ends > self._ends_told[name] and process.state is ProcessState.RUNNING:
            self._change(name, _ended(process))
        self._ends_told[name] = process.ends
        self._change(name, await self._condition(name))

    def _change(self, name: str, condition: ProcessCondition) -> None:
        if condition != self.conditions.get(name):
            self.conditions[name] = condition
            self._on_condition(name, condition)

    async def _condition(self, name: str) -> ProcessCondition:
        """What the process says of itself while it runs, else what became of it."""
        process = self._processes[name]
        if process.state is ProcessState.RUNNING:
            if self._clock() < self._steady_until(name, process.pid):
                return self.conditions[name]
            return self._answer(name, process.pid, await self._probes[name].check())
        return _ended(process) if process.last_exit is not None else starting()

    def _steady_until(self, name: str, pid: int | None) -> float:
        """Until when this life of it counts as ready, having said so with nothing under way."""
        answered_pid, at = self._answered.get(name, (None, 0.0))
        known = self.conditions.get(name)
        if known is None or known.level is not Level.READY or known.progress is not None or answered_pid != pid:
            return float("-inf")
        return at + STEADY_SECONDS[min(self._same_answers[name], len(STEADY_SECONDS) - 1)]

    def _answer(self, name: str, pid: int | None, answer: ProcessCondition | None) -> ProcessCondition:
        """A running process's condition. One answer that does not come is no news: on a busy machine it is late."""
        if answer is not None:
            same = answer == self.conditions.get(name) and self._answered.get(name, (None, 0.0))[0] == pid
            self._same_answers[name] = self._same_answers[name] + 1 if same else 0
            self._answered[name] = pid, self._clock()
            return answer
        answered_pid, at = self._answered.get(name, (None, 0.0))
        if answered_pid != pid:  # this life of it has not answered yet
            return starting()
        return self.conditions.get(name, starting()) if self._clock() - at < SILENCE_SECONDS else silent()

    async def _drain(self, hurry: asyncio.Event) -> None:
        """Routers, then services; whoever is left then is killed."""
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
        for router in self._routers:  # or connections would go on queueing for nobody
            router.close()
        await asyncio.gather(*(self._stop(name) for name in self._router_names))
        await asyncio.gather(*(self._stop(name) for name in self._plans if name not in self._router_names))

    async def _stop(self, name: str) -> None:
        if not await self._processes[name].stop(self._plans[name].stop_seconds):
            self._on_condition(name, ProcessCondition(Level.FAILED, "did not drain in time and was killed"))


def _ended(process: ManagedProcess) -> ProcessCondition:
    times = f" {process.ends} times" if process.ends > 1 else ""
    return ProcessCondition(Level.FAILED, f"ended{times} ({process.last_exit}), is started again")
