"""Which readings are text: the recogniser always answers something, even for a fence or a face."""

import unicodedata

_WORDLESS_CATEGORIES = ("Cc", "Cs", "Co", "Cn")

MOST_OF_THE_PHOTO = 0.7
"""A box that covers more of the photo than this is a pattern taken for text, unless it reads very well."""

VERY_CERTAIN = 0.95


def cleaned(text: str) -> str:
    """The text without control characters (NUL fails Immich's database) and without space around it."""
    return "".join(
        character for character in text if unicodedata.category(character) not in _WORDLESS_CATEGORIES
    ).strip()


def is_plausible(text: str, score: float, coverage: float) -> bool:
    """Whether a reading is worth keeping.

    Args:
        text: as cleaned.
        score: how certain the reading is, 0 to 1.
        coverage: the box's area over the photo's.
    """
    return any(map(str.isalnum, text)) and (coverage < MOST_OF_THE_PHOTO or score >= VERY_CERTAIN)
