"""The systemd unit of `immich-mesh up`: its text, where it belongs, and what systemd says of it."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh.cli.output.outcome import CommandError, ExitCode, one_line

NAME = "immich-mesh.service"
SYSTEM_FOLDER = Path("/etc/systemd/system")

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Unit:
    """The unit of one installation.

    Attributes:
        command: the program `immich-mesh`, an absolute path.
        folder: where it is called: its `.env` has the settings.
        stop_seconds: how long draining may take.
        user: who runs it, of a system's unit; None for a user's own unit.
    """

    command: Path
    folder: Path
    stop_seconds: int
    user: str | None = None

    @property
    def text(self) -> str:
        """The file's content."""
        whose = [f"User={self.user}", "ProtectSystem=full"] if self.user else []
        target = "multi-user.target" if self.user else "default.target"
        online = ["Wants=network-online.target", "After=network-online.target"] if self.user else []
        lines = [
            "# Written by `immich-mesh service install`; settings belong into .env in WorkingDirectory.",
            "[Unit]",
            "Description=Immich Mesh, machine learning for Immich",
            *online,
            "",
            "[Service]",
            "Type=exec",
            *whose,
            f"WorkingDirectory={escaped(self.folder)}",
            f"ExecStart={quoted(self.command)} up",
            "ExecReload=/bin/kill -HUP $MAINPID",
            "Restart=on-failure",
            "RestartSec=5",
            "# A wrong setting stays wrong.",
            f"RestartPreventExitStatus={ExitCode.USAGE.value}",
            "# The supervisor drains routers first, then services; systemd's signal goes to it alone.",
            "KillMode=mixed",
            f"TimeoutStopSec={self.stop_seconds}",
            "NoNewPrivileges=true",
            "",
            "[Install]",
            f"WantedBy={target}",
        ]
        return "\n".join(lines) + "\n"


def escaped(path: Path) -> str:
    """A path as systemd reads it: a percent sign begins a specifier."""
    return str(path).replace("%", "%%")


def quoted(path: Path) -> str:
    """A path as the program of a command line of systemd's, in which no variable is looked for."""
    text = escaped(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if " " in text else text


class Systemd:
    """systemd of the machine, or of the user who calls.

    Args:
        system: the machine's, which takes root.
        folder: where its units are written.
        run: runs a program and gives what it said.
    """

    def __init__(self, system: bool, folder: Path, run: Run) -> None:
        self.system = system
        self.path = folder / NAME
        self._run = run

    @classmethod
    def of_this_machine(cls, system: bool) -> "Systemd":
        """Raises CommandError: there is no systemd."""
        if shutil.which("systemctl") is None:
            raise CommandError("this machine has no systemd (no program systemctl): run `immich-mesh up` otherwise")
        return cls(system, SYSTEM_FOLDER if system else Path.home() / ".config/systemd/user", run_program)

    def install(self, unit: Unit, start: bool = True) -> None:
        """Writes the unit and has it started now and at every boot. Raises CommandError."""
        self.control("show", "--property=Version")  # before anything is written: is systemd there to be asked?
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(unit.text)
        except OSError as error:
            hint = ": call it with sudo, or leave out --system" if self.system else ""
            raise CommandError(f"cannot write {self.path}: {error.strerror or error}{hint}") from None
        self.control("daemon-reload")
        if start:
            self.control("enable", "--now", NAME)

    def linger(self, user: str) -> str:
        """Lets a user's services go on after logout; what keeps it from that, or nothing."""
        done = self._run(["loginctl", "enable-linger", user])
        return "" if done.returncode == 0 else one_line(done.stderr or done.stdout)

    def uninstall(self) -> bool:
        """Ends the service and takes its unit away; whether there was one. Raises CommandError."""
        if not self.path.exists():
            return False
        self.control("disable", "--now", NAME)
        self.path.unlink()
        self.control("daemon-reload")
        return True

    def control(self, *words: str) -> str:
        """What `systemctl` prints. Raises CommandError."""
        command = ["systemctl", *([] if self.system else ["--user"]), *words]
        done = self._run(command)
        if done.returncode != 0:
            reason = one_line(done.stderr or done.stdout)
            if not self.system and " bus" in reason:
                raise CommandError(
                    f"your own systemd cannot be reached ({reason}): log in as this user, not by su, or take the "
                    "machine's with sudo and --system"
                )
            raise CommandError(f"{' '.join(command)}: {reason}")
        return done.stdout

    def state(self) -> dict[str, str]:
        """What systemd knows of the service, by its names of the properties. Raises CommandError."""
        properties = "ActiveState,SubState,UnitFileState,MainPID,ExecMainStartTimestamp,NRestarts"
        lines = self.control("show", NAME, f"--property={properties}").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


def run_program(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Runs a program. Raises CommandError: it is not there."""
    try:
        return subprocess.run(list(command), capture_output=True, text=True, check=False)  # noqa: S603 - of fixed words
    except FileNotFoundError:
        raise CommandError(f"this machine has no program {command[0]}", ExitCode.FAILED) from None
