"""Writes the tables of docs/choose-a-model.md, and of its Chinese twin, from the catalogue; `--check` proves that they
are current."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # run as a file, Python looks for our packages beside it
    sys.path.insert(0, str(ROOT))

from mesh.hub import catalogue  # noqa: E402
from mesh.hub.catalogue import Family, ModelEntry, SourceKind  # noqa: E402

ENGLISH = ROOT / "docs" / "choose-a-model.md"
CHINESE = ROOT / "docs" / "zh-CN" / "choose-a-model.md"
WORDS: dict[Path, dict[str, str]] = {
    ENGLISH: {},
    CHINESE: {
        "Name": "名称",
        "Size": "大小",
        "Languages": "语言",
        "Licence": "许可证",
        "Comes by": "怎样得到",
        "installed": "已随软件包安装",
        "downloaded": "下载",
        "CLIP, {dimension} dimensions": "CLIP，{dimension} 维",
        "OCR": "文字识别（OCR）",
        "Faces": "人脸",
    },
}
"""The words of each page, by the English one; a word that is not there stays English."""
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


def row(entry: ModelEntry, words: Mapping[str, str]) -> list[str]:
    """One model's cells."""
    how = source(entry)
    return [f"`{entry.name}`", size(entry), languages(entry), entry.licence, words.get(how, how)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Markdown, with a line of its own before and after."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def tables(words: Mapping[str, str]) -> Iterator[str]:
    """CLIP by dimension, the smallest first; then OCR and faces."""
    clip = catalogue.entries(Family.CLIP)
    title = words.get("CLIP, {dimension} dimensions", "CLIP, {dimension} dimensions")
    for dimension in sorted({entry.dimension for entry in clip if entry.dimension}):
        chosen = sorted((one for one in clip if one.dimension == dimension), key=lambda one: one.size_bytes)
        yield from section(title.format(dimension=dimension), chosen, words)
    for name, family in (("OCR", Family.OCR), ("Faces", Family.FACE)):
        yield from section(words.get(name, name), catalogue.entries(family), words)


def section(title: str, entries: Sequence[ModelEntry], words: Mapping[str, str]) -> Iterator[str]:
    """A heading and its table."""
    yield f"### {title}"
    yield ""
    header = [words.get(name, name) for name in ("Name", "Size", "Languages", "Licence", "Comes by")]
    yield from table(header, [row(one, words) for one in entries])


def main() -> int:
    """Writes or checks. The exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 where the page is out of date")
    options = parser.parse_args()
    stale = [target for target in WORDS if not current(target, write=not options.check)]
    for target in stale if options.check else ():
        print(f"{target.relative_to(ROOT)} is not current: run make generate", file=sys.stderr)
    return int(options.check and bool(stale))


def current(target: Path, write: bool) -> bool:
    """Whether a page has these tables already; with `write` it has them afterwards."""
    text = target.read_text("utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    fresh = f"{before}{START}\n\n" + "\n".join(tables(WORDS[target])) + f"\n{END}{after}"
    if write and fresh != text:
        target.write_text(fresh, "utf-8")
    return fresh == text


if __name__ == "__main__":
    sys.exit(main())
