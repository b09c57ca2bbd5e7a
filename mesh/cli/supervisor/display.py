"""What `up` shows: the processes' lines with their names before them, changes as they happen, and one summary."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.cells import set_cell_size
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mesh.cli.clients.connection import DEFAULT_URL
from mesh.cli.machine.plan import EVERYWHERE, reachable
from mesh.cli.machine.plans import MachinePlan
from mesh.cli.machine.ports import interface_address, lan_address
from mesh.cli.machine.routers import public
from mesh.cli.output.language import tr
from mesh.cli.output.phrases import localised
from mesh.cli.supervisor.door import DoorCheck
from mesh.cli.supervisor.probes import Level, ProcessCondition, starting
from mesh.core.settings import LogFormat
from mesh.core.version import mesh_version

COLOURS = {
    "ocr": "cyan",
    "clip": "magenta",
    "face": "yellow",
    "router": "green",
    "router-2": "bright_green",
    "mesh": "bold",
}
TRIED = {"ocr": "call ocr PHOTO", "clip": "call clip PHOTO", "face": "call face PHOTO"}
"""What is called to try a service."""
MARK_COLOURS = {Level.READY: "green", Level.COMING: "yellow", Level.FAILED: "red"}
STEP = 0.1
"""Progress is shown in steps of this share where there is no live line."""


class Display:
    """The terminal of `up`.

    Args:
        console: where to write.
        machine: what runs.
        log_format: JSON lines are passed on as they are, so that a collector can read them.
    """

    def __init__(self, console: Console, machine: MachinePlan, log_format: LogFormat = LogFormat.PRETTY) -> None:
        self._console = console
        self._machine = machine
        self._plain = log_format is LogFormat.JSON
        self._conditions: dict[str, ProcessCondition] = {plan.name: starting() for plan in machine.plans}
        self._width = max(len(name) for name in ("mesh", *self._conditions))
        self._shown: dict[str, str] = {}
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None

    def open(self) -> None:
        """Begins the live line, at a terminal."""
        if self._live:
            self._live.start()

    def close(self) -> None:
        """Ends the live line."""
        if self._live:
            self._live.stop()

    def line(self, name: str, text: str) -> None:
        """One line that a process wrote."""
        if self._plain:
            self._console.out(text, highlight=False)
            return
        prefix = Text(f"{name:<{self._width}} | ", style=COLOURS.get(name, ""))
        self._console.print(prefix + Text(text), soft_wrap=True, highlight=False)

    def condition(self, name: str, condition: ProcessCondition) -> None:
        """A change of a process's condition: shown once per change, a download once per step."""
        self._conditions[name] = condition
        text = describe(condition)
        if text != self._shown.get(name):
            self._shown[name] = text
            if not (self._live and condition.progress is not None):
                self.line("mesh", f"{name}: {text}")
        if self._live:
            self._live.update(self._footer(), refresh=True)

    def summary(self, door: Sequence[DoorCheck] = ()) -> None:
        """Addresses, what is ready and what is not, how Immich is behind the front door, and what to do next."""
        lines = ["", f"[bold]Immich Mesh {mesh_version()}[/bold]", *self._listeners(), *self._services(), *_door(door)]
        for line in [*lines, *self._next_steps(), ""]:
            self._console.print(line, highlight=False, soft_wrap=True)

    def _footer(self) -> Table:
        """One row per process that is on its way."""
        table = Table.grid(padding=(0, 2))
        for name, condition in self._conditions.items():
            if condition.level is Level.COMING:
                share = "" if condition.progress is None else f"{_bar(condition.progress)} {condition.progress:4.0%}"
                table.add_row(Text(name, style=COLOURS.get(name, "")), escape(localised(condition.text)), share)
        return table

    def _listeners(self) -> Iterator[str]:
        for router in self._machine.routers:
            for name, listener in router.listeners.items():
                url = f"http://{public(listener.host)}:{listener.port}"
                yield _row(title(name), url, *_marked(self._conditions[router.name]))
        closed = self._machine.router_settings.listeners.mt_photos
        if closed.enabled and closed.api_key is None:
            word = tr("closed")
            yield _row(title("mt_photos"), "", f"[dim]{word}[/dim]", tr("opens when MT_PHOTOS_API_KEY is set"))

    def _services(self) -> Iterator[str]:
        for plan in self._machine.services:
            yield _row(plan.name, plan.address, *_marked(self._conditions[plan.name]))

    def _next_steps(self) -> list[str]:
        listeners = [router.settings.listeners.immich_ml for router in self._machine.routers]
        steps = []
        if reachable(listeners[0].host) == "127.0.0.1" and listeners[0].host not in EVERYWHERE:
            setting = "ROUTER_LISTENERS__IMMICH_ML__HOST=0.0.0.0"
            text = tr("Next: set {setting} and start again, so that other machines reach the router")
            steps.append(text.format(setting=f"[bold]{setting}[/bold]"))
        urls = [f"http://{lan_address()}:{listener.port}" for listener in listeners]
        both = tr(" (enter both: Immich takes the second while the first is away)") if len(urls) > 1 else ""
        shown = tr(" and ").join(f"[bold]{url}[/bold]" for url in urls)
        text = tr(
            "Next: in Immich, Administration > Settings > Machine Learning > URL: {urls}; "
            "raise the job concurrency there"
        )
        steps.append(text.format(urls=shown + both))
        if listeners[0].host in EVERYWHERE:
            steps.append(_from_docker(listeners[0].port))
        if any(condition.level is Level.FAILED for condition in self._conditions.values()):
            text = tr("Mend: {command} says how to get ready what is not")
            steps.append(text.format(command=f"[bold]{typed_command()} doctor[/bold]"))
        own = f"http://{self._machine.routers[0].address}"
        here = "" if own == DEFAULT_URL else f" --url {own}"
        called = next((TRIED[plan.name] for plan in self._machine.services if plan.name in TRIED), "ps")
        steps.append(tr("Try:  {command}    Stop: Ctrl-C").format(command=f"{typed_command()} {called}{here}"))
        return steps

    @property
    def conditions(self) -> Mapping[str, ProcessCondition]:
        """What is known of every process."""
        return self._conditions


def title(listener: str) -> str:
    """What a listener is for."""
    titles = {
        "immich_ml": tr("Immich ML API"),
        "mt_photos": tr("MT Photos API"),
        "photos": tr("photo front door"),
        "admin": tr("admin page"),
    }
    return titles[listener]


def mark(level: Level) -> str:
    """A level in a word or two."""
    return {Level.READY: tr("ready"), Level.COMING: tr("on its way"), Level.FAILED: tr("not ready")}[level]


def _from_docker(port: int) -> str:
    """How an Immich in Docker reaches this machine, where `localhost` is its own container."""
    desktop = f"http://host.docker.internal:{port}"
    if bridge := interface_address("docker0"):
        text = tr("      Immich in Docker here: {url}, or with Docker Desktop {desktop}; not localhost")
        return text.format(url=f"http://{bridge}:{port}", desktop=desktop)
    text = tr("      Immich in Docker here: the same, or with Docker Desktop {desktop}; not localhost")
    return text.format(desktop=desktop)


def typed_command() -> str:
    """How to type this command here: by its name where a shell finds it, else by its path."""
    own = Path(sys.executable).with_name("immich-mesh")
    if shutil.which("immich-mesh") or not own.exists():
        return "immich-mesh"
    return str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own)


def describe(condition: ProcessCondition) -> str:
    """A condition in words; a download's share in whole steps, so that it is not shown too often."""
    if condition.progress is not None:
        return f"{localised(condition.text)} ({int(condition.progress / STEP) * STEP:.0%})"
    return f"{mark(condition.level)}: {localised(condition.text)}"


def _door(checks: Sequence[DoorCheck]) -> Iterator[str]:
    """A row for each thing that is looked at in Immich; what is wrong with its remedy below."""
    levels = {True: Level.READY, None: Level.COMING, False: Level.FAILED}
    for check in checks:
        colour, word = MARK_COLOURS[levels[check.ok]], {True: tr("well"), None: "-", False: tr("to mend")}[check.ok]
        yield _row(localised(check.subject), "", f"[{colour}]{word}[/{colour}]", escape(localised(check.text)))
        if check.ok is False and check.remedy:
            yield f"  {'':<16} [dim]{escape(localised(check.remedy))}[/dim]"


def _row(title: str, address: str, mark: str, text: str) -> str:
    return f"  {set_cell_size(title, 16)} {address:<27} {mark}  {text}"


def _marked(condition: ProcessCondition) -> tuple[str, str]:
    colour = MARK_COLOURS[condition.level]
    share = "" if condition.progress is None else f" {condition.progress:.0%}"
    return f"[{colour}]{mark(condition.level)}[/{colour}]", escape(localised(condition.text)) + share


def _bar(share: float) -> str:
    filled = round(20 * share)
    return "█" * filled + "░" * (20 - filled)
