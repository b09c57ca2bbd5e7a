"""Which readings are text: the recogniser always answers something, even for a fence or a row of windows."""

import unicodedata

_UNSEEN = ("Cc", "Cs", "Co", "Cn")
"""Unicode categories of what nobody can read: control characters (NUL fails Immich's database), unassigned ones."""

SHAPES = frozenset("IilL1|OoCcUuVvDHE0一二三工口日目田丨")
"""Characters that pickets, rings and window frames look like."""

FEW_CHARACTERS = 2
MOST_OF_THE_PHOTO = 0.7
VERY_CERTAIN = 0.95
"""A reading of one or two such shapes, or whose box covers most of the photo, counts only when it is very certain."""


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
    doubtful = coverage > MOST_OF_THE_PHOTO or (len(told) <= FEW_CHARACTERS and SHAPES.issuperset(told))
    return not doubtful or score >= VERY_CERTAIN
