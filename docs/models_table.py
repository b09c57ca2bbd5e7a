"""Writes the tables of docs/choose-a-model.md from the catalogue; `--check` proves that they are current."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # run as a file, Python looks for our packages beside it
    sys.path.insert(0, str(ROOT))

from mesh.hub import catalogue  # noqa: E402
from mesh.hub.catalogue import Family, ModelEntry, SourceKind  # noqa: E402

TARGET = ROOT / "docs" / "choose-a-model.md"
START, END = "<!-- models:start -->", "<!-- models:end -->"
MANY = 6
"""More languages than these are counted, not listed."""


def languages(entry: ModelEntry) -> str:
    """As a reader wants them: listed when few, counted when many."""
    if len(entry.languages) > MANY:
        return f"{len(entry.languages)}, `{'` `'.join(entry.languages[:MANY])}` …"
    return " ".join(f"`{language}`" for language in entry.languages)


def size(entry: ModelEntry) -> str:
    """Megabytes of its files."""
    return f"{entry.size_bytes / 1e6:,.0f} MB"


def source(entry: ModelEntry) -> str:
    """How it comes here."""
    return {SourceKind.PACKAGE: "installed", SourceKind.EXPORT: "`models export`"}.get(entry.source.kind, "downloaded")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Markdown, with a line of its own before and after."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def tables() -> Iterator[str]:
    """CLIP by dimension, the smallest first; then OCR and faces."""
    clip = catalogue.entries(Family.CLIP)
    for dimension in sorted({entry.dimension for entry in clip if entry.dimension}):
        chosen = sorted((one for one in clip if one.dimension == dimension), key=lambda one: one.size_bytes)
        yield f"### CLIP, {dimension} dimensions"
        yield ""
        rows = [[f"`{one.name}`", size(one), languages(one), one.licence, source(one)] for one in chosen]
        yield from table(("Name", "Size", "Languages", "Licence", "Comes by"), rows)
    for title, family in (("OCR", Family.OCR), ("Faces", Family.FACE)):
        yield f"### {title}"
        yield ""
        rows = [
            [f"`{one.name}`", size(one), languages(one), one.licence, source(one)] for one in catalogue.entries(family)
        ]
        yield from table(("Name", "Size", "Languages", "Licence", "Comes by"), rows)


def main() -> int:
    """Writes or checks. The exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 where the page is out of date")
    options = parser.parse_args()
    text = TARGET.read_text("utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    fresh = f"{before}{START}\n\n" + "\n".join(tables()) + f"\n{END}{after}"
    if options.check:
        if fresh != text:
            print(f"{TARGET.relative_to(ROOT)} is not current: run make generate", file=sys.stderr)
        return int(fresh != text)
    TARGET.write_text(fresh, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
