"""The mesh as a service of systemd's."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from mesh.cli import app as cli
from mesh.cli.commands.service import planned_unit
from mesh.cli.machine.systemd import NAME, Systemd, Unit
from mesh.cli.output.outcome import CommandError


class FakeSystemd:
    """Notes what it is asked, and answers each verb with what a test says."""

    def __init__(self, **answers: "subprocess.CompletedProcess[str]") -> None:
        self.asked: list[str] = []
        self._answers = answers

    def __call__(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        self.asked.append(" ".join(command))
        done = subprocess.CompletedProcess(command, 0, "", "")
        return next((answer for verb, answer in self._answers.items() if verb in command), done)


def failure(text: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.CompletedProcess([], 1, "", text)


@pytest.mark.parametrize("user", [None, "root"])
@pytest.mark.parametrize("folder", ["mesh", "my photos 100% $HOME"])
def test_systemd_accepts_the_unit(tmp_path: Path, user: str | None, folder: str) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("missing: systemd-analyze (apt-get install -y systemd)")
    home = tmp_path / folder
    (home / ".venv/bin").mkdir(parents=True)
    command = home / ".venv/bin/immich-mesh"
    command.symlink_to(sys.executable)
    path = tmp_path / NAME
    path.write_text(Unit(command, home, 85, user).text)
    done = subprocess.run(
        [analyze, "verify", *(["--user"] if user is None else []), path],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_it_may_drain_as_long_as_the_supervisor_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIP_DRAIN_SECONDS", "300")
    monkeypatch.setenv("ROUTER_DRAIN_SECONDS", "40")
    assert planned_unit(None).stop_seconds >= 340


def test_install_writes_the_unit_and_starts_it(tmp_path: Path) -> None:
    run = FakeSystemd()
    unit = Unit(Path("/opt/mesh/immich-mesh"), Path("/opt/mesh"), 85)
    systemd = Systemd(system=False, folder=tmp_path / "user", run=run)
    systemd.install(unit)
    assert systemd.path.read_text() == unit.text
    assert run.asked[-2:] == ["systemctl --user daemon-reload", f"systemctl --user enable --now {NAME}"]
    assert systemd.linger("ann") == ""
    assert run.asked[-1] == "loginctl enable-linger ann"


def test_without_a_running_systemd_nothing_is_written(tmp_path: Path) -> None:
    systemd = Systemd(True, tmp_path, FakeSystemd(show=failure("Failed to connect to bus:\nNo medium found")))
    with pytest.raises(CommandError, match="Failed to connect to bus: No medium found"):
        systemd.install(Unit(Path("/opt/mesh/immich-mesh"), Path("/opt/mesh"), 85, "ann"))
    assert not systemd.path.exists()


def test_a_user_whose_systemd_is_not_there_is_told_what_to_do(tmp_path: Path) -> None:
    """After `su`, say, which opens no session of systemd's."""
    fake = FakeSystemd(show=failure("Failed to connect to bus: No medium found"))
    with pytest.raises(CommandError, match="with sudo and --system"):
        Systemd(False, tmp_path, fake).install(Unit(Path("/x/immich-mesh"), Path("/x"), 85))
    assert not list(tmp_path.iterdir())


def test_uninstall_ends_it_first_and_may_be_repeated(tmp_path: Path) -> None:
    run = FakeSystemd()
    systemd = Systemd(True, tmp_path, run)
    systemd.path.write_text("[Unit]\n")
    assert systemd.uninstall()
    assert not systemd.path.exists()
    assert run.asked == [f"systemctl disable --now {NAME}", "systemctl daemon-reload"]
    assert not systemd.uninstall()


def test_state_is_what_systemd_says(tmp_path: Path) -> None:
    told = subprocess.CompletedProcess([], 0, "ActiveState=active\nMainPID=7\nExecMainStartTimestamp=Mon a=b\n", "")
    state = Systemd(False, tmp_path, FakeSystemd(show=told)).state()
    assert state == {"ActiveState": "active", "MainPID": "7", "ExecMainStartTimestamp": "Mon a=b"}


def test_status_says_that_it_does_not_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    told = "ActiveState=active\nSubState=running\nUnitFileState=enabled\nExecMainStartTimestamp=now\nNRestarts=12\n"
    fake = FakeSystemd(show=subprocess.CompletedProcess([], 0, told, ""))
    systemd = Systemd(False, tmp_path, fake)
    systemd.path.touch()
    monkeypatch.setattr(Systemd, "of_this_machine", lambda system: systemd)
    assert cli.run(["service", "status"]) == 0
    shown = capsys.readouterr().out
    assert shown == "active (running), since now, restarts: 12 (immich-mesh logs says why), starts at boot\n"


def test_a_wrong_setting_is_not_tried_again_and_again(tmp_path: Path) -> None:
    assert "RestartPreventExitStatus=2" in Unit(tmp_path / "immich-mesh", tmp_path, 85).text.splitlines()


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [(["service", "install"], "systemctl"), (["service", "status"], "systemctl"), (["logs"], "journalctl")],
)
def test_a_machine_without_systemd_is_told_what_is_missing(
    arguments: list[str], missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert cli.run(arguments) == 1
    assert f"no program {missing}" in capsys.readouterr().err


def test_a_log_that_nothing_writes_is_told_with_what_makes_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cli.run(["logs"]) == 1
    assert "`immich-mesh service install` makes it" in capsys.readouterr().err


def test_show_prints_the_unit_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["service", "install", "--show", "--system", "--user", "ann"]) == 0
    shown = capsys.readouterr().out
    assert f"WorkingDirectory={tmp_path}\n" in shown
    assert "User=ann\n" in shown
