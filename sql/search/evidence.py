"""How much a likely misreading says: what FUZZY found is weighed by the letters that differ.

A character that looks like the one asked for, or one that nobody writes, is an error of OCR's; a common character that
does not look like it is more likely another word (南京东路 beside 南京西路). Such photos are left out, unless nothing
else was found at all.
"""

import re
from collections.abc import Sequence

from sql.search.query import FoldedTerm, TextQuery
from sql.search.tables import alike, common

ANOTHER_WORD = 1.0
GARBAGE = 0.35
"""A character that nobody writes, a stroke, a letter among ideographs, or none at all."""
LOOKS_ALIKE = 0.15
LIKELY = 0.75
"""Up to this cost a photo counts where others were found as asked."""
GAP = 0.4
"""A character too many or too few."""


LONG = 5
"""From this length on a text with one other character is an answer where there is no other."""


def most(query: TextQuery, *, nothing_else: bool) -> float:
    """Up to which cost a photo counts."""
    is_long = all(len(term.squeezed) >= LONG for term in query.wanted)
    return ANOTHER_WORD if nothing_else and is_long else LIKELY


def cost(query: TextQuery, body: str) -> float:
    """What it takes to read the query in a document's folded text: 0 for nothing, from 1 on for another word."""
    squeezed = body.replace(" ", "")
    return min(
        (sum(_cost(term, squeezed) for term in group if not term.excluded) for group in query.groups), default=0.0
    )


def _cost(term: FoldedTerm, squeezed: str) -> float:
    text = term.squeezed
    if text in squeezed:
        return 0.0
    if any(word in squeezed for word in term.variants):
        return 0.0
    if text.isascii():
        # Of words and numbers the index finds look-alikes and single errors only in what is long.
        return LOOKS_ALIKE * 2
    starts = _starts(text, squeezed)
    # Nearly always a character was read as another one, and nothing is to be shifted.
    best = min((_in_place(text, squeezed[start : start + len(text)]) for start in starts), default=ANOTHER_WORD * 2)
    if best <= LIKELY:
        return best
    shifted = (squeezed[max(0, start - 1) : start + len(text) + 1] for start in starts)
    return min([best, *(_distance(text, window) for window in shifted)])


def _in_place(text: str, window: str) -> float:
    missing = len(text) - len(window)
    return missing * GAP + sum(substitution(asked, read) for asked, read in zip(text, window, strict=False))


def _starts(text: str, squeezed: str) -> Sequence[int]:
    """Where the text may begin: by the place of every pair of its characters, or of a single one of a short text."""
    width = 2 if len(text) > 3 else 1
    places = {
        match.start() - at
        for at in range(len(text) - width + 1)
        for match in re.finditer(re.escape(text[at : at + width]), squeezed)
    }
    return [place for place in places if place >= 0]


def _distance(text: str, window: str) -> float:
    """The cheapest way from the text to some part of the window."""
    previous = [0.0] * (len(window) + 1)
    for asked in text:
        row = [previous[0] + GAP]
        for at, read in enumerate(window):
            same = previous[at] + substitution(asked, read)
            row.append(min(same, previous[at + 1] + GAP, row[at] + GAP))
        previous = row
    return min(previous)


def substitution(asked: str, read: str) -> float:
    """What it takes to read one character for another."""
    if asked == read:
        return 0.0
    if read in alike().get(asked, "") or asked in alike().get(read, ""):
        return LOOKS_ALIKE
    return ANOTHER_WORD if read in common() else GARBAGE
