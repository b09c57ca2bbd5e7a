"""What goes wrong around real services, while the load goes on. Clients try both routers, as Immich does."""

import asyncio
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bench.chaos.fleet import Fleet, Process
from bench.chaos.load import Load
from bench.chaos.scenarios import Pace, Trouble
from bench.chaos.services import on_full_disk, with_hub

BUSY_PROCESSES_PER_CORE = 4


async def calm(fleet: Fleet, load: Load, pace: Pace) -> None:
    """Nothing goes wrong."""


async def killed(fleet: Fleet, load: Load, pace: Pace) -> None:
    """kill -9 of one process after the other, services and both routers in turn, at least 5 s apart and once the one
    before is back."""
    processes = [process for group in zip(*fleet.replicas.values(), strict=True) for process in group]
    order = [*processes, fleet.routers[0], *processes, fleet.routers[1]]
    number = 0
    while not load.finished:
        await asyncio.sleep(pace.between)
        await order[number % len(order)].restart(signal.SIGKILL)
        await fleet.ready()
        number += 1


async def stopped(fleet: Fleet, load: Load, pace: Pace) -> None:
    """SIGSTOP of the first replica of every family; it goes on later."""
    await asyncio.sleep(pace.between)
    first = [group[0] for group in fleet.replicas.values()]
    for process in first:
        process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(pace.pause)
    for process in first:
        process.send_signal(signal.SIGCONT)


async def blocked_hub(fleet: Fleet, load: Load, pace: Pace) -> None:
    """Every service is started again where each connection to the hub is reset; its models are in the cache."""
    async with _resetting() as port:
        await _restarted(fleet, lambda process: with_hub(process, f"http://127.0.0.1:{port}"))


async def no_dns(fleet: Fleet, load: Load, pace: Pace) -> None:
    """Every service is started again where the hub's name cannot be resolved; its models are in the cache."""
    await _restarted(fleet, lambda process: with_hub(process, "http://hub.invalid"))


async def full_disk(fleet: Fleet, load: Load, pace: Pace) -> None:
    """Every service is started again where nothing can be written, neither a file nor a line of its log."""
    await _restarted(fleet, on_full_disk)


async def starved(fleet: Fleet, load: Load, pace: Pace) -> None:
    """Foreign processes, four to a core, keep the machine busy."""
    command = [sys.executable, "-c", "while True: pass"]
    foreign = [
        subprocess.Popen(command)  # noqa: ASYNC220 - started at once
        for _ in range(BUSY_PROCESSES_PER_CORE * (os.cpu_count() or 1))
    ]
    try:
        await asyncio.wait([asyncio.create_task(load.all_sent.wait())], timeout=pace.outage * 3)
    finally:
        for process in foreign:
            process.kill()
            process.wait()


async def _restarted(fleet: Fleet, changed: Callable[[Process], Process]) -> None:
    """Rolls every replica into the changed world, and back at the end."""
    before = {family: list(group) for family, group in fleet.replicas.items()}
    for group in fleet.replicas.values():
        for number, process in enumerate(group):
            group[number] = await _replaced(process, changed(process))
            await fleet.ready()
    for family, group in fleet.replicas.items():
        for number, process in enumerate(before[family]):
            group[number] = await _replaced(group[number], process)


async def _replaced(old: Process, new: Process) -> Process:
    old.send_signal(signal.SIGTERM)
    await old.ended()
    await new.start()
    return new


@asynccontextmanager
async def _resetting() -> AsyncIterator[int]:
    """A port where every connection is reset, as a blocked hub's are."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


REAL_SCENARIOS: dict[str, Trouble] = {
    trouble.__name__: trouble for trouble in (calm, killed, stopped, blocked_hub, no_dns, full_disk, starved)
}
