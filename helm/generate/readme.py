"""Writes the chart's README.md: `helm/README.template.md` with the tables of all values, taken from their comments.

    python -m helm.generate.readme            # write it
    python -m helm.generate.readme --check    # exit 1 when it is out of date

A key of values.yaml is documented by the comment right above it that starts with `# --`; further `#` lines go on with
it.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from helm.generate.files import ROOT, write_or_check

CHART = ROOT / "helm" / "immich-mesh"
TEMPLATE = ROOT / "helm" / "README.template.md"
TARGET = CHART / "README.md"
MARK = re.compile(r"^<!-- values: (?P<sections>[\w ]+) -->$", re.MULTILINE)
KEY = re.compile(r"^(?P<indent> *)(?P<name>[\w./-]+):(?: |$)")


class UndocumentedKeyError(Exception):
    """A key of values.yaml has no comment."""


@dataclass(frozen=True)
class Value:
    """One documented key: its dotted path, its default as JSON, what its comment says."""

    path: str
    default: str
    description: str


def comments(text: str) -> dict[str, str]:
    """The `# --` comment of each key, by the key's dotted path."""
    found: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    pending: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- "):
            pending = [stripped.removeprefix("# -- ")]
        elif stripped.startswith("#") and pending:
            pending.append(stripped.removeprefix("#").strip())
        elif match := KEY.match(line):
            indent = len(match["indent"])
            parents = [(depth, name) for depth, name in parents if depth < indent]
            parents.append((indent, match["name"]))
            if pending:
                found[".".join(name for _, name in parents)] = " ".join(pending)
            pending = []
        else:
            pending = []
    return found


def values(tree: dict[str, Any], notes: dict[str, str], path: str = "") -> Iterator[Value]:
    """Every key with its comment, in the file's order; a map is described by its keys, unless it has a comment itself.

    Raises:
        UndocumentedKeyError: a leaf without a comment.
    """
    for name, value in tree.items():
        here = f"{path}.{name}" if path else name
        if here in notes:
            yield Value(here, json.dumps(value, ensure_ascii=False), notes[here])
        elif isinstance(value, dict) and value:
            yield from values(value, notes, here)
        elif path.split(".")[0] in {"router", "secondRouter", "frontDoor", "ocr", "clip", "face"}:
            continue  # an override: the key is documented under `defaults`
        else:
            raise UndocumentedKeyError(f"values.yaml: {here} has no comment that starts with '# --'")


def table(rows: list[Value]) -> str:
    """A Markdown table."""
    lines = ["| Key | Default | Meaning |", "|---|---|---|"]
    lines += [f"| `{row.path}` | `{_cell(row.default)}` | {_cell(row.description)} |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def build() -> str:
    """The text of README.md."""
    text = (CHART / "values.yaml").read_text()
    rows = list(values(yaml.safe_load(text), comments(text)))
    shown: set[str] = set()

    def section(match: re.Match[str]) -> str:
        names = set(match["sections"].split())
        shown.update(names)
        return table([row for row in rows if row.path.split(".")[0] in names])

    readme = MARK.sub(section, TEMPLATE.read_text())
    missing = {row.path.split(".")[0] for row in rows} - shown
    if missing:
        raise UndocumentedKeyError(f"{TEMPLATE.name} shows no table of {', '.join(sorted(missing))}")
    return readme


def main() -> int:
    """Writes or checks the file; the exit code."""
    try:
        return write_or_check(__doc__, TARGET, build)
    except UndocumentedKeyError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
