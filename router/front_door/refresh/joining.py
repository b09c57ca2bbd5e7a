"""The lines of several pictures of one video, as the lines of one photo: each once, in the order of first sight."""

import unicodedata
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from sql.refresh import OcrLine

MAX_LINES = 1000
"""Lines of one video that are kept: as many as a photo can have."""

ALIKE = 0.85
LONG_ENOUGH = 5
"""Lines of so many letters or more that are this much alike are one, read with a mistake in one of the pictures; unless
their digits differ: 第1章 and 第2章, two prices, two times."""


def joined(pictures: Iterable[Sequence[OcrLine]]) -> tuple[OcrLine, ...]:
    """Each line once, in its most certain reading."""
    kept: list[OcrLine] = []
    places: dict[str, int] = {}
    letters: dict[str, list[int]] = {}
    for lines in pictures:
        for line in lines:
            key = _folded(line.text)
            digits = "".join(filter(str.isdecimal, key))
            place = places.get(key)
            if place is None:
                place = next((one for one in letters.get(digits, ()) if _alike(key, _folded(kept[one].text))), None)
            if place is None:
                if len(kept) == MAX_LINES:
                    continue
                place = len(kept)
                kept.append(line)
                letters.setdefault(digits, []).append(place)
            elif line.text_score > kept[place].text_score:
                kept[place] = line
            places[key] = place
    return tuple(kept)


def _folded(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _alike(one: str, other: str) -> bool:
    if min(len(one), len(other)) < LONG_ENOUGH:
        return False
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.real_quick_ratio() >= ALIKE and matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE
