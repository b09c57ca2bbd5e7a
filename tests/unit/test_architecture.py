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
