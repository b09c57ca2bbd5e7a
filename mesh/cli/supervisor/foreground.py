"""The supervisor at a terminal: signals in, board out."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, suppress

from rich.console import Console

from mesh.cli.supervisor.board import Board
from mesh.cli.supervisor.plans import HEALTH_NAMES, MachinePlan
from mesh.cli.supervisor.probes import Condition, RouterProbe, ServiceProbe
from mesh.cli.supervisor.supervisor import Probe, Supervisor

PATIENCE_SECONDS = 60.0
"""The summary is shown by then, whatever is still on its way."""


class DrainingConsole(Console):
    """A console that tells when nobody reads on. rich's own would end the process, and leave the services undrained."""

    def on_broken_pipe(self) -> None:
        """Writes nothing more. Raises BrokenPipeError."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BrokenPipeError


async def run_machine(machine: MachinePlan) -> None:
    """Runs everything until SIGINT or SIGTERM, then drains; the second signal ends at once."""
    board = Board(DrainingConsole(), machine, machine.router_settings.log_format)
    stop, hurry, settled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def on_line(name: str, text: str) -> None:
        """Shows a line. Where nobody can read on (a closed terminal, `| head`), the mesh ends as by Ctrl-C."""
        try:
            board.line(name, text)
        except OSError:
            stop.set()

    def on_signal() -> None:
        if stop.is_set():
            hurry.set()
        else:
            on_line("mesh", "draining: router first, then the services (Ctrl-C again ends at once)")
        stop.set()

    def on_condition(name: str, condition: Condition) -> None:
        try:
            board.condition(name, condition)
        except OSError:
            stop.set()
        if supervisor.settled:
            settled.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    async with AsyncExitStack() as stack:
        probes = await _probes(machine, stack)
        supervisor = Supervisor(machine, probes, on_line, on_condition)
        # A terminal that closes ends the mesh; without one, SIGHUP means what it means to the router.
        loop.add_signal_handler(signal.SIGHUP, on_signal if sys.stdin.isatty() else supervisor.reload)
        board.open()
        teller = asyncio.create_task(_tell(board, settled))
        try:
            await supervisor.run(stop, hurry)
        finally:
            teller.cancel()
            with suppress(OSError):
                board.close()
    on_line("mesh", "everything has ended")


async def _tell(board: Board, settled: asyncio.Event) -> None:
    """Shows the summary, once."""
    with suppress(TimeoutError):
        await asyncio.wait_for(settled.wait(), PATIENCE_SECONDS)
    with suppress(OSError):  # nobody is there to read it
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
