"""What `up` shows: the processes' lines with their names before them, changes as they happen, and one summary."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mesh.cli.clients.connection import DEFAULT_URL
from mesh.cli.supervisor.plans import MachinePlan, reachable
from mesh.cli.supervisor.ports import lan_address
from mesh.cli.supervisor.probes import STARTING, Condition, Level
from mesh.core.settings import LogFormat
from mesh.core.version import mesh_version
from router.config import ListenerSettings

COLOURS = {"ocr": "cyan", "clip": "magenta", "face": "yellow", "router": "green", "mesh": "bold"}
MARKS = {Level.READY: ("ready", "green"), Level.COMING: ("on its way", "yellow"), Level.FAILED: ("not ready", "red")}
NAME_WIDTH = 6
EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - read, not bound
STEP = 0.1
"""Progress is told in steps of this share where there is no live line."""


class Board:
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
        self._conditions: dict[str, Condition] = {plan.name: STARTING for plan in (*machine.services, machine.router)}
        self._told: dict[str, str] = {}
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
        prefix = Text(f"{name:<{NAME_WIDTH}} | ", style=COLOURS.get(name, ""))
        self._console.print(prefix + Text(text), soft_wrap=True, highlight=False)

    def condition(self, name: str, condition: Condition) -> None:
        """A change of a process's condition: told once per change, a download once per step."""
        self._conditions[name] = condition
        text = phrase(condition)
        if text != self._told.get(name):
            self._told[name] = text
            if not (self._live and condition.progress is not None):
                self.line("mesh", f"{name}: {text}")
        if self._live:
            self._live.update(self._footer(), refresh=True)

    def summary(self) -> None:
        """Addresses, what is ready and what is not, and what to do next."""
        lines = ["", f"[bold]Immich Mesh {mesh_version()}[/bold]", *self._listeners(), *self._services()]
        for line in [*lines, *self._next_steps(), ""]:
            self._console.print(line, highlight=False, soft_wrap=True)

    def _footer(self) -> Table:
        """One row per process that is on its way."""
        table = Table.grid(padding=(0, 2))
        for name, condition in self._conditions.items():
            if condition.level is Level.COMING:
                share = "" if condition.progress is None else f"{_bar(condition.progress)} {condition.progress:4.0%}"
                table.add_row(Text(name, style=COLOURS.get(name, "")), escape(condition.text), share)
        return table

    def _listeners(self) -> Iterator[str]:
        listeners = self._machine.router_settings.listeners
        titled: dict[str, ListenerSettings] = {
            "Immich ML API": listeners.immich_ml,
            "MT Photos API": listeners.mt_photos,
            "admin page": listeners.admin,
        }
        if listeners.photos.immich_url:
            titled["photo front door"] = listeners.photos
        for title, listener in titled.items():
            host = lan_address() if listener.host in EVERYWHERE else reachable(listener.host)
            if listener is listeners.mt_photos and listeners.mt_photos.api_key is None:
                yield _row(title, "", "[dim]closed[/dim]", "opens when MT_PHOTOS_API_KEY is set")
            elif listener.enabled:
                yield _row(title, f"http://{host}:{listener.port}", *_marked(self._conditions["router"]))

    def _services(self) -> Iterator[str]:
        for plan in self._machine.services:
            yield _row(plan.name, plan.address, *_marked(self._conditions[plan.name]))

    def _next_steps(self) -> list[str]:
        listener = self._machine.router_settings.listeners.immich_ml
        steps = []
        if reachable(listener.host) == "127.0.0.1" and listener.host not in EVERYWHERE:
            setting = "ROUTER_LISTENERS__IMMICH_ML__HOST=0.0.0.0"
            steps.append(f"Next: set [bold]{setting}[/bold] and start again, so that other machines reach the router")
        url = f"http://{lan_address()}:{listener.port}"
        steps.append(
            f"Next: in Immich, Administration > Settings > Machine Learning > URL: [bold]{url}[/bold]"
            " (and raise the job concurrency there)"
        )
        if any(condition.level is Level.FAILED for condition in self._conditions.values()):
            steps.append(f"Mend: [bold]{typed_command()} doctor[/bold] says how to get ready what is not")
        own = f"http://{self._machine.router.address}"
        here = "" if own == DEFAULT_URL else f" --url {own}"
        steps.append(f"Try:  {typed_command()} call ocr PHOTO{here}    Stop: Ctrl-C")
        return steps

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """What is known of every process."""
        return self._conditions


def typed_command() -> str:
    """How to type this command here: by its name where a shell finds it, else by its path."""
    own = Path(sys.executable).with_name("immich-mesh")
    if shutil.which("immich-mesh") or not own.exists():
        return "immich-mesh"
    return str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own)


def phrase(condition: Condition) -> str:
    """A condition in words; a download's share in whole steps, so that it is not told too often."""
    if condition.progress is not None:
        return f"{condition.text} ({int(condition.progress / STEP) * STEP:.0%})"
    return f"{MARKS[condition.level][0]}: {condition.text}"


def _row(title: str, address: str, mark: str, text: str) -> str:
    return f"  {title:<16} {address:<27} {mark}  {text}"


def _marked(condition: Condition) -> tuple[str, str]:
    mark, colour = MARKS[condition.level]
    share = "" if condition.progress is None else f" {condition.progress:.0%}"
    return f"[{colour}]{mark}[/{colour}]", escape(condition.text) + share


def _bar(share: float) -> str:
    filled = round(20 * share)
    return "█" * filled + "░" * (20 - filled)
