"""docs/architecture.md names only folders and modules that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
ROWS = [line.split("|")[1:4] for line in PAGE[PAGE.index("## Rooms") :].splitlines() if line.startswith("| `")]
ROOMS = [row for row in ROWS if row[0].strip().endswith("/`")]


def test_the_table_was_found() -> None:
    assert len(ROOMS) > 10


@pytest.mark.parametrize(("folders", "modules"), [(row[0], row[2]) for row in ROOMS], ids=[row[0] for row in ROOMS])
def test_every_room_is_as_described(folders: str, modules: str) -> None:
    roots = [ROOT / name for name in re.findall(r"`([\w/-]+)/`", folders)]
    assert roots
    for root in roots:
        assert root.is_dir(), root
    there = {
        path.stem for root in roots for path in root.rglob("*") if path.suffix in (".py", ".toml") or path.is_dir()
    }
    named = {name.strip("/").rpartition("/")[2] for name in re.findall(r"`([\w/]+)`", modules)}
    assert named <= there, sorted(named - there)


def paths_of(page: str) -> list[str]:
    """What a page names as a path of this repository: words in backticks with a slash and a known first folder."""
    text = (ROOT / page).read_text("utf-8")
    first = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    words = re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", text) + re.findall(r"^# ([\w/]+\.py)", text, re.MULTILINE)
    return sorted({word for word in words if word.split("/")[0] in first})


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md"])
def test_every_path_that_a_page_names_is_there(page: str) -> None:
    assert [path for path in paths_of(page) if not (ROOT / path).exists()] == []
