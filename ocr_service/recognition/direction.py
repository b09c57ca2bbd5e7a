"""Text of scripts that run from right to left. A recogniser reads a line's columns from left to right, so that PP-OCR's
Arabic models give its characters in the order in which they stand; search and people want that in which they are read.
PaddleOCR turns them the same way (`pred_reverse` in its post-processing).
"""

import re
import unicodedata
from collections.abc import Sequence

_RIGHT_TO_LEFT = ("R", "AL")
_LEFT_TO_RIGHT = ("L", "EN", "AN", "ES", "ET", "CS")
"""Unicode's bidirectional classes of letters, of numbers, and of what stands inside of numbers."""
_RUN = re.compile("l+(?:s+l+)*|.")
"""Words that run from left to right, with the space between them; any other character by itself."""


def has_right_to_left(characters: Sequence[str]) -> bool:
    """Whether a recogniser knows letters of such a script."""
    return any(map(_is_right_to_left, characters))


def logical_order(text: str) -> str:
    """The text as it is read, from the order in which its characters stand from left to right.

    Words and numbers of other scripts keep their own order. A line without a letter that runs from right to left stays.
    """
    if not any(map(_is_right_to_left, text)):
        return text
    kinds = "".join(map(_kind, text))
    return "".join(text[slice(*run.span())] for run in reversed(list(_RUN.finditer(kinds))))


def _kind(character: str) -> str:
    if character.isspace():
        return "s"
    return "l" if unicodedata.bidirectional(character) in _LEFT_TO_RIGHT else "r"


def _is_right_to_left(character: str) -> bool:
    return any(unicodedata.bidirectional(one) in _RIGHT_TO_LEFT for one in character)
