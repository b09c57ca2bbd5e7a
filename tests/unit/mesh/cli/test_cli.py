"""Every command's help has an example, and every failure is one line with a code."""

import json
from pathlib import Path

import pytest

from mesh.cli import app as cli
from mesh.cli.clients.client import OcrOptions
from mesh.cli.clients.results import AnsweredFace, AnsweredLine, ClipAnswer, FaceAnswer, OcrAnswer
from mesh.cli.commands import doctor as doctor_command
from mesh.cli.doctor.finding import bad, good

COMMANDS = [["up"], ["call"], ["call", "ocr"], ["call", "face"], ["call", "clip"], ["call", "text"], ["doctor"]]
COMMANDS += [["check-config"], ["config-schema"], ["search"], ["reprocess"], ["db"], ["models"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_examples_or_exit_codes(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example" in shown or "Exit codes" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["orc"], 2, "No such command 'orc'"),
        (["call", "ocr"], 2, "Missing argument 'PHOTO'"),
        (["call", "ocr", "missing.jpg"], 2, "cannot read missing.jpg: No such file or directory"),
        (["call", "ocr", "photo.jpg", "--min-score", "7"], 2, "--min-score"),
        (["call", "ocr", "photo.jpg", "--url", "http://127.0.0.1:9"], 3, "cannot reach the router"),
        (["call", "clip", "photo.jpg", "--grpc", "--address", "127.0.0.1:9"], 3, "127.0.0.1:9: "),
        (["call", "clip", "photo.jpg", "--address", "127.0.0.1:9"], 2, "need --grpc"),
        (["call", "ocr", "empty.jpg"], 2, "is empty"),
        (["up", "--without", "faces"], 2, "--without knows ocr, clip, face, not faces"),
    ],
)
def test_a_failure_is_one_line_and_a_code(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    (tmp_path / "empty.jpg").write_bytes(b"")
    assert cli.run(arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("immich-mesh: ")
    assert message in error
    assert error.count("\n") == 1


def test_several_wrong_settings_have_a_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"OCR_PORT": "x", "CLIP_PORT": "99999", "CLIP_THREADS": "-1", "DEVICE": "toaster"}.items():
        monkeypatch.setenv(name, value)
    assert cli.run(["models", "list"]) == 2
    headline, *faults = capsys.readouterr().err.splitlines()
    assert headline == "immich-mesh: 4 things are wrong:"
    assert [fault.split(":")[0] for fault in faults] == ["  OCR_PORT", "  DEVICE", "  CLIP_PORT", "  CLIP_THREADS"]


class FakeMesh:
    """A client that knows one answer of each kind."""

    def recognize(self, photo: bytes, options: OcrOptions) -> OcrAnswer:
        box = ((1.0, 2.0), (3.0, 2.0), (3.0, 4.0), (1.0, 4.0))
        return OcrAnswer((AnsweredLine(f"[{photo.decode()}] {options.max_resolution}", box, 0.9, 0.8),), 10, 20)

    def detect(self, photo: bytes, model: str | None, min_score: float | None) -> FaceAnswer:
        return FaceAnswer((AnsweredFace((1, 2, 3, 4), 0.75, (1.0, 0.0)),), 10, 20)

    def encode_image(self, photo: bytes, model: str | None) -> ClipAnswer:
        return ClipAnswer((0.0, 1.0) if photo == b"dog" else (1.0, 0.0))

    def encode_text(self, text: str, model: str | None, language: str) -> ClipAnswer:
        return ClipAnswer((0.6, 0.8))

    def close(self) -> None:
        pass


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("mesh.cli.clients.connection.Connection.client", lambda *_: FakeMesh())
    for name in ("dog", "cat"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_call_shows_tables(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["call", "ocr", str(photos / "dog"), "--max-resolution", "960"]) == 0
    assert "[dog] 960" in capsys.readouterr().out
    assert cli.run(["call", "face", str(photos / "dog")]) == 0
    assert "2 x 2" in capsys.readouterr().out
    assert cli.run(["call", "clip", str(photos / "dog")]) == 0
    assert "2 numbers, length 1.0000" in capsys.readouterr().out


def test_call_prints_json_for_programs(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["call", "ocr", str(photos / "dog"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["lines"][0]["box"] == [[1, 2], [3, 2], [3, 4], [1, 4]]
    assert (answer["width"], answer["height"]) == (10, 20)


def test_a_sentence_ranks_photos(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["call", "text", "一只狗", "--json", "--against", str(photos / "cat"), "--against", str(photos / "dog")]
    assert cli.run(arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [Path(entry["photo"]).name for entry in answer["photos"]] == ["dog", "cat"]
    assert [entry["cosine"] for entry in answer["photos"]] == pytest.approx([0.8, 0.6])


@pytest.mark.parametrize(("finding", "code"), [(good("Python", "3.11"), 0), (bad("Python", "2.7", "newer"), 1)])
def test_the_doctors_exit_code_says_whether_something_is_broken(
    finding: object, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_command, "examine", lambda: iter([finding]))
    assert cli.run(["doctor"]) == code
    assert "Python" in capsys.readouterr().out
    assert cli.run(["doctor", "--json"]) == code
    assert json.loads(capsys.readouterr().out)[0]["subject"] == "Python"
