"""FUZZY: letters that OCR takes for each other, and one unknown character (of long texts two)."""

import re
from itertools import combinations

from sql.search.conditions import Json
from sql.search.query.terms import LONGEST_RUN, FoldedTerm, Run, any_of, phrase_of, spaced_phrase
from sql.search.steps.loose import LONG_WORD, LONGEST_WORD, is_breakable
from sql.search.steps.nodes import LOOK_ALIKES, all_grams, all_of, either, in_words, inside
from sql.search.steps.patterns import like, misread, one_replaced, one_unknown, pieces_of, read_alike, two_unknown
from sql.search.tables import alike

SHORTEST_FUZZY_RUN = 4
SHORTEST_HALVED_RUN = 6
"""From this length on half of it says enough to look for."""
TWICE_MISREAD = range(8, 15)
"""Lengths at which two characters may be unknown."""


def is_fuzzy(term: FoldedTerm) -> bool:
    """Whether a misreading of the term can be told from another word."""
    return len(term.squeezed) <= LONGEST_RUN and any(_is_misreadable(run) or _has_alike(run) for run in term.runs)


def _is_misreadable(run: Run) -> bool:
    if run.unsegmented:
        return SHORTEST_FUZZY_RUN <= run.length <= LONGEST_RUN
    return LONG_WORD <= len(run.text) <= LONGEST_WORD


def _has_alike(run: Run) -> bool:
    return run.unsegmented and 2 <= run.length < SHORTEST_HALVED_RUN and any(letter in alike() for letter in run.text)


def is_long_word(term: FoldedTerm) -> bool:
    """Whether trigrams say enough: a long word without digits (one digit makes another number)."""
    text = term.squeezed
    return len(term.runs) == 1 and not term.quoted and 8 <= len(text) <= LONGEST_WORD and text.isalpha()


def fuzzy(term: FoldedTerm) -> Json:
    """The term with an error in one of its runs, or in several."""
    # What is too short to narrow the search down is left to the order that all runs are to stand in.
    telling = [run for run in term.runs if len(run.text) > 1 or len(term.runs) == 1]
    return all_of([*(_misread(run) for run in telling), *_in_order(term)])


def _misread(run: Run) -> Json:
    if run.unsegmented:
        ways = [phrase_of(run)]
        if is_breakable(run):
            ways.append(spaced_phrase(run.text))
        checked: list[Json] = []
        if run.length >= SHORTEST_HALVED_RUN:
            # One error leaves a half whole, two errors two quarters; few photos hold those, and they are read through.
            pattern = two_unknown(run.text) if run.length in TWICE_MISREAD else one_replaced(run.text)
            pieces = [any_of(pieces_of(run.text, 2))]
            if run.length in TWICE_MISREAD:
                pieces += [f"({one}) & ({other})" for one, other in combinations(pieces_of(run.text, 4), 2)]
            checked.append(all_of([in_words(any_of(pieces)), {"squeezed": pattern}]))
        elif run.length >= SHORTEST_FUZZY_RUN:
            ways += [*misread(run.text), *read_alike(run.text, (0, -1))]
        elif _has_alike(run):
            ways += read_alike(run.text, range(run.length))
        return either([in_words(any_of(ways)), *checked])
    exact = in_words(phrase_of(run))
    if not _is_misreadable(run):
        return exact
    plain = run.text.translate(LOOK_ALIKES)
    if any(character.isdigit() for character in run.text):
        # One digit makes another number: only what looks alike counts as the same.
        return either([exact, all_of([inside(run.text), {"alike": re.escape(plain)}])])
    # An error spoils three neighbouring triples: a half is whole, or the first and the last triple are.
    left, right = plain[: (len(plain) + 1) // 2], plain[len(plain) // 2 :]
    pieces = [all_grams(left), all_grams(right), f"'{plain[:3]}' & '{plain[-3:]}'"]
    return either([exact, all_of([{"grams": any_of(pieces)}, {"alike": one_unknown(plain)}])])


def _in_order(term: FoldedTerm) -> list[Json]:
    """That the runs of a term follow each other, the unknown character inside one that is long enough; a single run
    knows by itself."""
    if len(term.runs) == 1:
        return []
    ways = []
    for at, run in enumerate(term.runs):
        before = re.escape("".join(other.text for other in term.runs[:at]))
        after = re.escape("".join(other.text for other in term.runs[at + 1 :]))
        if _is_misreadable(run):
            ways.append(f"{before}(?:{one_unknown(run.text)}){after}")
        elif _has_alike(run):
            ways.append(f"{before}{''.join(map(like, run.text))}{after}")
    return [{"squeezed": "|".join(ways)}]
