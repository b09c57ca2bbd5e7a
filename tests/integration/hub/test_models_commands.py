"""`immich-mesh models` as a person types it, against a hub on loopback."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from mesh.cli import app as cli
from mesh.cli.commands import models as models_commands
from mesh.cli.output.download_bar import download_bar
from mesh.hub.catalogue import Family
from mesh.hub.fetch.progress import DownloadProgress, FetchStage
from tests.builders import write_clip, write_faces
from tests.builders.hub import FakeHub, fake_hub

DATA = Path(__file__).parent / "data"


pytestmark = pytest.mark.usefixtures("restored_logs")


@pytest.fixture(autouse=True)
def mounted() -> None:
    """As `mesh.cli.app` mounts it."""
    if not any(group.name == "models" for group in cli.app.registered_groups):
        cli.app.add_typer(models_commands.app, name="models")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    folder = write_faces(tmp_path / "origin")
    content = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.onnx")}
    monkeypatch.setenv("MESH_CACHE_FOLDER", str(tmp_path / "cache"))
    for variable in ("OCR_PORT", "CLIP_PORT", "FACE_PORT"):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            monkeypatch.setenv(variable, str(free.getsockname()[1]))
    with fake_hub({"immich-app/antelopev2": content}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


def test_pull_downloads_once_and_list_shows_it(
    hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["models", "pull", "antelopev2"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"antelopev2 is in {tmp_path}/cache/facial-recognition/antelopev2\n"
    assert "downloading" in shown.err
    asked = len(hub.requests)
    assert cli.run(["models", "pull", "antelopev2"]) == 0
    assert len(hub.requests) == asked
    capsys.readouterr()
    assert cli.run(["models", "list", "--family", "face", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["antelopev2"]["state"], rows["antelopev2"]["dimension"]) == ("cached", 512)
    assert rows["buffalo_l"]["state"] == "-"


def test_list_shows_ours_first_and_the_rest_on_demand(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["models", "list"]) == 0
    short = capsys.readouterr().out
    assert "ViT-B-16__cn-clip" in short
    assert "bundled" in short
    assert "ViT-B-32__openai" not in short
    assert "58 more" in short
    assert cli.run(["models", "list", "--all", "--family", "clip"]) == 0
    assert "ViT-B-32__openai" in capsys.readouterr().out


def test_a_model_of_ones_own_is_listed(hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(tmp_path / "cache", "my-own")
    assert cli.run(["models", "list", "--json", "--family", "clip"]) == 0
    (mine,) = [row for row in json.loads(capsys.readouterr().out) if row["name"] == "my-own"]
    assert mine["state"] == "cached"


def test_import_converts_what_was_downloaded_by_hand(
    hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["models", "import", "cn-clip/ViT-B-16", str(DATA / "pair-dynamo")]) == 0
    assert (tmp_path / "cache/clip/ViT-B-16__cn-clip/visual/model.onnx").is_file()
    assert cli.run(["models", "import", "cn-clip/ViT-B-16", str(DATA / "pair-dynamo")]) == 4
    assert "already there" in capsys.readouterr().err
    assert cli.run(["models", "import", "buffalo_s", str(tmp_path / "origin/facial-recognition/buffalo_l")]) == 0
    assert cli.run(["models", "import", "buffalo_m", str(DATA)]) == 4
    assert "lacks detection/model.onnx" in capsys.readouterr().err
    assert hub.requests == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["pull", "bufalo_l"], 4, "did you mean buffalo_l"),
        (["pull", "../../etc/passwd"], 4, "no model is called"),
        (["pull", "buffalo_m"], 4, "has no repository immich-app/buffalo_m"),
        (["pull", "cn-clip/ViT-H-14"], 4, "models export cn-clip/ViT-H-14"),
        (["list", "--family", "dogs"], 2, "--family is one of"),
        (["export", "ViT-B-32__openai"], 4, "choose one of cn-clip/ViT-B-16"),
        (["import", "buffalo_l", "/no/such/folder"], 2, "does not exist"),
    ],
)
def test_errors_are_one_line_with_their_code(
    hub: FakeHub, arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["models", *arguments]) == code
    error = capsys.readouterr().err.strip()
    assert message in error
    assert error.startswith("immich-mesh: ")
    assert "\n" not in error


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("list", "pull", "import", "export"):
        cli.run(["models", command, "--help"])
        assert f"immich-mesh models {command}" in capsys.readouterr().out


def test_outside_a_terminal_a_download_says_something_each_tenth() -> None:
    console = Console(record=True, width=200, force_terminal=False)
    with download_bar("m", console) as show:
        for done in range(1001):
            show(DownloadProgress("m", FetchStage.DOWNLOADING, done * 1_000_000, 1_000_000_000))
        show(DownloadProgress("m", FetchStage.ADAPTING, 1_000_000_000, 1_000_000_000))
    lines = console.export_text().splitlines()
    assert len(lines) == 12
    assert lines[5] == "m: downloading, 500 of 1000 MB"
    assert lines[-1] == "m: converting"


def test_in_a_terminal_it_is_a_bar() -> None:
    console = Console(record=True, width=120, force_terminal=True)
    with download_bar("m", console) as show:
        show(DownloadProgress("m", FetchStage.DOWNLOADING, 250_000_000, 1_000_000_000))
    assert "25%" in console.export_text()


def test_every_family_has_a_store() -> None:
    assert set(models_commands._stores(None)) == set(Family)
