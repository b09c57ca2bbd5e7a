"""The supervisor at a terminal: signals in, display out."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

from rich.console import Console

from mesh.cli.machine.plans import MachinePlan
from mesh.cli.output.language import tr
from mesh.cli.supervisor.display import Display
from mesh.cli.supervisor.door import DoorProbe
from mesh.cli.supervisor.probes import HEALTH_NAMES, ProcessCondition, RouterProbe, ServiceProbe
from mesh.cli.supervisor.sockets import bind_all
from mesh.cli.supervisor.supervisor import ConditionProbe, Supervisor
from mesh.core.rpc.tokens import BearerToken

SUMMARY_SECONDS = 60.0
"""A first summary is shown by then, whatever is still on its way."""


class DrainingConsole(Console):
    """A console that tells when nobody reads on. rich's own would end the process, and leave the services undrained."""

    def on_broken_pipe(self) -> None:
        """Writes nothing more. Raises BrokenPipeError."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BrokenPipeError


def draining() -> str:
    """What a person should know who has just asked for the end."""
    return tr(
        "draining: new requests are refused from now on, those that are being answered are finished, then all ends. "
        "Immich drops a job that is refused: pause its queues before a planned stop, or find what was lost later with "
        "`immich-mesh reprocess --missing`. Ctrl-C again ends at once, and loses what is being answered."
    )


async def run_machine(machine: MachinePlan) -> None:
    """Runs everything until SIGINT or SIGTERM, then drains; the second signal ends at once.

    Raises CommandError: a listener's port is taken.
    """
    routers = bind_all(machine.routers)
    machine = replace(machine, routers=tuple(one.plan for one in routers))
    display = Display(DrainingConsole(), machine, machine.router_settings.log_format)
    stop, hurry, settled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def on_line(name: str, text: str) -> None:
        """Shows a line. Where nobody can read on (a closed terminal, `| head`), the mesh ends as by Ctrl-C."""
        try:
            display.line(name, text)
        except OSError:
            stop.set()

    def on_signal() -> None:
        if stop.is_set():
            hurry.set()
        else:
            on_line("mesh", draining())
        stop.set()

    def on_condition(name: str, condition: ProcessCondition) -> None:
        try:
            display.condition(name, condition)
        except OSError:
            stop.set()
        if supervisor.settled:
            settled.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    async with AsyncExitStack() as stack:
        probes = await _probes(machine, stack)
        supervisor = Supervisor(machine.services, routers, probes, on_line, on_condition)
        # A terminal that closes ends the mesh; without one, SIGHUP means what it means to the router.
        loop.add_signal_handler(signal.SIGHUP, on_signal if sys.stdin.isatty() else supervisor.reload)
        display.open()
        summaries = asyncio.create_task(_summarise(display, settled, DoorProbe.of(machine)))
        try:
            await supervisor.run(stop, hurry)
        finally:
            summaries.cancel()
            with suppress(OSError):
                display.close()
    on_line("mesh", tr("everything has ended"))


async def _summarise(display: Display, settled: asyncio.Event, door: DoorProbe) -> None:
    """Shows the summary when everything has settled, and a first one when that takes long."""
    try:
        await asyncio.wait_for(settled.wait(), SUMMARY_SECONDS)
    except TimeoutError:
        checks = await door.checks()
        with suppress(OSError):  # nobody is there to read it
            display.summary(checks)
        await settled.wait()
    checks = await door.checks()
    with suppress(OSError):
        display.close()
        display.summary(checks)


async def _probes(machine: MachinePlan, stack: AsyncExitStack) -> dict[str, ConditionProbe]:
    """One probe per process, calling as the router does (its TLS and token)."""
    settings = machine.router_settings
    token = BearerToken.of(settings.auth_token, settings.auth_token_file)
    secret_hosts = settings.listeners.immich_ml.secret_hosts
    host = secret_hosts[0].get_secret_value() if secret_hosts else None
    probes: dict[str, ConditionProbe] = {}
    for plan in machine.services:
        service = ServiceProbe(plan.address, HEALTH_NAMES[plan.name], settings.upstream_tls, token)
        probes[plan.name] = await stack.enter_async_context(service)
    for router in machine.routers:
        probes[router.name] = await stack.enter_async_context(RouterProbe(f"http://{router.address}", host))
    return probes
