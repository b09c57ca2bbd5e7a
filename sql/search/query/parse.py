"""What a person typed, split by its syntax: words, "phrases", -exclusions, OR; any string is valid. Comes first: the
database folds the terms, and `text_query` joins them with what it made of them."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sql.search.query.dates import typed_dates

MAX_CHARACTERS = 512
MAX_TERMS = 32

_TERM = re.compile(
    r"""(?P<minus>(?<!\S)[-\uff0d\u2212])?
        (?: ["\uff02\u201c-\u201f](?P<quoted>[^"\uff02\u201c-\u201f]*)["\uff02\u201c-\u201f]
          | (?P<word>[^\s"\uff02\u201c-\u201f]+) | ["\uff02\u201c-\u201f] )""",
    re.VERBOSE,
)
_OR = frozenset({"OR", "ＯＲ"})


@dataclass(frozen=True, slots=True)
class Term:
    """A word as typed (its last part may go on: prefix match), or a quoted phrase (as it stands)."""

    text: str
    quoted: bool = False
    excluded: bool = False
    dates: tuple[str, ...] = ()
    """The days that it means, where it is a date and nothing else."""


INNER_SPACE = "\u00b7"
"""Stands for the spaces of a date written with some, so that it is one term; folding takes it for punctuation."""


def parse(query: str) -> tuple[tuple[Term, ...], ...]:
    """Alternatives (between `OR`) of terms that must all hold. Never raises.

    A query of nothing but exclusions would find nearly everything; what it most likely means is literal ("-20"), so its
    terms are taken as words.
    """
    groups: list[list[Term]] = [[]]
    count = 0
    for match in _TERM.finditer(_dates_joined(query.replace("\x00", " ")[:MAX_CHARACTERS])):
        text = match["quoted"] or match["word"] or ""
        if match["word"] in _OR and not match["minus"]:
            groups.append([])
        elif text.strip() and count < MAX_TERMS:
            groups[-1].append(Term(text, match["quoted"] is not None, match["minus"] is not None, _days(text)))
            count += 1
    return tuple(_with_something_wanted(group) for group in groups if group)


def only_excludes(query: str) -> bool:
    """Whether an alternative of the query says only what is not wanted (`-word`), and so nothing that could be found.

    `parse` takes such words as they are; a caller that can ask back does so before.
    """
    alternatives: list[list[bool]] = [[]]
    for match in _TERM.finditer(query.replace("\x00", " ")[:MAX_CHARACTERS]):
        if match["word"] in _OR and not match["minus"]:
            alternatives.append([])
        elif (match["quoted"] or match["word"] or "").strip():
            alternatives[-1].append(match["minus"] is not None)
    return any(excluded and all(excluded) for excluded in alternatives)


def _with_something_wanted(group: Sequence[Term]) -> tuple[Term, ...]:
    if all(term.excluded for term in group):
        return tuple(replace(term, excluded=False) for term in group)
    return tuple(group)


def _dates_joined(query: str) -> str:
    """The query with every date in one piece."""
    plain = unicodedata.normalize("NFKC", query)
    if len(plain) != len(query):
        return query
    for date in typed_dates(plain):
        query = query[: date.start] + re.sub(r"\s", INNER_SPACE, query[date.start : date.end]) + query[date.end :]
    return query


def _days(text: str) -> tuple[str, ...]:
    plain = unicodedata.normalize("NFKC", text).replace(INNER_SPACE, " ").strip(" .,;:，。")
    dates = typed_dates(plain)
    return dates[0].tokens if len(dates) == 1 and dates[0].start == 0 and dates[0].end == len(plain) else ()
