"""Other spellings of a Latin word: the singular of a plural, and umlauts written out or left away."""

import unicodedata
from collections.abc import Sequence
from typing import Protocol

SHORTEST = 4
"""Letters from which a word has other spellings: shorter ones are too often another word."""

WRITTEN_OUT = {"\u00e4": "ae", "\u00f6": "oe", "\u00fc": "ue", "\u00e5": "aa", "\u00f8": "oe", "\u00df": "ss"}
UMLAUTS = ("ae", "oe", "ue")
HISSING = ("s", "x", "z", "ch", "sh")


class Word(Protocol):
    """A folded stretch of text, as `mesh.runs` cuts it."""

    @property
    def text(self) -> str:
        """The letters."""

    @property
    def unsegmented(self) -> bool:
        """Whether its script puts no spaces between words."""


def variants(typed: str, runs: Sequence[Word], *, quoted: bool) -> tuple[str, ...]:
    """The other spellings, folded, of a term that is one Latin word; none for anything else, or for a quotation."""
    if quoted or len(runs) != 1 or runs[0].unsegmented:
        return ()
    word = runs[0].text
    if len(word) < SHORTEST or not word.isascii() or not word.isalpha():
        return ()
    found = [*_singulars(word), _written_out(typed), *_left_away(word)]
    return tuple(dict.fromkeys(other for other in found if other and other != word))


def _singulars(word: str) -> list[str]:
    """What the word may be the plural of."""
    if word.endswith("ies") and len(word) > SHORTEST:
        return [f"{word[:-3]}y"]
    if word.endswith("es") and word[:-2].endswith(HISSING):
        return [word[:-2], word[:-1]]
    return [word[:-1]] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else []


def _written_out(typed: str) -> str:
    """The word with each umlaut as two letters: koeln for K\u00f6ln, whose folded form is koln."""
    plain = unicodedata.normalize("NFC", typed).lower()
    spelt = "".join(WRITTEN_OUT.get(letter, letter) for letter in plain)
    return spelt if spelt != plain and spelt.isascii() and spelt.isalpha() else ""


def _left_away(word: str) -> list[str]:
    """The word with each pair of letters that may stand for an umlaut as one: koln for koeln."""
    plain = word
    for pair in UMLAUTS:
        plain = plain.replace(pair, pair[0])
    return [plain] if plain != word else []
