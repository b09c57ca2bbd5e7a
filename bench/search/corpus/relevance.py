"""Which photos are relevant to a query, from what stands in them (not from what OCR read).

A photo is relevant when every word of the query stands in it; how much, the size of the letters says: 3 large, 2
middle, 1 small (of several words the smallest counts). A phrase that stands nowhere whole, but in two parts in one
photo, makes that photo relevant by 1. Nothing here knows how any engine searches.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.search.corpus.photo import LARGE, MEDIUM, Photo

CJK = re.compile(r"[\u4e00-\u9fff]+")
DAY = re.compile(r"(?<!\d)(\d{4})[-./年](\d{1,2})[-./月](\d{1,2})(?!\d)")
SEPARATORS = re.compile(r"[^0-9a-z\u3400-\u9fff]+")


@dataclass(slots=True)
class Query:
    """A query, its class, and the photos that are relevant (index to grade 1..3)."""

    text: str
    kind: str
    truth: tuple[str, ...]
    relevant: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Truth:
    """What stands in one photo: lines in lower case with their grade, squeezed, and their words and numbers."""

    lines: list[tuple[str, int]]
    tokens: list[frozenset[str]]
    whole: str


def truths(photos: Sequence[Photo]) -> dict[int, Truth]:
    """The truth of every photo with text, by index."""
    found = {}
    for index, photo in enumerate(photos):
        if not photo.lines or not photo.searchable or photo.owner == 2:
            continue
        lines, tokens = [], []
        for line in photo.lines:
            plain = unicodedata.normalize("NFKC", line.text).lower()
            grade = 3 if line.size >= LARGE else 2 if line.size >= MEDIUM else 1
            lines.append((SEPARATORS.sub("", plain), grade))
            tokens.append(frozenset(re.findall(r"[0-9a-z]+", plain)))
            # A day is the same day in any form.
            for year, month, day in DAY.findall(plain):
                lines.append((f"{year}{month:0>2}{day:0>2}", grade))
                tokens.append(frozenset())
        found[index] = Truth(lines, tokens, "\n".join(text for text, _ in lines))
    return found


def judge(query: Query, library: dict[int, Truth]) -> None:
    """Fill in the relevant photos."""
    needles = [SEPARATORS.sub("", term) for term in query.truth]
    for index, truth in library.items():
        if all(needle in truth.whole for needle in needles):
            grades = [_grade(needle, truth) for needle in needles]
            if all(grades):
                query.relevant[index] = min(grades)
    if not query.relevant and len(needles) == 1 and CJK.fullmatch(needles[0]) and len(needles[0]) >= 4:
        needle = needles[0]
        halves = [(needle[:cut], needle[cut:]) for cut in range(2, len(needle) - 1)]
        for index, truth in library.items():
            if any(left in truth.whole and right in truth.whole for left, right in halves):
                query.relevant[index] = 1


def _grade(needle: str, truth: Truth) -> int:
    """The largest letters in which the needle stands; a short number or a word must begin or end where one does."""
    best = 0
    whole_words = needle.isascii() and (needle.isalpha() or len(needle) < 6)
    for (text, grade), tokens in zip(truth.lines, truth.tokens, strict=True):
        if grade <= best or needle not in text:
            continue
        if any(_touches(needle, token) for token in tokens) if whole_words else _begins(needle, text):
            best = grade
    return best


def _begins(needle: str, text: str) -> bool:
    """Whether the needle stands there other than from the middle of a number on ("6元" is not in "46元")."""
    short_number = re.match(r"\d{1,5}(?!\d)", needle)
    return bool(re.search(rf"(?<!\d){re.escape(needle)}", text)) if short_number else needle in text


def _touches(needle: str, token: str) -> bool:
    return token.startswith(needle) or (token.endswith(needle) and needle.isdigit())
