"""`immich-mesh doctor`: what is wrong on this machine, or with a mesh elsewhere, and how to mend it."""

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape

from mesh.cli.doctor.finding import Finding, Verdict, bad
from mesh.cli.output.language import tr
from mesh.cli.output.outcome import ExitCode
from mesh.cli.output.phrases import localised

if TYPE_CHECKING:
    from mesh.cli.machine.plans import MachinePlan

EXAMPLES = """Examples: immich-mesh doctor    immich-mesh doctor --immich http://immich-server:2283 --api-key ...
immich-mesh doctor --admin-url http://door:9901    immich-mesh doctor --json | jq '.[] | select(.verdict == "bad")'

Exit codes: 0 nothing is broken, 1 something is."""

COLOURS = {Verdict.GOOD: "green", Verdict.NOTE: "yellow", Verdict.BAD: "red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    immich: Annotated[
        str,
        typer.Option("--immich", envvar="IMMICH_URL", metavar="URL", help="Immich's own address, to look at it too."),
    ] = "",
    api_key: Annotated[
        str, typer.Option("--api-key", envvar="IMMICH_API_KEY", help="An administrator's API key for that.")
    ] = "",
    admin_url: Annotated[
        str,
        typer.Option(
            "--admin-url",
            envvar="IMMICH_MESH_ADMIN_URL",
            metavar="URL",
            help="The admin page of a router in containers or elsewhere, which is asked instead of this machine.",
        ),
    ] = "",
) -> None:
    """Look for what is wrong with the mesh, and say how to mend it."""
    findings = [*(examine_elsewhere(admin_url) if admin_url else examine())]
    findings += examine_immich(immich, api_key) if immich else []
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        show(findings)
    if any(finding.verdict is Verdict.BAD for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


def examine() -> Iterator[Finding]:
    """All findings, from the ground up."""
    from mesh.cli.doctor import hardware, installation, mesh
    from mesh.cli.doctor.parts import Parts

    parts = Parts.here()
    yield from installation.check_python()
    if parts.services:
        yield from installation.check_packages()
    yield from installation.check_imports(parts.modules)
    yield from hardware.check_memory()
    yield from mesh.check_names()
    settings_findings, services, machine = mesh.check_settings(parts)
    yield from settings_findings
    if parts.services:
        yield from hardware.check_device(services)
    for folder in dict.fromkeys(settings.cache_folder for settings in services.values()):
        yield from hardware.check_disk(folder)
    yield from mesh.check_models(services)
    if machine is not None:
        from mesh.cli.doctor import running

        yield from asyncio.run(running.check_running(machine))
    url, wanted = database_of(machine)
    if (url or wanted) and parts.reaches_database:
        from mesh.cli.doctor import database

        yield from asyncio.run(database.check_database(url))


def examine_elsewhere(admin_url: str) -> Iterator[Finding]:
    """What the router at that address tells, and whether the database can be used from here."""
    from mesh.cli.clients.admin_client import AdminClient
    from mesh.cli.doctor import database, installation, mesh
    from mesh.cli.doctor.elsewhere import check_elsewhere

    yield from installation.check_python()
    yield from mesh.check_names()
    with AdminClient(admin_url) as client:
        yield from check_elsewhere(client)
    if url := database_of(None)[0]:
        yield from asyncio.run(database.check_database(url))


def database_of(machine: "MachinePlan | None") -> tuple[str | None, bool]:
    """The database's URL, by the router's settings where they can be read, and whether there is a front door for it."""
    from sql.immich_environment import immich_database_url

    photos = machine.router_settings.listeners.photos if machine else None
    if photos and photos.database.url:
        return photos.database.url.get_secret_value(), True
    return immich_database_url(os.environ), bool(photos and photos.immich_url)


def examine_immich(url: str, api_key: str) -> list[Finding]:
    """What Immich's own API tells."""
    from pydantic import ValidationError

    from mesh.cli.doctor.immich import check_immich
    from router.config import config_path
    from router.config.file import ConfigError, load

    try:
        served = load(config_path()).clip_model
    except ConfigError:
        served = ""  # told already, among the settings
    try:
        return asyncio.run(check_immich(url, api_key or None, served))
    except ValidationError as error:
        fault = error.errors()[0]["msg"].removeprefix("Value error, ")
        return [bad("Immich", f"{url}: {fault}", "write it like http://immich-server:2283")]


def show(findings: list[Finding]) -> None:
    """One line each, its remedy below it, and a last line that says whether to worry; in the reader's language."""
    console = Console(highlight=False, soft_wrap=True)
    words = {Verdict.GOOD: tr("good"), Verdict.NOTE: tr("note"), Verdict.BAD: tr("bad")}
    mend = tr("mend:")
    marks = max(cell_len(word) for word in words.values())
    subjects = [localised(finding.subject) for finding in findings]
    width = max(map(cell_len, subjects))
    for subject, finding in zip(subjects, findings, strict=True):
        mark = f"[{COLOURS[finding.verdict]}]{set_cell_size(words[finding.verdict], marks)}[/]"
        console.print(f"{mark}  [bold]{set_cell_size(subject, width)}[/bold]  {escape(localised(finding.text))}")
        if finding.remedy:
            console.print(f"{'':<{width + marks + 4}}[dim]{mend}[/dim] {escape(localised(finding.remedy))}")
    broken = sum(finding.verdict is Verdict.BAD for finding in findings)
    text = tr("{count} to mend.").format(count=broken) if broken else tr("Nothing is broken.")
    console.print(f"[{'red' if broken else 'green'}]{text}[/]")
