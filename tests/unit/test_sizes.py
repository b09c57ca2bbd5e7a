"""Modules around one noun and folders that fit a glance, in the installed packages."""

from collections import Counter

from tests.unit.test_names import PACKAGES, ROOT

MODULES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def test_modules_have_300_lines_at_most() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > 300} == {}
    assert len(lines) > 300


def test_folders_have_12_modules_at_most() -> None:
    folders = Counter(str(path.parent.relative_to(ROOT)) for path in MODULES if path.name != "__init__.py")
    assert {name: count for name, count in folders.items() if count > 12} == {}
