"""How much a likely misreading says: what FUZZY found is weighed by the letters that differ.

A character that looks like the one asked for, or one that nobody writes, is an error of OCR's; a common character that
does not look like it is more likely another word (南京东路 beside 南京西路). Such photos are left out, unless nothing
else was found at all. In a long text it is likely an error as well where it makes no word with what stands beside it
(燃乞缴费单 for 燃气缴费单).
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from operator import eq

from sql.search.query.terms import FoldedTerm
from sql.search.query.text_query import TextQuery
from sql.search.tables import alike, common, words

ANOTHER_WORD = 1.0
NO_WORD = 0.7
"""A common character in a long text that makes no word there."""
GARBAGE = 0.35
"""A character that nobody writes, or a stroke."""
OTHER_SCRIPT = 0.8
"""A letter or digit among ideographs: mostly what stands between two lines."""
LOOKS_ALIKE = 0.15
LIKELY = 0.75
"""Up to this cost a photo counts where others were found as asked."""
LONG_WORD = 9
"""Letters from which a word may have two errors."""
LONG_TEXT = 8
"""Characters from which a text may have two errors."""
LOOK_ALIKES = str.maketrans("oilsbz", "011582")
READ_AS_ONE = {"rn": "m", "vv": "w", "cl": "d"}
GAP = 0.6
"""A character too many or too few."""


OFTEN_ALONE = 15
"""Power of two of how often a character stands by itself that is never taken for a misreading: 的, 中, 二."""

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
        (sum(_cost(term, body, squeezed) for term in group if not term.excluded) for group in query.groups), default=0.0
    )


def _cost(term: FoldedTerm, body: str, squeezed: str) -> float:
    text = term.squeezed
    if text in squeezed:
        return 0.0
    if any(word in squeezed for word in term.variants):
        return 0.0
    if text.isascii():
        return _word_cost(term, body, squeezed)
    starts = _starts(text, squeezed)
    # Nearly always a character was read as another one, and nothing is to be shifted.
    best = min((_in_place(text, squeezed, start) for start in starts), default=ANOTHER_WORD * 2)
    if best <= LIKELY:
        return best
    shifted = [start for start in starts if _is_shifted(text, squeezed, start)]
    for window in {squeezed[max(0, start - 1) : start + len(text) + 1] for start in shifted}:
        best = min(best, _distance(text, window, min(best, ANOTHER_WORD)))
    return best


def _word_cost(term: FoldedTerm, body: str, squeezed: str) -> float:
    """What it takes to read a word or number among those of a text, or as the beginning of one."""
    asked = _as_read(term.squeezed)
    if asked in _as_read(squeezed):
        return LOOKS_ALIKE
    if any(character.isdigit() for character in asked) and not term.squeezed.isalpha():
        return ANOTHER_WORD * 2
    allowed = 2 if len(asked) >= LONG_WORD else 1
    # An error spoils one part, so that of one part more than errors a whole one is left.
    cuts = [len(asked) * at // (allowed + 1) for at in range(allowed + 2)]
    parts = [asked[start:end] for start, end in pairwise(cuts)]
    likely = (word for word in _as_read(body).split() if any(part in word for part in parts))
    errors = min((_errors(asked, word, allowed) for word in likely), default=allowed + 1)
    return errors * LIKELY / 2 if errors <= allowed else ANOTHER_WORD * 2


def _as_read(text: str) -> str:
    """The text with letters and digits that look alike made one, and pairs of letters that OCR takes for one."""
    for pair, letter in READ_AS_ONE.items():
        text = text.replace(pair, letter)
    return text.translate(LOOK_ALIKES)


def _errors(asked: str, word: str, most: int) -> int:
    """Letters to change, add or leave out until the word begins as asked, counted up to `most` + 1."""
    if len(word) < len(asked) - most:
        return most + 1
    previous = list(range(len(word) + 1))
    for row, letter in enumerate(asked, 1):
        current = [row]
        for at, read in enumerate(word):
            current.append(min(previous[at] + (letter != read), previous[at + 1] + 1, current[at] + 1))
        if min(current) > most:
            return most + 1
        previous = current
    return min(previous)


def _in_place(text: str, squeezed: str, start: int) -> float:
    window = squeezed[start : start + len(text)]
    costs = [substitution(asked, read) for asked, read in zip(text, window, strict=False)]
    others = [start + at for at, one in enumerate(costs) if one == ANOTHER_WORD]
    cost = sum(costs) + (len(text) - len(window)) * ANOTHER_WORD
    least = cost - len(others) * (ANOTHER_WORD - NO_WORD)
    if not others or len(text) < LONG or least > ANOTHER_WORD:
        return cost
    return cost - (ANOTHER_WORD - NO_WORD) * sum(_makes_no_word(squeezed, at) for at in others)


def _is_shifted(text: str, squeezed: str, start: int) -> bool:
    """Whether any character stands one place before or behind its own, as those behind a lost or added one do."""
    after = squeezed[start + 1 : start + 1 + len(text)]
    return any(map(eq, text, after)) or any(map(eq, text[1:], squeezed[start:]))


def _makes_no_word(squeezed: str, at: int) -> bool:
    """Whether the character is in no word of two or three with its neighbours, and hardly ever one by itself."""
    known = words()
    around = [squeezed[start : start + length] for length in (2, 3) for start in range(max(0, at - length + 1), at + 1)]
    return known.get(squeezed[at], 0) < OFTEN_ALONE and not any(word in known for word in around if len(word) > 1)


def _starts(text: str, squeezed: str) -> Sequence[int]:
    """Where the text may begin: by the place of every pair of its characters, or of a single one of a short text. An
    error spoils two pairs; a beginning that fewer of the others speak for is none. Where a character was lost or added,
    those behind it speak for the next place."""
    width = 2 if len(text) > 3 else 1
    votes = Counter(
        place - at for at in range(len(text) - width + 1) for place in _places(text[at : at + width], squeezed)
    )
    errors = 2 if len(text) >= LONG_TEXT else 1
    needed = max(1, len(text) - width + 1 - width * errors)
    return [
        start
        for start, count in votes.items()
        if start >= 0 and count + max(votes.get(start - 1, 0), votes.get(start + 1, 0)) >= needed
    ]


def _places(part: str, text: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _distance(text: str, window: str, most: float) -> float:
    """The cheapest way from the text to some part of the window, infinite where none costs at most `most`. Without its
    first or last character it is another."""
    previous = [0.0] * (len(window) + 1)
    for row, asked in enumerate(text):
        lost = GAP if 0 < row < len(text) - 1 else ANOTHER_WORD
        left = previous[0] + lost
        current = [left]
        for at, read in enumerate(window):
            left = min(previous[at] + substitution(asked, read), previous[at + 1] + lost, left + GAP)
            current.append(left)
        if min(current) > most:
            return math.inf
        previous = current
    return min(previous)


@lru_cache(2**16)
def substitution(asked: str, read: str) -> float:
    """What it takes to read one character for another."""
    if asked == read:
        return 0.0
    if read in alike().get(asked, "") or asked in alike().get(read, ""):
        return LOOKS_ALIKE
    if read in common():
        return ANOTHER_WORD
    return OTHER_SCRIPT if read.isascii() else GARBAGE
