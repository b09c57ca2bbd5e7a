"""A text with errors of OCR in it, as `tsquery` phrases and regular expressions."""

import re
from collections.abc import Sequence
from itertools import combinations, pairwise

from sql.search.query.terms import phrase
from sql.search.tables import alike, words

SHORTEST_OPEN_RUN = 5
"""From this length on the unknown character may be the first or the last one: what is left says enough."""
MOST_ALIKE = 5


def read_alike(text: str, places: Sequence[int]) -> list[str]:
    """`tsquery` phrases for the text with the character at one of the places taken for one that looks like it. What is
    a word itself (人口 read for 入口) is no misreading."""
    ways = []
    for place in places:
        at = place % len(text)
        for other in alike().get(text[at], "")[:MOST_ALIKE]:
            read = text[:at] + other + text[at + 1 :]
            if len(text) > 3 or read not in words():
                ways.append(phrase(read, last=False))
    return ways


def misread(text: str) -> list[str]:
    """`tsquery` phrases for a text of four or five characters with one of the inner ones unknown, or, of five, any."""
    ends = [phrase(text[1:], last=False), phrase(text[:-1], last=False)] if len(text) >= SHORTEST_OPEN_RUN else []
    return [*ends, *(_without(text, unknown) for unknown in range(1, len(text) - 1))]


def _without(text: str, unknown: int) -> str:
    left, right = text[:unknown], text[unknown:][1:]
    # The last whole token of the left side begins one before its end, unless it is a single character.
    gap = 2 if len(left) == 1 else 3
    return f"{phrase(left, last=False)} <{gap}> {phrase(right, last=False)}"


def pieces_of(text: str, count: int) -> list[str]:
    """`tsquery` phrases for the text cut into so many pieces of like length."""
    cuts = [len(text) * at // count for at in range(count + 1)]
    return [phrase(text[start:end], last=False) for start, end in pairwise(cuts)]


def one_replaced(text: str) -> str:
    """A regular expression for the text with any one character unknown, or left out."""
    return "|".join(f"{re.escape(text[:at])}.?{re.escape(text[at + 1 :])}" for at in range(len(text)))


def two_unknown(text: str) -> str:
    """A regular expression for the text with any two characters unknown, or one left out."""
    twice = (
        "".join("." if at in pair else re.escape(letter) for at, letter in enumerate(text))
        for pair in combinations(range(len(text)), 2)
    )
    return "|".join([one_replaced(text), *twice])


def one_unknown(word: str) -> str:
    """A regular expression for the word with one character read as none, another or two, or two read as one."""
    ways = []
    for at in range(len(word)):
        before = re.escape(word[:at])
        ways.append(f"{before}.{{0,2}}{re.escape(word[at + 1 :])}")
        ways.append(f"{before}.{re.escape(word[at + 2 :])}")
    return "|".join(ways)


def like(letter: str) -> str:
    """A regular expression for the letter or one that looks like it."""
    return f"[{letter}{alike().get(letter, '')[:MOST_ALIKE]}]"
