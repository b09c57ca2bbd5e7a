"""Which readings are text: the recogniser always answers something, even for a fence, a rating of stars or a script
that it does not know."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ocr_service.detection.boxes import FAINT

_UNSEEN = ("Cc", "Cs", "Co", "Cn")
"""Unicode categories of what nobody can read: control characters (NUL fails Immich's database), unassigned ones."""

SHAPES = frozenset("IilL1|OoCcUuVvDHEQ08一二三十工口日目田丨")
"""Characters that pickets, crosses, rings and window frames look like."""

FEW_CHARACTERS = 2
MOST_OF_THE_PHOTO = 0.7
VERY_CERTAIN = 0.95
"""A reading of one or two such shapes, or whose box covers most of the photo, counts only when it is very certain."""

GRID = 12
"""So many shapes of at most two kinds are a grid, however certain: 000000000000."""

REPEATED = 3
"""A row of so many marks (stars, hearts, notes) is read as one character again and again: 女女女, 人人人, 555."""

UNREAD, CERTAIN_ALL_THE_SAME = 0.35, 0.98
"""A line with more unread ink than this must be that certain: of a word in a foreign script one letter was read."""

LEGIBLE = 0.75
UNKNOWN_SCRIPT = 0.5
"""Where more than this part of a photo's text is read with less certainty than that, it is in a script that the model
does not know, and numbers must be very certain there. So it is with its words, whatever numbers stand beside them."""

SHOWN, LIKELY = 0.98, 0.95
"""A word of this certainty shows that a photo's script is known; without one, words must be that likely. Of 153 words,
plain and blurred, 148 had the former; of 197 in foreign scripts that were read as letters at 0.8 and more, 184 had
less, and 174 less than the latter."""

HALF_KNOWN, CERTAIN_IN_PART = 2, 0.99
"""A line with so many letters of a script that the model knows in part must be that certain: the letters that it lacks
are not always seen as such. One is a sign: μm, 5 Ω."""

_NUMBER = re.compile(r"[^\W\d_]{0,2}[\W_]*\d[\d\W_]*|[\W_]*\d[\d\W_]*[^\W\d_]{1,2}\W*")
"""A number, perhaps with a short unit before it or after it: 66.90, No. 86, 5 kg."""

WORD = 3
"""Letters that a word must have in a photo whose script is not known: shorter ones are parts of what was not read, but
for two ideographs that are as certain as those that show a script."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reading of a line, and what speaks for and against it.

    Attributes:
        text: as cleaned.
        score: how certain the reading is, 0 to 1.
        detection_score: how certain its box is, 0 to 1.
        coverage: the box's area over the photo's.
        aspect: the line's width over its height: about how many characters it has.
        unread: part of its ink that no character was read from.
        half_known: its letters of scripts that the model knows in part.
        is_mark: whether it is a letter in one way of reading it alone.
    """

    text: str
    score: float
    detection_score: float = 1.0
    coverage: float = 0.1
    aspect: float = 4.0
    unread: float = 0.0
    half_known: int = 0
    is_mark: bool = False

    @property
    def guessed(self) -> bool:
        """Whether letters were passed over, or may have been, and the rest is not certain all the same."""
        in_part = self.half_known >= HALF_KNOWN and self.score < CERTAIN_IN_PART
        return in_part or (self.unread > UNREAD and self.score < CERTAIN_ALL_THE_SAME)

    @property
    def illegible(self) -> bool:
        """Whether all or much of it was not read."""
        return not self.text or self.score < LEGIBLE or self.unread > UNREAD or self.guessed


def cleaned(text: str) -> str:
    """The text without control characters and without space around it."""
    return "".join(character for character in text if unicodedata.category(character) not in _UNSEEN).strip()


def plausible(candidates: Sequence[Candidate]) -> list[bool]:
    """Which readings of one photo are worth keeping, each by itself and in view of the others."""
    unknown = _mostly_illegible(candidates)
    unknown_words = _mostly_illegible([one for one in candidates if not _is_number(one.text)])
    known = any(one.score >= SHOWN and _is_word(one.text) for one in candidates)

    def is_known(one: Candidate) -> bool:
        if _is_number(one.text):
            return not unknown or one.score >= VERY_CERTAIN
        if unknown_words:
            letters = _letters(one.text)
            return known and _is_word(one.text) and letters > 1 and one.score >= (LIKELY if letters >= WORD else SHOWN)
        return known or one.score >= (LIKELY if _is_word(one.text) else SHOWN)

    return [_is_plausible(one) and is_known(one) for one in candidates]


def _mostly_illegible(candidates: Sequence[Candidate]) -> bool:
    illegible = sum(one.aspect for one in candidates if one.illegible)
    return illegible > UNKNOWN_SCRIPT * sum(one.aspect for one in candidates)


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _is_word(text: str) -> bool:
    """Whether a text is more than a stray letter or two: an ideograph or a kana is as good as three letters."""
    whole = any(unicodedata.category(character) == "Lo" for character in text)
    return whole or _letters(text) >= WORD


def _letters(text: str) -> int:
    return sum(unicodedata.category(character)[0] == "L" for character in text)


def _is_plausible(one: Candidate) -> bool:
    told = [character for character in one.text if unicodedata.category(character)[0] == "L" or character.isdecimal()]
    if not told:
        return False
    kinds, shapes = len(set(told)), SHAPES.issuperset(told)
    if shapes and kinds <= FEW_CHARACTERS and len(told) >= GRID:
        return False
    if one.is_mark or one.guessed:
        return False
    few = shapes and len(told) <= FEW_CHARACTERS
    marks = len(told) >= REPEATED and kinds == 1
    if few and one.detection_score < FAINT:
        return False
    doubtful = one.coverage > MOST_OF_THE_PHOTO or few or marks
    return not doubtful or one.score >= VERY_CERTAIN
