"""`scripts/bootstrap.py`: Python, index, uv and what is remembered, without a network."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from scripts import bootstrap as bootstrap_script


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, with its tools folder and the environment's index settings out of the way."""
    monkeypatch.setattr(bootstrap_script, "TOOLS", tmp_path / "tools")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(bootstrap_script, "pip_setting", lambda _: None)
    return bootstrap_script


def fake_python(folder: Path, name: str, version: str) -> Path:
    """A program that answers as an interpreter of that version would."""
    program = folder / name
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    return program


def test_another_python_on_path_is_taken(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newer = fake_python(tmp_path, "python3", "3 13")
    wanted = fake_python(tmp_path, "python3.12", "3 12")
    monkeypatch.setattr(sys, "executable", str(newer))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bootstrap.find_python(tmp_path / "venv") == str(wanted)


def test_a_shim_that_does_not_run_is_passed_over(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    wanted = fake_python(tmp_path, "python3.11", "3 11")
    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bootstrap.find_python(tmp_path / "venv") == str(wanted)


def test_no_supported_python_is_a_clear_refusal(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(fake_python(tmp_path, "python3", "3 13")))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(bootstrap.RefusalError, match=r"needs Python 3\.11 or 3\.12.*\nInstall one"):
        bootstrap.find_python(tmp_path / "venv")


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_older_and_newer_pythons_can_read_the_script(version: str) -> None:
    import ast

    source = Path(bootstrap_script.__file__).read_text()
    ast.parse(source, feature_version=tuple(int(part) for part in version.split(".")))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("UV_DEFAULT_INDEX", "https://mirror.example/simple/", "https://mirror.example/simple"),
        ("PIP_INDEX_URL", "https://mirror.example/simple", "https://mirror.example/simple"),
        ("PIP_INDEX_URL", "https://pypi.org/simple/", None),
    ],
)
def test_the_environments_index_is_honoured(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str | None
) -> None:
    monkeypatch.setenv(name, value)
    assert bootstrap.configured_index() == expected


def test_pips_configuration_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://mirror.example/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    assert bootstrap_script.pip_setting("index-url") == "https://mirror.example/simple"


WHEEL = "uv-1-py3-none-any.whl"
JSON_PAGE = json.dumps(
    {"files": [{"filename": "other.whl", "url": "no"}, {"filename": WHEEL, "url": f"../../f/{WHEEL}"}]}
)
HTML_PAGE = f'<html><a href="../../f/other.whl">other</a><a href="../../f/{WHEEL}#sha256=00">{WHEEL}</a></html>'


@pytest.mark.parametrize("page", [JSON_PAGE, HTML_PAGE])
def test_the_wheel_is_found_on_json_and_html_pages(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setattr(bootstrap, "open_url", lambda *_: page.encode())
    assert bootstrap.wheel_url("https://mirror.example/simple", WHEEL) == f"https://mirror.example/f/{WHEEL}"


def test_an_index_without_the_wheel_says_so(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "open_url", lambda *_: b'{"files": []}')
    with pytest.raises(
        bootstrap.RefusalError, match=r"could not be fetched from the package index \(pypi\.org: it has no uv-"
    ):
        bootstrap.fetch_uv_wheel("any", "00")


def wheel_of_uv(version: str) -> bytes:
    """A wheel with one program in it, as uv's wheel has it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"uv-{version}.data/scripts/uv", f"#!/bin/sh\necho uv {version}\n")
    return buffer.getvalue()


def serving(wheel: bytes, tag: str) -> Callable[[str, str], bytes]:
    """An index of one wheel."""
    name = f"uv-{bootstrap_script.UV_VERSION}-py3-none-{tag}.whl"
    page = json.dumps({"files": [{"filename": name, "url": f"https://files.example/{name}"}]}).encode()
    return lambda url, _: wheel if url.startswith("https://files.example/") else page


def test_the_fetched_uv_runs(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = wheel_of_uv(bootstrap.UV_VERSION)
    monkeypatch.setattr(bootstrap, "open_url", serving(wheel, "any"))
    bootstrap.fetch_uv_wheel("any", hashlib.sha256(wheel).hexdigest())
    assert bootstrap.uv_works(str(bootstrap.own_uv()))


def test_a_wheel_with_another_hash_is_refused(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "open_url", serving(wheel_of_uv(bootstrap.UV_VERSION), "any"))
    with pytest.raises(bootstrap.RefusalError, match="is not the pinned file"):
        bootstrap.fetch_uv_wheel("any", "00" * 32)
    assert not bootstrap.own_uv().exists()


@pytest.mark.parametrize(("version", "works"), [("0.8.9", False), ("0.9.0", True), ("1.0.0", True), ("odd", False)])
def test_a_uv_that_is_too_old_does_not_count(bootstrap: ModuleType, tmp_path: Path, version: str, works: bool) -> None:
    program = tmp_path / "uv"
    program.write_text(f"#!/bin/sh\necho uv {version}\n")
    program.chmod(0o755)
    assert bootstrap.uv_works(str(program)) is works


def test_what_was_installed_before_stays_and_the_later_rival_wins(bootstrap: ModuleType) -> None:
    assert bootstrap.together(["all", "cpu", "otel"], ["all", "cuda"]) == ["all", "cuda", "otel"]
    assert bootstrap.together([], ["cpu"]) == ["cpu"]


def test_only_uv_is_called_and_only_once_told(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first call says what it does, the second nothing; both let uv check, so that a damaged folder is mended."""
    calls: list[list[str]] = []
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)

    def run_uv(command: list[str], _: dict[str, str]) -> None:
        calls.append(command)
        fake_python(venv / "bin", "python", "{} {}".format(*sys.version_info[:2]))

    monkeypatch.setattr(bootstrap, "run_uv", run_uv)
    monkeypatch.setattr(bootstrap, "find_uv", lambda: "uv")
    bootstrap.bootstrap(venv, ["all", "cpu"], ["dev"])
    assert "Installing all, cpu, dev into" in capsys.readouterr().out
    monkeypatch.setattr(sys, "executable", str(venv / "bin" / "python"))
    bootstrap.bootstrap(venv, ["all", "cpu"], ["dev"])  # the environment's own Python is a new path, not a new version
    assert capsys.readouterr().out == ""
    assert [command[:3] for command in calls] == [["uv", "sync", "--locked"]] * 2
    assert "--quiet" in calls[1]


def test_a_refusal_is_a_message_and_exit_code_1(tmp_path: Path) -> None:
    """As `make run` sees it: run by this Python, with nothing else on PATH and an index that does not exist."""
    environment = {"PATH": str(tmp_path), "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "HOME": str(tmp_path)}
    script = tmp_path / "project" / "scripts" / "bootstrap.py"
    script.parent.mkdir(parents=True)
    script.write_text(Path(bootstrap_script.__file__).read_text())
    command = [sys.executable, "-S", str(script), "--extra", "all"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("bootstrap: uv could not be fetched from the package index (127.0.0.1: ")
    assert "Traceback" not in done.stderr
