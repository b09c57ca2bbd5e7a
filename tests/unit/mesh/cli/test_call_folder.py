"""`call ocr` on a folder: one CSV, whatever single photos do."""

import csv
import io
import json
from pathlib import Path

import pytest

from mesh.cli import app as cli
from mesh.cli.clients.client import OcrOptions
from mesh.cli.clients.results import AnsweredLine, OcrAnswer
from mesh.cli.output.outcome import CommandError, ExitCode

BOX = ((3.0, 4.0), (11.0, 2.0), (12.0, 8.0), (4.0, 10.0))


class FakeReader:
    """Reads what a file holds; some files are refused, or find nobody there."""

    def recognize(self, photo: bytes, options: OcrOptions) -> OcrAnswer:
        text = photo.decode()
        if text == "damaged":
            raise CommandError("the image is damaged", ExitCode.REFUSED)
        if text == "away":
            raise CommandError("cannot reach the router", ExitCode.UNREACHABLE)
        lines = tuple(AnsweredLine(line, BOX, 0.9, 0.8) for line in text.split("|") if line != "blank")
        return OcrAnswer(lines, 20, 10)

    def close(self) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("mesh.cli.clients.connection.Connection.client", lambda *_: FakeReader())
    scans = tmp_path / "scans"
    (scans / "2024").mkdir(parents=True)
    (scans / "a.JPG").write_text('发票, "x"|4711')
    (scans / "notes.txt").write_text("no photo")
    (scans / "2024/b.png").write_text("blank")
    return scans


def test_the_text_of_every_photo_below_it_is_in_the_table(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "text.csv"
    assert cli.run(["call", "ocr", str(folder), "--csv", str(target)]) == 0
    assert target.read_bytes().startswith(b"\xef\xbb\xbf")  # so that spreadsheets take it for UTF-8
    rows = list(csv.DictReader(io.StringIO(target.read_text("utf-8-sig"))))
    assert [(row["photo"], row["line"], row["text"]) for row in rows] == [
        ("2024/b.png", "", ""),
        ("a.JPG", "1", '发票, "x"'),
        ("a.JPG", "2", "4711"),
    ]
    assert [rows[1][edge] for edge in ("left", "top", "right", "bottom")] == ["3", "2", "12", "10"]


def test_one_that_cannot_be_read_says_why_and_the_others_go_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "0.jpg").write_text("damaged")
    assert cli.run(["call", "ocr", str(folder)]) == 1
    shown = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(shown.out)))
    assert (rows[0]["photo"], rows[0]["error"]) == ("0.jpg", "the image is damaged")
    assert rows[-1]["text"] == "4711"
    assert "2 of 3 photos read" in shown.err


def test_a_mesh_that_is_away_ends_it_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "0.jpg").write_text("away")
    assert cli.run(["call", "ocr", str(folder)]) == ExitCode.UNREACHABLE
    assert "4711" not in capsys.readouterr().out


def test_json_is_one_document_a_photo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["call", "ocr", str(folder), "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["photo"], first["lines"]) == ("2024/b.png", [])
    assert [line["text"] for line in second["lines"]] == ['发票, "x"', "4711"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scans", "--draw", "out.png"], "--draw is for one photo"),
        (["scans/a.JPG", "--csv", "out.csv"], "--csv is for a folder"),
        (["scans", "--csv", "missing/out.csv"], "cannot write missing/out.csv"),
        (["empty"], "there is no photo in empty"),
    ],
)
def test_what_does_not_fit_is_wrong_usage(
    folder: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("empty").mkdir()
    assert cli.run(["call", "ocr", *arguments]) == ExitCode.USAGE
    assert message in capsys.readouterr().err
