"""What the generators of the chart's files share: their command line."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def write_or_check(description: str | None, target: Path, build: Callable[[], str]) -> int:
    """Writes what `build` makes to `target`; with `--check` only compares. The exit code: 1 when it is out of date."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 when the file is out of date")
    options = parser.parse_args()
    text = build()
    if not options.check:
        target.write_text(text)
    elif not target.exists() or target.read_text() != text:
        print(f"{target.relative_to(ROOT)} is out of date: run make generate", file=sys.stderr)
        return 1
    return 0
