"""LOOSE: all letters are there, in order, but spaced otherwise, broken, or inside a longer number or word.

Texts broken by punctuation compare by `body` without its spaces.
"""

import re
from itertools import groupby

from sql.search.conditions import Json
from sql.search.query.terms import LONGEST_RUN, FoldedTerm, Run, spaced_phrase
from sql.search.steps.nodes import all_of, in_words, inside

LONG_WORD = 6
"""From this length on a word or number is looked for inside longer ones; shorter numbers only at the end of longer
ones."""
SHORTEST_CODE = 3
SHORTEST_TAIL = 4
LONGEST_WORD = 32


def is_loose(term: FoldedTerm) -> bool:
    """Whether the term is long enough to be recognised however it is spaced."""
    if term.is_code:
        return SHORTEST_CODE <= len(term.squeezed) <= LONGEST_WORD
    if len(term.runs) > 1:
        return len(term.squeezed) >= LONG_WORD
    return is_breakable(term.runs[0])


def is_breakable(run: Run) -> bool:
    """Whether the run may be broken between any two of its characters."""
    return run.unsegmented and 2 <= run.length <= LONGEST_RUN


def loose(term: FoldedTerm) -> Json:
    """The term's letters in order, whatever stands between or around them."""
    if term.is_code:
        return split(term) or {"holds": term.squeezed}
    if len(term.runs) == 1:
        return in_words(spaced_phrase(term.runs[0].text))
    # What the text index is asked for only narrows down where to compare letter by letter.
    parts = [_stretch(stretch) for stretch in _stretches(term)]
    return all_of([*filter(None, parts), {"holds": term.squeezed}])


def split(term: FoldedTerm) -> Json | None:
    """A word, number or code, however it is split: with spaces at any places, at the end of a longer one, and, where it
    is long enough to be recognised, inside a longer one; None where too little is asked for."""
    text = term.squeezed
    if not SHORTEST_CODE <= len(text) <= LONGEST_WORD:
        return None
    letters = " ?".join(map(re.escape, text))
    if len(text) >= LONG_WORD:
        return all_of([inside(text), {"body": letters}])
    # A short number is not looked for in the middle of a longer one, nor a short word in that of another.
    before = "" if text.isdigit() else "(?<![0-9])" if text[0].isdigit() else "(?<![a-z])"
    if len(text) >= SHORTEST_TAIL and not text[0].isdigit() and not text.isalpha():
        # Letters and digits as the tail of a serial number.
        before = ""
    after = "(?![0-9])" if text[-1].isdigit() else "(?![a-z])"
    ways = f"{before}{letters}{after}"
    if text.isdigit():
        # The end of a longer number, or its thousands apart; other gaps would make numbers of times and dates.
        grouped = f"{text[:-3]} {text[-3:]}" if len(text) > 3 else text
        ways = f"{text}(?![0-9a-z])|(?<![0-9]){grouped}(?![0-9])"
    return all_of([inside(text), {"body": ways}])


def _stretches(term: FoldedTerm) -> list[Run]:
    """The term's runs, neighbouring words and numbers joined: `mesh.grams` too goes on over what stands between
    them."""
    return [
        Run("".join(run.text for run in runs), unsegmented)
        for unsegmented, group in groupby(term.runs, key=lambda run: run.unsegmented)
        for runs in ([[run] for run in group] if unsegmented else [list(group)])
    ]


def _stretch(stretch: Run) -> Json | None:
    """What narrows the search down to photos that may hold the stretch; None where it is too short to narrow much."""
    if is_breakable(stretch):
        return in_words(spaced_phrase(stretch.text))
    return None if stretch.unsegmented or len(stretch.text) < 3 else inside(stretch.text[:LONGEST_WORD])
