"""What CONTRIBUTING and the page on architecture point to is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PATH = re.compile(r"`((?:[\w-]+/)+(?:[\w-]+\.(?:py|toml|md|po))?)`")
MODULE = re.compile(r"\b(?:[\w-]+/)+[\w-]+\.py\b")
ROOMS = (ROOT / "docs/architecture.md").read_text().partition("## Rooms")[2].partition("\n## ")[0]


def rows() -> Iterator[tuple[list[Path], list[str]]]:
    """Folders of a row, and the modules that it names in them."""
    for line in ROOMS.splitlines():
        cells = line.strip("|").split("|")
        folders = [ROOT / name for name in re.findall(r"`([\w/-]+/)`", cells[0])]
        if folders:
            yield folders, re.findall(r"`([a-z_]+)/?`", "|".join(cells[1:]))


@pytest.mark.parametrize(("page", "path"), [("CONTRIBUTING.md", PATH), ("docs/architecture.md", MODULE)])
def test_paths_exist(page: str, path: re.Pattern[str]) -> None:
    paths = path.findall((ROOT / page).read_text())
    assert [name for name in paths if not (ROOT / name).exists()] == []
    assert len(paths) > 10


def test_each_room_has_the_modules_that_the_page_names() -> None:
    named = 0
    for folders, modules in rows():
        there = {found.stem for folder in folders for found in folder.rglob("*") if "__pycache__" not in found.parts}
        assert set(modules) <= there, folders
        named += len(modules)
    assert named > 100
