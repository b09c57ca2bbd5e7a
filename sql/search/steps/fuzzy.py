"""FUZZY: letters that OCR takes for each other, and one unknown character (of long texts two).

Every way is a condition of its own: the text index answers each from its rarest token, where one condition of all ways
would walk through the places of all tokens.
"""

import re

from sql.search.conditions import Json
from sql.search.query.terms import LONGEST_RUN, FoldedTerm, Run, any_of, phrase_of
from sql.search.steps.loose import LONG_WORD, LONGEST_WORD
from sql.search.steps.nodes import LOOK_ALIKES, all_grams, all_of, either, in_words, inside
from sql.search.steps.patterns import halves, like, misread, one_misread, one_unknown, piece_pairs, read_alike
from sql.search.tables import alike

SHORTEST_FUZZY_RUN = 4
LONG_PATTERN = 8
SHORTEST_CUT_RUN = 6
"""From this length on two of three pieces say enough to look for; from `SHORTEST_QUARTERED_RUN` on two of four."""
SHORTEST_QUARTERED_RUN = 8


def is_fuzzy(term: FoldedTerm) -> bool:
    """Whether a misreading of the term can be told from another word."""
    return len(term.squeezed) <= LONGEST_RUN and any(_is_misreadable(run) or _has_alike(run) for run in term.runs)


def _is_misreadable(run: Run) -> bool:
    if run.unsegmented:
        return SHORTEST_FUZZY_RUN <= run.length <= LONGEST_RUN
    return LONG_WORD <= len(run.text) <= LONGEST_WORD


def _has_alike(run: Run) -> bool:
    return run.unsegmented and 2 <= run.length < SHORTEST_CUT_RUN and any(letter in alike() for letter in run.text)


def is_long_word(term: FoldedTerm) -> bool:
    """Whether trigrams say enough: a long word without digits (one digit makes another number)."""
    text = term.squeezed
    return len(term.runs) == 1 and not term.quoted and 8 <= len(text) <= LONGEST_WORD and text.isalpha()


def fuzzy(term: FoldedTerm) -> Json:
    """The term with an error in one of its runs, or in several; where it has only one, other than as it is."""
    if len(term.runs) == 1:
        return either(_misread(term.runs[0]))
    # What is too short to narrow the search down is left to the order that all runs are to stand in.
    telling = [run for run in term.runs if len(run.text) > 1]
    return all_of([*(either([in_words(phrase_of(run)), *_misread(run)]) for run in telling), *_in_order(term)])


def _misread(run: Run) -> list[Json]:
    if run.unsegmented:
        if run.length >= SHORTEST_CUT_RUN:
            count = 4 if run.length >= SHORTEST_QUARTERED_RUN else 3
            return [in_words(pair) for pair in piece_pairs(run.text, count)]
        if run.length >= SHORTEST_FUZZY_RUN:
            return [in_words(way) for way in misread(run.text)]
        return [in_words(way) for way in read_alike(run.text, range(run.length))]
    if not _is_misreadable(run):
        return []
    plain = run.text.translate(LOOK_ALIKES)
    if any(character.isdigit() for character in run.text):
        # One digit makes another number: only what looks alike counts as the same.
        return [all_of([inside(run.text), {"alike": re.escape(plain)}])]
    # An error spoils three neighbouring triples: a half is whole, or the first and the last triple are.
    left, right = plain[: (len(plain) + 1) // 2], plain[len(plain) // 2 :]
    pieces = [all_grams(left), all_grams(right), f"'{plain[:3]}' & '{plain[-3:]}'"]
    # Of a long word a half is compared before the whole, which costs ten times as much.
    halves_first: list[Json] = [{"body": halves(run.text)}] if len(plain) >= LONG_PATTERN else []
    return [all_of([{"grams": any_of(pieces)}, *halves_first, {"body": one_misread(run.text)}])]


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
