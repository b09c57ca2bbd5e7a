"""The supervisor at a terminal: signals in, board out."""

import asyncio
import signal
from contextlib import AsyncExitStack, suppress

from rich.console import Console

from launcher.board import Board
from launcher.plans import HEALTH_NAMES, MachinePlan
from launcher.probes import Condition, RouterProbe, ServiceProbe
from launcher.supervisor import Probe, Supervisor

PATIENCE_SECONDS = 60.0
"""The summary is shown by then, whatever is still on its way."""


async def run_machine(machine: MachinePlan) -> None:
    """Runs everything until SIGINT or SIGTERM, then drains; the second signal ends at once."""
    board = Board(Console(), machine, machine.router_settings.log_format)
    stop, hurry, settled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            hurry.set()
        else:
            board.line("mesh", "draining: router first, then the services (Ctrl-C again ends at once)")
        stop.set()

    def on_condition(name: str, condition: Condition) -> None:
        board.condition(name, condition)
        if supervisor.settled:
            settled.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    async with AsyncExitStack() as stack:
        probes = await _probes(machine, stack)
        supervisor = Supervisor(machine, probes, board.line, on_condition)
        board.open()
        stack.callback(board.close)
        teller = asyncio.create_task(_tell(board, settled))
        stack.callback(teller.cancel)
        await supervisor.run(stop, hurry)
    board.line("mesh", "everything has ended")


async def _tell(board: Board, settled: asyncio.Event) -> None:
    """Shows the summary, once."""
    with suppress(TimeoutError):
        await asyncio.wait_for(settled.wait(), PATIENCE_SECONDS)
    board.close()
    board.summary()


async def _probes(machine: MachinePlan, stack: AsyncExitStack) -> dict[str, Probe]:
    """One probe per process, calling as the router does (its TLS and token)."""
    settings = machine.router_settings
    token = settings.auth_token.get_secret_value() if settings.auth_token else None
    probes: dict[str, Probe] = {}
    for plan in machine.services:
        service = ServiceProbe(plan.address, HEALTH_NAMES[plan.name], settings.upstream_tls, token)
        probes[plan.name] = await stack.enter_async_context(service)
    secret_hosts = settings.listeners.immich_ml.secret_hosts
    host = secret_hosts[0].get_secret_value() if secret_hosts else None
    probes[machine.router.name] = await stack.enter_async_context(RouterProbe(f"http://{machine.router.address}", host))
    return probes
