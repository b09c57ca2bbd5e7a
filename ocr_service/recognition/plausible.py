"""Which readings are text: the recogniser always answers something, even for a fence, a rating of stars or a script
that it does not know."""

import unicodedata
from collections.abc import Sequence

_UNSEEN = ("Cc", "Cs", "Co", "Cn")
"""Unicode categories of what nobody can read: control characters (NUL fails Immich's database), unassigned ones."""

SHAPES = frozenset("IilL1|OoCcUuVvDHE0一二三工口日目田丨")
"""Characters that pickets, rings and window frames look like."""

FEW_CHARACTERS = 2
MOST_OF_THE_PHOTO = 0.7
VERY_CERTAIN = 0.95
"""A reading of one or two such shapes, or whose box covers most of the photo, counts only when it is very certain."""


REPEATED = 3
"""A row of so many marks (stars, hearts, notes) is read as one character again and again: 女女女, 人人人, 555."""

LEGIBLE = 0.75
UNKNOWN_SCRIPT = 0.5
"""Where more than this part of a photo's text is read with less certainty than that, it is in a script that the model
does not know; what looks legible there counts only when it is very certain, as numbers are."""


def cleaned(text: str) -> str:
    """The text without control characters and without space around it."""
    return "".join(character for character in text if unicodedata.category(character) not in _UNSEEN).strip()


def is_plausible(text: str, score: float, coverage: float) -> bool:
    """Whether a reading is worth keeping.

    Args:
        text: as cleaned.
        score: how certain the reading is, 0 to 1.
        coverage: the box's area over the photo's.
    """
    told = [character for character in text if unicodedata.category(character)[0] == "L" or character.isdecimal()]
    if not told:
        return False
    shapes = len(told) <= FEW_CHARACTERS and SHAPES.issuperset(told)
    marks = len(told) >= REPEATED and len(set(told)) == 1
    doubtful = coverage > MOST_OF_THE_PHOTO or shapes or marks
    return not doubtful or score >= VERY_CERTAIN


def least_score(scores: Sequence[float], lengths: Sequence[float]) -> float:
    """The certainty that every line of a photo needs: `VERY_CERTAIN` where its script is not known, else 0.

    Args:
        scores: of all lines found, legible or not.
        lengths: of these lines, in their own heights: about how many characters each has.
    """
    illegible = sum(length for score, length in zip(scores, lengths, strict=True) if score < LEGIBLE)
    return VERY_CERTAIN if illegible > UNKNOWN_SCRIPT * sum(lengths) else 0.0
