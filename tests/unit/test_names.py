"""One name, one thing: class names and log events of the installed packages."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("mesh", "router", "ocr_service", "clip_service", "face_service", "sql")
LOG_METHODS = frozenset({"debug", "info", "warning", "error", "exception"})


def trees() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def test_a_class_has_a_name_of_its_own() -> None:
    defined: dict[str, list[str]] = defaultdict(list)
    for path, tree in trees():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                defined[node.name].append(path)
    assert {name: paths for name, paths in defined.items() if len(paths) > 1} == {}
    assert len(defined) > 300


def test_log_events_are_plain_phrases() -> None:
    """Words with spaces, as the pretty format shows them: no_names_of_variables, no values inside."""
    events = [
        (path, node.args[0])
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LOG_METHODS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "log"
        and node.args
    ]
    unlike = [event for event in events if not isinstance(event[1], ast.Constant) or "_" in str(event[1].value)]
    assert [f"{path}:{event.lineno}" for path, event in unlike] == []
    assert len(events) > 60
