"""Dates in what a person typed, whichever way they are written: `mesh.dates` gives documents the same tokens.

A date becomes digits: yyyymmdd, yyyymm without a day, mmdd without a year. 05/03/2024 may be either of two days; both
are asked for.
"""

import re
from dataclasses import dataclass

_YEAR = r"(?P<y>(?:19|20)\d\d)"
_MONTH = r"(?P<m>1[0-2]|0?[1-9])"
_DAY = r"(?P<d>3[01]|[12]\d|0?[1-9])"
_NAME = r"(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_NTH = r"(?:st|nd|rd|th)?"
_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?<!\d){_YEAR}\s?[-./年]\s?{_MONTH}(?!\d)(?:\s?[-./月]\s?{_DAY}(?!\d)\s?[日号]?|\s?月)?",
        rf"(?<![\d.]){_DAY}[-./]{_MONTH}[-./]{_YEAR}(?!\d)",
        rf"(?<![\d.]){_MONTH}/{_DAY}/{_YEAR}(?!\d)",
        rf"(?<!\d){_MONTH}\s?月\s?{_DAY}(?!\d)\s?[日号]?",
        rf"(?<![0-9a-z]){_DAY}{_NTH}[-.\s]*{_NAME}[-.,\s]*{_YEAR}(?!\d)",
        rf"(?<![a-z]){_NAME}[-.\s]*{_DAY}{_NTH}[.,\s]+{_YEAR}(?!\d)",
    )
)


@dataclass(frozen=True, slots=True)
class TypedDate:
    """A date in a query.

    Attributes:
        start, end: where it stands.
        tokens: digits of the days that it may mean.
    """

    start: int
    end: int
    tokens: tuple[str, ...]


def typed_dates(text: str) -> tuple[TypedDate, ...]:
    """The dates in a text (NFKC), in order, none inside another."""
    found: dict[int, TypedDate] = {}
    taken: list[range] = []
    for form in _FORMS:
        for match in form.finditer(text):
            place = range(match.start(), match.end())
            known = found.get(match.start())
            if known and known.end == match.end():
                tokens = dict.fromkeys((*known.tokens, _token(match)))
                found[match.start()] = TypedDate(known.start, known.end, tuple(tokens))
            elif not any(place.start < other.stop and other.start < place.stop for other in taken):
                found[match.start()] = TypedDate(match.start(), match.end(), (_token(match),))
                taken.append(place)
    return tuple(found[start] for start in sorted(found))


def _token(match: re.Match[str]) -> str:
    parts = match.groupdict()
    month = _NAMES.index(parts["name"].lower()) + 1 if parts.get("name") else int(parts["m"])
    day = f"{int(parts['d']):02}" if parts.get("d") else ""
    return f"{parts.get('y') or ''}{month:02}{day}"
