"""Checks that the Chinese pages say as much as the English ones: the same headings, commands and table rows.

python docs/translations.py    # exit 1, and what differs, where a translation is out of step
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAIRS = {
    "README.md": "README.zh-CN.md",
    "docs/index.md": "docs/zh-CN/index.md",
    "docs/start.md": "docs/zh-CN/start.md",
    "docs/compose.md": "docs/zh-CN/compose.md",
    "docs/connect.md": "docs/zh-CN/connect.md",
    "docs/choose-a-model.md": "docs/zh-CN/choose-a-model.md",
    "docs/upgrade.md": "docs/zh-CN/upgrade.md",
    "docs/loss.md": "docs/zh-CN/loss.md",
    "docs/privacy.md": "docs/zh-CN/privacy.md",
    "docs/china.md": "docs/zh-CN/mirrors.md",
    "docs/find-photos.md": "docs/zh-CN/search.md",
    "docs/refresh.md": "docs/zh-CN/refresh.md",
    "docs/troubleshooting.md": "docs/zh-CN/troubleshooting.md",
}
"""English page to its translation."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"`((?:\.venv/bin/)?(?:immich-mesh|docker|make|git|helm|uv) [^`]+|[A-Z][A-Z0-9_]+=[^`]*)`")


def outline(text: str) -> list[str]:
    """The levels of the headings, in order."""
    return re.findall(r"^(#+) ", FENCE.sub("", text), re.MULTILINE)


def commands(text: str) -> list[str]:
    """What a reader may type: lines of code blocks without their remarks, and commands and settings in the text."""
    blocks = [line.split(" #")[0].rstrip() for kind, body in FENCE.findall(text) if kind for line in body.splitlines()]
    return sorted(line for line in (*blocks, *COMMAND.findall(FENCE.sub("", text))) if line)


def rows(text: str) -> int:
    """How many rows all tables have."""
    return len(re.findall(r"^\|", FENCE.sub("", text), re.MULTILINE))


def differences(english: str, chinese: str) -> Iterator[str]:
    """What keeps two pages from being in step, one sentence each."""
    if outline(english) != outline(chinese):
        yield f"headings {' '.join(outline(english))} are {' '.join(outline(chinese))}"
    here, there = commands(english), commands(chinese)
    if missing := sorted(set(here) - set(there)):
        yield f"not translated: {'; '.join(missing)}"
    if extra := sorted(set(there) - set(here)):
        yield f"not in the English page: {'; '.join(extra)}"
    if rows(english) != rows(chinese):
        yield f"{rows(english)} rows of tables are {rows(chinese)}"


def main() -> int:
    """Compares all pairs. The exit code."""
    found = [
        f"{chinese}: {difference}"
        for english, chinese in PAIRS.items()
        for difference in differences((ROOT / english).read_text("utf-8"), (ROOT / chinese).read_text("utf-8"))
    ]
    print("".join(line + "\n" for line in found), end="", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
