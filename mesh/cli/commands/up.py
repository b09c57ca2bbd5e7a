"""`immich-mesh up`: everything on this machine under one supervisor."""

import asyncio
from typing import Annotated

import typer

from mesh.cli.output.outcome import CommandError, ExitCode
from mesh.cli.output.phrases import localised

EXAMPLES = """Examples: immich-mesh up    immich-mesh up --without face    DEVICE=cuda immich-mesh up

Ctrl-C drains (routers first) and ends; a second Ctrl-C ends at once."""


def up(
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without",
            metavar="NAME",
            help="Leave out a service: ocr, clip or face. Its tasks go to IMMICH_API, or are refused.",
        ),
    ] = None,
) -> None:
    """Start routers and services on this machine, and keep them running."""
    from mesh.cli.machine.plans import plan_machine
    from mesh.cli.machine.preflight import busy_ports, missing_devices, package_faults
    from mesh.cli.machine.settings import unknown_names
    from mesh.cli.supervisor.foreground import run_machine

    for unknown in unknown_names():
        typer.echo(f"immich-mesh: {localised(str(unknown))}", err=True)
    machine = plan_machine(frozenset(without or ()))
    if not machine.services:
        raise CommandError("nothing is left to run: leave out fewer services", ExitCode.USAGE)
    if faults := package_faults() + missing_devices(machine.services) + busy_ports(machine.plans):
        raise CommandError.of(faults)
    asyncio.run(run_machine(machine))
