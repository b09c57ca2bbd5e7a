"""What goes wrong, while the load goes on."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.chaos.fleet import Fleet
from bench.chaos.load import Load


@dataclass(frozen=True)
class Pace:
    """How long things take: seconds between blows, and of an outage."""

    between: float = 3.0
    outage: float = 20.0
    pause: float = 15.0


Trouble = Callable[[Fleet, Load, Pace], Awaitable[None]]


async def calm(fleet: Fleet, load: Load, pace: Pace) -> None:
    """Nothing goes wrong."""


async def kill(fleet: Fleet, load: Load, pace: Pace) -> None:
    """kill -9 of one replica after the other, each started again."""
    number = 0
    while not load.finished:
        for group in fleet.replicas.values():
            await group[number % len(group)].restart(signal.SIGKILL)
        number += 1
        await asyncio.sleep(pace.between)


async def outage(fleet: Fleet, load: Load, pace: Pace) -> None:
    """All replicas of one family are gone for a while."""
    group = next(iter(fleet.replicas.values()))
    await asyncio.sleep(pace.between)
    await asyncio.gather(*(replica.kill() for replica in group))
    await asyncio.sleep(pace.outage)
    await asyncio.gather(*(replica.start() for replica in group))


async def freeze(fleet: Fleet, load: Load, pace: Pace) -> None:
    """One replica of every family is paused (SIGSTOP) and goes on later."""
    await asyncio.sleep(pace.between)
    first = [group[0] for group in fleet.replicas.values()]
    for replica in first:
        replica.send_signal(signal.SIGSTOP)
    await asyncio.sleep(pace.pause)
    for replica in first:
        replica.send_signal(signal.SIGCONT)


async def garbage(fleet: Fleet, load: Load, pace: Pace) -> None:
    """One replica of every family answers nonsense for a while, and goes on passing its health checks."""
    await _toggled(fleet, load, pace, signal.SIGUSR1)


async def saturated(fleet: Fleet, load: Load, pace: Pace) -> None:
    """One replica of every family refuses all but one call at a time."""
    await _toggled(fleet, load, pace, signal.SIGUSR2)


async def _toggled(fleet: Fleet, load: Load, pace: Pace, number: int) -> None:
    first = [group[0] for group in fleet.replicas.values()]
    for replica in first:
        replica.send_signal(number)
    await load.all_sent.wait()
    for replica in first:
        replica.send_signal(number)


async def rolling(fleet: Fleet, load: Load, pace: Pace) -> None:
    """Every replica of every family is drained and restarted, one by one."""
    for group in fleet.replicas.values():
        for replica in group:
            await replica.restart()
            await asyncio.sleep(pace.between / 3)


async def reload(fleet: Fleet, load: Load, pace: Pace) -> None:
    """The configuration is replaced ten times: endpoints leave and return, balancing changes; one of them is broken."""
    for number in range(10):
        if number == 5:
            fleet.config.write_text("clusters: {ocr: {endpoints: [", "utf-8")
        else:
            fleet.write_config(skip=number % 2, balancer="round_robin" if number % 2 else "least_request")
        await asyncio.sleep(max(0.5, pace.between / 2))
    fleet.write_config()


async def routers(fleet: Fleet, load: Load, pace: Pace) -> None:
    """The router that the client tries first is drained and restarted, again and again."""
    while not load.finished:
        await fleet.routers[0].restart()
        await asyncio.sleep(pace.between)


SCENARIOS: dict[str, Trouble] = {
    trouble.__name__: trouble for trouble in (calm, kill, outage, freeze, garbage, saturated, rolling, reload, routers)
}
