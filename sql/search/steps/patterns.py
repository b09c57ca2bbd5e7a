"""A text with errors of OCR in it, as `tsquery` phrases and regular expressions."""

import re
from collections.abc import Sequence
from itertools import combinations, pairwise

from sql.search.query.terms import any_of, phrase
from sql.search.steps.nodes import MIXED_UP
from sql.search.tables import alike, words

MOST_ALIKE = 5


def read_alike(text: str, places: Sequence[int]) -> list[str]:
    """`tsquery` phrases, one per place, for the text with the character there taken for one that looks like it. What is
    a word itself (人口 read for 入口) is no misreading."""
    found = []
    for place in places:
        at = place % len(text)
        others = [
            text[:at] + other + text[at + 1 :]
            for other in alike().get(text[at], "")[:MOST_ALIKE]
            if len(text) > 3 or text[:at] + other + text[at + 1 :] not in words()
        ]
        if others:
            found.append(_any_read(others, at))
    return found


def _any_read(texts: Sequence[str], at: int) -> str:
    """A phrase for texts that differ in one character, the tokens that they share named once: those that differ are
    rare, and the index begins with them."""
    start, end = max(0, at - 1), min(len(texts[0]), at + 2)
    parts = [
        phrase(texts[0][: start + 1], last=False) if start else "",
        any_of([phrase(text[start:end], last=False) for text in texts]),
        phrase(texts[0][end - 1 :], last=False) if end < len(texts[0]) else "",
    ]
    return " <1> ".join(f"({part})" for part in parts if part)


def misread(text: str) -> list[str]:
    """`tsquery` phrases for a text of four or five characters with any one of them unknown."""
    ends = [phrase(text[1:], last=False), phrase(text[:-1], last=False)]
    return [*ends, *(_without(text, unknown) for unknown in range(1, len(text) - 1))]


def _without(text: str, unknown: int) -> str:
    left, right = text[:unknown], text[unknown:][1:]
    # The last whole token of the left side begins one before its end, unless it is a single character.
    gap = 2 if len(left) == 1 else 3
    return f"{phrase(left, last=False)} <{gap}> {phrase(right, last=False)}"


def piece_pairs(text: str, count: int) -> list[str]:
    """`tsquery` phrases for any two of the pieces of like length (two characters or more) that the text is cut into, as
    far from each other as they stand in it, or one nearer where a character between them may be lost: of three pieces
    two are whole after one error, of four after two."""
    cuts = [len(text) * at // count for at in range(count + 1)]
    found = []
    for (start, end), (later, last) in combinations(pairwise(cuts), 2):
        if later == end:
            found.append(phrase(text[start:last], last=False))
            continue
        left, right = phrase(text[start:end], last=False), phrase(text[later:last], last=False)
        gap = later - max(start, end - 2)
        apart = any_of([f"({left}) <{distance}> ({right})" for distance in (gap, gap - 1)])
        # One error in each piece between cannot spoil every token that joins two pieces: asking for one of them spares
        # most texts that hold the two pieces elsewhere.
        joints = [f"'{text[cut - 1 : cut + 1]}'" for cut in cuts if end <= cut <= later]
        found.append(f"({apart}) & ({any_of(joints)})")
    return found


def one_unknown(word: str) -> str:
    """A regular expression for the word with one character read as none, another or two, or two read as one."""
    ways = []
    for at in range(len(word)):
        before = re.escape(word[:at])
        ways.append(f"{before}.{{0,2}}{re.escape(word[at + 1 :])}")
        ways.append(f"{before}.{re.escape(word[at + 2 :])}")
    return "|".join(ways)


def halves(word: str) -> str:
    """A regular expression for either half of a Latin word, look-alikes counting as the same: what `one_misread` finds
    holds one, or has the two letters between them read as one."""
    letters, middle = _latin(word), len(word) // 2
    joined = [*letters[: middle - 1], ".", *letters[middle + 1 :]]
    return "|".join(map("".join, (letters[:middle], letters[middle:], joined)))


def one_misread(word: str) -> str:
    """As `one_unknown` for a Latin word, look-alikes counting as the same. What stands around the error is written once
    for each quarter of the word: PostgreSQL compares the shorter pattern in a third of the time."""
    letters = _latin(word)
    cuts = [len(word) * at // 4 for at in range(5)]
    ways = [[*letters[: cut - 1], ".", *letters[cut + 1 :]] for cut in cuts[1:-1]]
    for start, end in pairwise(cuts):
        quarter = [[*letters[start:at], ".{0,2}", *letters[at + 1 : end]] for at in range(start, end)]
        quarter += [[*letters[start:at], ".", *letters[at + 2 : end]] for at in range(start, end - 1)]
        ways.append([*letters[:start], "(?:", "|".join(map("".join, quarter)), ")", *letters[end:]])
    return "|".join(map("".join, ways))


def _latin(word: str) -> list[str]:
    """Each letter as a regular expression for all that counts as the same."""
    classes = {letter: f"[{same}]" for same in MIXED_UP for letter in same}
    return [classes.get(letter, re.escape(letter)) for letter in word]


def like(letter: str) -> str:
    """A regular expression for the letter or one that looks like it."""
    return f"[{letter}{alike().get(letter, '')[:MOST_ALIKE]}]"
