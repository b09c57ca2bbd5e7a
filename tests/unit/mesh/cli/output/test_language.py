"""What the command says in Chinese: all of it, with the values that belong into it, and as compiled."""

import gettext
import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from mesh.cli import app as cli
from mesh.cli.output.language import DOMAIN, LOCALES, tr

CLI = Path(__file__).resolve().parents[5] / "mesh/cli"
FOLDER = LOCALES / "zh_CN/LC_MESSAGES"


def said() -> set[str]:
    """Every message of the code that is to be translated."""
    found = extract_from_dir(CLI, [("**.py", "python")], keywords={"tr": None})
    return {str(message) for _, _, message, *_ in found}


def translated() -> dict[str, str]:
    with (FOLDER / "mesh.po").open("rb") as file:
        return {str(entry.id): str(entry.string) for entry in read_po(file) if entry.id and not entry.fuzzy}


def test_every_message_has_its_translation_and_no_translation_is_left_over() -> None:
    assert set(translated()) == said()
    assert len(said()) > 40
    assert not [message for message, chinese in translated().items() if not chinese]


def test_a_translation_has_the_values_and_commands_of_its_message() -> None:
    for message, chinese in translated().items():
        for part in (r"\{\w+\}", r"`[^`]+`"):
            assert sorted(re.findall(part, message)) == sorted(re.findall(part, chinese)), message


def test_what_is_read_is_what_was_written() -> None:
    """`make generate` compiles it."""
    with (FOLDER / "mesh.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    assert {message: compiled.gettext(message) for message in translated()} == translated()


def test_the_language_is_that_of_the_terminal(chinese: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert tr("ready") == "就绪"
    assert cli.run(["doctor"]) in {0, 1}
    assert "正常  Python" in capsys.readouterr().out


def test_a_language_without_a_catalogue_is_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "xx")
    assert gettext.translation(DOMAIN, LOCALES, fallback=True).gettext("ready") == "ready"
