"""Words that a query in pinyin may stand for: fapiao is 发票, zengzhishuifapiao 增值税发票.

Only words of the dictionary are taken, the frequent ones first: single syllables stand for far too many characters.
"""

from collections import defaultdict
from functools import cache
from itertools import product

from sql.search.tables import pinyin, words

SHORTEST = 4
"""Letters from which a word is taken for pinyin."""
LONGEST = 32
MOST_READINGS = 2
"""Readings of one character that are tried: rarer ones hardly occur in words."""
MOST_WORDS = 6
"""Words that are read alike and asked for, the most frequent ones."""
MOST_TEXTS = 12


@cache
def _by_reading() -> dict[str, list[str]]:
    """Words of two and three characters by how they are read, frequent ones first."""
    known, found = pinyin(), defaultdict[str, list[str]](list)
    for word, _ in sorted(words().items(), key=lambda item: -item[1]):
        if len(word) > 1 and all(character in known for character in word):
            for syllables in product(*(known[character][:MOST_READINGS] for character in word)):
                found["".join(syllables)].append(word)
    return {reading: listed[:MOST_WORDS] for reading, listed in found.items()}


def load_readings() -> None:
    """Builds the table of readings now, in about a second, and not in the first search."""
    _by_reading()


def written(typed: str) -> tuple[str, ...]:
    """The texts that a Latin word may be the pinyin of, likely ones first; none where it is no pinyin of words."""
    plain = typed.replace("'", "")
    if not SHORTEST <= len(plain) <= LONGEST or not plain.isascii() or not plain.isalpha():
        return ()
    return tuple(_texts(plain)[:MOST_TEXTS])


@cache
def _longest_reading() -> int:
    return max(map(len, _by_reading()))


def _texts(plain: str) -> list[str]:
    """All ways to read the letters as words one after another, those of fewest words first."""
    # For each beginning of the letters: the texts that it may stand for, with their number of words.
    ways: list[list[tuple[int, str]]] = [[(0, "")], *([] for _ in plain)]
    for end in range(1, len(plain) + 1):
        for start in range(max(0, end - _longest_reading()), end):
            for word in _by_reading().get(plain[start:end], ()) if ways[start] else ():
                ways[end] += [(count + 1, text + word) for count, text in ways[start]]
        ways[end] = sorted(ways[end], key=lambda way: way[0])[:MOST_TEXTS]
    return [text for _, text in ways[-1]]
