"""Every page of `--help`, and completion in three shells."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperGroup

from mesh.cli import app as cli


def pages(command: object, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, TyperGroup):
        for name, one in command.commands.items():
            yield from pages(one, (*words, name))


PAGES = list(pages(typer.main.get_command(cli.app)))


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_help_names_arguments_and_values_as_people_do(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    usage = next(line for line in shown.splitlines() if "Usage:" in line)
    assert "{" not in usage
    assert not [kind for kind in ("<bool>", "<str>", "<path>", "<int", "<float") if kind in shown]


def test_every_command_that_comes_to_a_result_prints_it_as_json_too() -> None:
    without = {
        *(("up",), ("logs",), ("config-schema",)),  # they go on, or their output is JSON anyway
        *(("service", name) for name in ("install", "uninstall")),
    }
    found = {words for words in PAGES if words and not isinstance(command_of(words), TyperGroup)}
    assert without <= found
    for words in sorted(found - without):
        options = {name for param in command_of(words).params for name in param.opts}  # type: ignore[attr-defined]
        assert "--json" in options, words


def command_of(words: tuple[str, ...]) -> object:
    command: object = typer.main.get_command(cli.app)
    for word in words:
        assert isinstance(command, TyperGroup)
        command = command.commands[word]
    return command


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_there_for(shell: str) -> None:
    asked = {"_IMMICH_MESH_COMPLETE": f"source_{shell}"}
    script = subprocess.run(
        [sys.executable, "-m", "mesh.cli.app"], env=os.environ | asked, capture_output=True, text=True, check=True
    ).stdout
    assert "_IMMICH_MESH_COMPLETE" in script
    asked = {"_IMMICH_MESH_COMPLETE": f"complete_{shell}", "COMP_WORDS": "immich-mesh re", "COMP_CWORD": "1"}
    asked |= {"_TYPER_COMPLETE_ARGS": "immich-mesh re", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    offered = subprocess.run(
        [sys.executable, "-m", "mesh.cli.app"], env=os.environ | asked, capture_output=True, text=True, check=True
    ).stdout
    assert "reprocess" in offered
    assert "doctor" not in offered
