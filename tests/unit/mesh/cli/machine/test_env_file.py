"""The `.env` of the folder in which the command is called."""

from pathlib import Path

import pytest

from mesh.cli import app as cli
from mesh.cli.machine.env_file import read_env_file


def test_it_sets_what_is_not_set_already(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# for China\nHF_ENDPOINT=https://hf-mirror.com\nDB_PASSWORD='p w#1'\nOCR_PORT=1\nexport DEVICE=cpu\nBARE\n"
    )
    environment = {"OCR_PORT": "50061"}
    assert read_env_file(tmp_path, environment) == tmp_path / ".env"
    assert environment == {
        "HF_ENDPOINT": "https://hf-mirror.com",
        "DB_PASSWORD": "p w#1",
        "OCR_PORT": "50061",
        "DEVICE": "cpu",
    }


def test_without_one_nothing_changes(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    assert read_env_file(tmp_path, environment) is None
    assert environment == {}


def test_every_command_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLIP_PORT", "50052")  # put back afterwards, whatever the file sets
    monkeypatch.delenv("CLIP_PORT")
    (tmp_path / ".env").write_text("CLIP_PORT=99999\n")
    assert cli.run(["models", "list"]) == 2
    assert "CLIP_PORT" in capsys.readouterr().err
