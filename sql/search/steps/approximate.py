"""Conditions for text that is there, but not as asked: spaced otherwise, inside a longer number, misread by OCR.

LOOSE allows what is certain all the same: all letters are there, in order. FUZZY allows letters that OCR takes for each
other, and one unknown character in a part long enough to be recognised without it; what it finds is weighed by
`evidence`. APART takes a query's parts wherever they stand in the photo. Each is one condition over a document, as the
data that `mesh.condition` knows.
"""

from sql.search.conditions import Json
from sql.search.query.terms import FoldedTerm
from sql.search.query.text_query import TextQuery
from sql.search.results import Match
from sql.search.steps.apart import apart, is_divisible, is_long_number, misread_number
from sql.search.steps.fuzzy import fuzzy, is_fuzzy, is_long_word
from sql.search.steps.loose import is_loose, loose, split
from sql.search.steps.nodes import all_of, either, in_words


def condition(query: TextQuery, step: Match) -> Json | None:
    """What a document must be like for LOOSE, PINYIN, FUZZY or APART; None when the step has nothing to offer.

    With pg_trgm, FUZZY also finds long words with more than one error.
    """
    has_more = _HAS_MORE[step]
    code = query.code if step is Match.LOOSE else None
    if not code and not any(has_more(term) for term in query.wanted):
        return None
    groups: list[Json] = []
    for group in query.groups:
        wanted = [term for term in group if not term.excluded]
        if len(wanted) == 1:
            # As asked it is not to be found: that was an earlier step.
            if not (ways := _new_ways(wanted[0], step)):
                continue
            parts = [either(ways)]
        else:
            parts = [either(_all_ways(term, step)) for term in wanted]
            if code and (whole := split(code)):
                parts = [either([all_of(parts), whole])]
        parts += [{"not": in_words(term.anyhow())} for term in group if term.excluded]
        groups.append(all_of(parts))
    return either(groups) if groups else None


def _is_pinyin(term: FoldedTerm) -> bool:
    return bool(term.pinyin)


_HAS_MORE = {
    Match.LOOSE: is_loose,
    Match.PINYIN: _is_pinyin,
    Match.FUZZY: is_fuzzy,
    Match.APART: is_divisible,
}


def _all_ways(term: FoldedTerm, step: Match) -> list[Json]:
    """How a term may stand in a photo where another one makes the match what the step is for."""
    spaced = is_loose(term) and step in (Match.LOOSE, Match.FUZZY)
    ways = [] if spaced and _is_one_run(term) else [in_words(term.anyway())]
    if step is Match.FUZZY and spaced:
        ways.append(loose(term))
    return ways + _new_ways(term, step)


def _is_one_run(term: FoldedTerm) -> bool:
    """Whether what finds it spaced finds it as it is, too: the index need not be asked for both."""
    return len(term.runs) == 1 and term.runs[0].unsegmented and not term.dates and not term.variants


def _new_ways(term: FoldedTerm, step: Match) -> list[Json]:
    """How a step finds the term, and no earlier one."""
    ways: list[Json] = []
    if step is Match.LOOSE and is_loose(term):
        ways.append(loose(term))
    if step is Match.PINYIN and term.pinyin:
        ways.append(in_words(term.read_as()))
    if step is Match.FUZZY and is_fuzzy(term):
        ways.append(fuzzy(term))
    if step is Match.FUZZY and is_long_word(term):
        ways.append({"similar": term.squeezed})
    if step is Match.APART and is_long_number(term):
        ways.append(misread_number(term))
    if step is Match.APART and not term.quoted and is_divisible(term) and not is_long_number(term):
        ways.append(apart(term))
    return ways
