"""`immich-mesh service` and `logs`: the mesh as a service of systemd's, which outlives a logout and a crash."""

import getpass
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mesh.cli.output.help import HelpfulTyper
from mesh.cli.output.language import tr
from mesh.cli.output.outcome import CommandError, ExitCode

if TYPE_CHECKING:
    from mesh.cli.machine.systemd import Unit

app = HelpfulTyper(
    help="Run the mesh as a service of systemd's: from boot on, after logout, again after a crash.",
    epilog="Examples: immich-mesh service install    immich-mesh logs --follow",
)

INSTALL_EXAMPLES = """Examples: immich-mesh service install    sudo immich-mesh service install --system --user photos

Settings come from the file .env of the folder in which you call this."""

LOGS_EXAMPLES = """Examples: immich-mesh logs --follow    immich-mesh logs --lines 500 --service clip"""

MARGIN_SECONDS = 15
"""For the supervisor itself, beyond the slowest process of each of its two rounds."""

SystemOption = Annotated[bool, typer.Option("--system", help="The machine's service, which takes root.")]


@app.command("install", epilog=INSTALL_EXAMPLES)
def install(
    system: SystemOption = False,
    user: Annotated[str, typer.Option("--user", help="Who runs it, with --system; without one: who called sudo.")] = "",
    show: Annotated[bool, typer.Option("--show", help="Print the unit, and change nothing.")] = False,
    start: Annotated[bool, typer.Option("--start/--no-start", help="Start it now, and at every boot.")] = True,
) -> None:
    """Write the unit, and start it now and at every boot."""
    from mesh.cli.machine.systemd import Systemd

    if user and not system:
        raise CommandError("--user is for --system: a user's own service runs as that user", ExitCode.USAGE)
    unit = planned_unit((user or os.environ.get("SUDO_USER") or getpass.getuser()) if system else None)
    if show:
        typer.echo(unit.text, nl=False)
        return
    systemd = Systemd.of_this_machine(system)
    systemd.install(unit, start)
    text = tr("{file} is written, and the mesh is started") if start else tr("{file} is written")
    typer.echo(text.format(file=systemd.path))
    if not system and (fault := systemd.linger(getpass.getuser())):
        text = tr("It ends with your session ({reason}): sudo loginctl enable-linger {user}")
        typer.echo(text.format(reason=fault, user=getpass.getuser()), err=True)
    typer.echo(tr("Its log: {command}").format(command="immich-mesh logs --follow" + (" --system" if system else "")))


@app.command("status", epilog="Example: immich-mesh service status --json")
def status(
    system: SystemOption = False, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Say whether it runs. Exit code 0 when it does, else 1."""
    from mesh.cli.machine.systemd import Systemd

    systemd = Systemd.of_this_machine(system)
    state = systemd.state()
    active = state.get("ActiveState") == "active"
    if as_json:
        typer.echo(json.dumps(state))
    elif not systemd.path.exists():
        typer.echo(tr("not installed: immich-mesh service install"))
    else:
        facts = [f"{state.get('ActiveState')} ({state.get('SubState')})"]
        facts += [tr("since {time}").format(time=state["ExecMainStartTimestamp"])] if active else []
        if (restarts := state.get("NRestarts", "0")) != "0":
            facts.append(tr("restarts: {count} (immich-mesh logs says why)").format(count=restarts))
        facts.append(tr("starts at boot") if state.get("UnitFileState") == "enabled" else tr("does not start at boot"))
        typer.echo(", ".join(facts))
    if not active:
        raise typer.Exit(ExitCode.FAILED)


@app.command("uninstall", epilog="Example: immich-mesh service uninstall")
def uninstall(system: SystemOption = False) -> None:
    """Stop it and take the unit away; settings, models and data stay."""
    from mesh.cli.machine.systemd import Systemd

    systemd = Systemd.of_this_machine(system)
    there = systemd.uninstall()
    text = tr("{file} is taken away") if there else tr("there is no {file}")
    typer.echo(text.format(file=systemd.path))


def logs(
    follow: Annotated[bool, typer.Option("--follow", help="Go on as lines come; Ctrl-C ends it.")] = False,
    lines: Annotated[int, typer.Option("--lines", min=1, help="How many of the last lines.")] = 100,
    service: Annotated[
        str, typer.Option("--service", help="Only lines of router, router-2, ocr, clip, face or mesh.")
    ] = "",
    system: SystemOption = False,
) -> None:
    """Show the log of the service that `service install` made."""
    import shutil

    from mesh.cli.machine.systemd import NAME, Systemd

    if shutil.which("journalctl") is None:
        raise CommandError("this machine has no journal (no program journalctl): `immich-mesh up` shows its log itself")
    if not Systemd.of_this_machine(system).path.exists():
        raise CommandError(
            "there is no such service: `immich-mesh service install` makes it; `immich-mesh up` shows its log itself"
        )
    words = ["journalctl", "--unit" if system else "--user-unit", NAME, "--output=cat", f"--lines={lines}"]
    words += ["--follow"] if follow else []
    words += [f"--grep=^{service} *\\|"] if service else []
    sys.stdout.flush()
    os.execvp(words[0], words)  # noqa: S606 - of fixed words, and of a service's name as one word


def planned_unit(user: str | None) -> "Unit":
    """The unit of this installation and folder. Raises CommandError: settings are wrong."""
    from mesh.cli.machine.plans import plan_machine
    from mesh.cli.machine.systemd import Unit

    machine = plan_machine()
    rounds = [max(plan.stop_seconds for plan in plans) for plans in (machine.routers, machine.services)]
    command = Path(sys.executable).with_name("immich-mesh")
    return Unit(command, Path.cwd(), round(sum(rounds)) + MARGIN_SECONDS, user)
