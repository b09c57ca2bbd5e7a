"""Immich's `ocr_search` tokens: what a refreshed photo needs so that Immich's own OCR filter finds it.

Runs of Chinese, Japanese and Korean characters become overlapping pairs, a single such character stays alone, and
everything between white space or control characters stays as it is: no case, width or accent is changed.
"""

from collections.abc import Iterable, Iterator

CJK_RANGES = ((0x3040, 0x309F), (0x30A0, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7AF))
"""Code points that Immich takes for CJK: kana, ideographs with extension A, Hangul. All below 0x10000, so that counting
code points here and UTF-16 units there gives the same pairs."""

LAST_SEPARATOR = 0x20


def is_cjk(character: str) -> bool:
    """Whether Immich cuts this character into pairs."""
    code = ord(character)
    return any(first <= code <= last for first, last in CJK_RANGES)


def _runs(text: str) -> Iterator[str]:
    start = 0
    kind: bool | None = None
    for position, character in enumerate(text):
        now = None if ord(character) <= LAST_SEPARATOR else is_cjk(character)
        if now is not kind:
            if kind is not None:
                yield text[start:position]
            start, kind = position, now
    if kind is not None:
        yield text[start:]


def tokens(text: str) -> list[str]:
    """The tokens of one line."""
    found: list[str] = []
    for run in _runs(text):
        if len(run) > 1 and is_cjk(run[0]):
            found.extend(run[at : at + 2] for at in range(len(run) - 1))
        else:
            found.append(run)
    return found


def search_text(lines: Iterable[str]) -> str:
    """What `ocr_search.text` holds for a photo with these lines."""
    return " ".join(token for line in lines for token in tokens(line))
