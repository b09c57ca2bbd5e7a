"""How `make setup` and `make run` come by uv, and what they ask of it: programs that note how they are called."""

import os
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.containers.dockerfile import ROOT

TOOLS = ("sh", "make", "sed", "cmp", "mv", "test", "mkdir", "cp", "chmod")
MIRROR = "https://mirror.example/simple"


class Project:
    """A folder with this project's Makefile and lock file, and a PATH that holds what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "programs"
        self.calls = folder / "calls"
        self.programs.mkdir()
        for name in TOOLS:
            found = shutil.which(name)
            assert found, name
            (self.programs / name).symlink_to(found)
        for name in ("Makefile", "uv.lock"):
            shutil.copy(ROOT / name, folder)

    def program(self, name: str, script: str = "", folder: Path | None = None) -> Path:
        """A program that notes its arguments, then does `script`."""
        path = (folder or self.programs) / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{script}\n')
        path.chmod(0o755)
        return path

    def make(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": str(self.programs), "HOME": str(self.folder), **variables}
        return subprocess.run(
            ["make", "-C", self.folder, *arguments], env=environment, capture_output=True, text=True, check=False
        )

    @property
    def called(self) -> list[str]:
        """What was called, but for the question whether there is a Python."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [line for line in lines if not line.startswith("uv python find")]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def pip(project: Project) -> None:
    """A python3 whose pip brings a uv, and has no index of its own."""
    fetched = project.program("uv", folder=project.folder)
    brings = f"mkdir -p .tools/uv/bin && cp {fetched} .tools/uv/bin/uv"
    project.program("python3", f'case "$*" in *"pip install"*) {brings};; *) exit 1;; esac')


def test_the_uv_on_path_installs_as_locked(project: Project) -> None:
    project.program("uv")
    project.program("python3", "exit 1")
    done = project.make("setup")
    assert done.returncode == 0, done.stderr
    (call,) = [call for call in project.called if call.startswith("uv ")]
    assert call.startswith("uv sync --locked --no-default-groups --extra all --extra cpu ")
    assert call.endswith("--group dev --group bench")
    assert not any("pip install" in call for call in project.called)


def test_without_uv_pip_brings_the_locked_version_once(project: Project) -> None:
    pip(project)
    for _ in range(2):
        done = project.make("setup")
        assert done.returncode == 0, done.stderr
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    (locked,) = [package["version"] for package in lock["package"] if package["name"] == "uv"]
    assert [call for call in project.called if "pip install" in call] == [
        f"python3 -m pip install -q --disable-pip-version-check --target .tools/uv uv=={locked}"
    ]
    assert len([call for call in project.called if call.startswith("uv sync")]) == 2
    assert version("uv") == locked


def test_a_python_that_does_not_fit_is_fetched_and_a_failure_says_what_to_do(project: Project) -> None:
    no_python = 'case "$*" in "python find"*) exit 2;; "python install"*) {0};; esac'
    project.program("python3", "exit 1")
    project.program("uv", no_python.format("exit 0"))
    assert project.make("setup").returncode == 0
    assert "uv python install 3.12" in project.called
    project.program("uv", no_python.format('echo "mirror $UV_PYTHON_INSTALL_MIRROR"; exit 1'))
    (project.folder / ".env").write_text(f"UV_PYTHON_INSTALL_MIRROR={MIRROR}\n")
    done = project.make("setup")
    assert done.returncode != 0
    assert "UV_PYTHON_INSTALL_MIRROR in .env" in done.stderr
    assert f"mirror {MIRROR}" in done.stdout


def test_without_uv_and_pip_one_sentence_says_what_to_install(project: Project) -> None:
    project.program("python3", "exit 1")
    done = project.make("setup")
    assert done.returncode != 0
    assert "Install uv (https://docs.astral.sh/uv/), or pip for this python3" in done.stderr


@pytest.mark.parametrize(("device", "extra"), [("", "cpu"), ("cuda", "cuda"), ("tensorrt", "cuda"), ("cpu", "cpu")])
def test_run_installs_for_its_device_and_leaves_a_development_environment_one(
    project: Project, device: str, extra: str
) -> None:
    project.program("uv")
    project.program("python3", "exit 1")
    programs = project.folder / ".venv/bin"
    programs.mkdir(parents=True)
    project.program("immich-mesh", folder=programs)
    assert project.make("run", DEVICE=device).returncode == 0
    assert project.called[-2:] == [
        f"uv sync --locked --no-default-groups --extra all --extra {extra}",
        "immich-mesh up",
    ]
    (programs / "pytest").touch()
    assert project.make("run", DEVICE=device).returncode == 0
    assert project.called[-2].endswith(
        f"--extra {extra} --extra openvino --extra otel --extra quantise --group dev --group bench"
    )


@pytest.mark.parametrize("given", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", "pip.conf"])
def test_a_mirror_gives_the_files_and_the_lock_their_versions(project: Project, given: str) -> None:
    """Installed once; again when the lock has changed."""
    answers = f'case "$*" in *"config get"*) echo {MIRROR};; esac'
    project.program("python3", answers if given == "pip.conf" else "exit 1")
    project.program(
        "uv",
        'case "$1" in export) cp uv.lock .venv.txt;; venv) mkdir -p .venv/bin && cp /bin/true .venv/bin/python;; esac',
    )
    variables = {} if given == "pip.conf" else {given: MIRROR}
    done = project.make("setup", **variables)
    assert done.returncode == 0, done.stderr
    calls = [call.split()[1:3] for call in project.called if call.startswith("uv ")]
    assert calls == [["export", "-q"], ["venv", "-q"], ["pip", "sync"], ["pip", "install"]]
    assert all(f"--default-index {MIRROR}" in call for call in project.called if call.startswith("uv pip"))
    assert any("--require-hashes" in call for call in project.called)
    project.calls.unlink()
    assert project.make("setup", **variables).returncode == 0
    assert [call.split()[1] for call in project.called if call.startswith("uv ")] == ["export"]
    with (project.folder / "uv.lock").open("a") as lock:
        lock.write("# changed\n")
    assert project.make("setup", **variables).returncode == 0
    assert any(call.startswith("uv pip sync") for call in project.called)


def test_pypi_named_outright_is_no_mirror(project: Project) -> None:
    project.program("uv")
    project.program("python3", "exit 1")
    assert project.make("setup", PIP_INDEX_URL="https://pypi.org/simple/").returncode == 0
    assert [call.split()[1] for call in project.called if call.startswith("uv ")] == ["sync"]


def test_a_python_that_does_not_fit_is_replaced_by_one_that_uv_brings() -> None:
    """uv chooses by the project's range; its newest of that range is what it would fetch."""
    from uv import find_uv_bin

    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    offered = subprocess.run(
        [find_uv_bin(), "python", "list", "--only-downloads", wanted],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "UV_PYTHON_DOWNLOADS": "automatic"},
    ).stdout
    assert {line.split("-")[1].rsplit(".", 1)[0] for line in offered.splitlines()} == {"3.12", "3.11"}


def test_the_env_file_says_device_and_index_to_make_as_well(project: Project) -> None:
    project.program("python3", "exit 1")
    project.program(
        "uv",
        'case "$1" in export) cp uv.lock .venv.txt;; venv) mkdir -p .venv/bin && cp /bin/true .venv/bin/python;; esac',
    )
    programs = project.folder / ".venv/bin"
    programs.mkdir(parents=True)
    project.program("immich-mesh", folder=programs)
    (project.folder / ".env").write_text(
        f"DB_PASSWORD='a$b'\nexport DEVICE=\"cuda\"\nUV_DEFAULT_INDEX={MIRROR} # near\n"
    )
    done = project.make("run")
    assert done.returncode == 0, done.stderr
    assert any("--extra cuda" in call for call in project.called if call.startswith("uv export"))
    assert all(f"--default-index {MIRROR}" in call for call in project.called if call.startswith("uv pip"))
    assert project.make("run", DEVICE="cpu").returncode == 0
    assert "--extra cpu" in [call for call in project.called if call.startswith("uv export")][-1]


def test_modules_are_compiled_when_they_are_installed(project: Project) -> None:
    """The dependencies by uv, our own by Python: where it may not write, every start would compile them."""
    project.program("uv", 'echo "compiles: $UV_COMPILE_BYTECODE" >> calls')
    project.program("python3", "exit 1")
    programs = project.folder / ".venv/bin"
    programs.mkdir(parents=True)
    project.program("python", folder=programs)
    done = project.make("install")
    assert done.returncode == 0, done.stderr
    assert "compiles: 1" in project.called
    (own,) = [call for call in project.called if call.startswith("python -m compileall -q ")]
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert own.split()[4:] == wheel["packages"]
