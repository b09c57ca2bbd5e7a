"""APART: a query's parts wherever they stand in the photo, or a long number with one digit misread."""

import re

from sql.search.conditions import Json
from sql.search.query.terms import LONGEST_RUN, FoldedTerm, Run, any_of, phrase, phrase_of
from sql.search.steps.loose import LONGEST_WORD
from sql.search.steps.nodes import LOOK_ALIKES, all_grams, all_of, in_words


def is_divisible(term: FoldedTerm) -> bool:
    """Whether the term has parts that say something by themselves."""
    if term.dates:
        # With a digit changed it is another day.
        return False
    return is_long_number(term) or (not term.quoted and (len(term.runs) > 1 or _is_long(term.runs[0])))


def is_long_number(term: FoldedTerm) -> bool:
    """Whether another number that differs in one digit is, more likely than not, this one misread."""
    plain = term.squeezed
    return (
        plain.isascii()
        and 8 <= len(plain) <= LONGEST_WORD
        and sum(letter.isdigit() for letter in plain) * 2 > len(plain)
    )


def _is_long(run: Run) -> bool:
    return run.unsegmented and 4 <= run.length <= LONGEST_RUN


def misread_number(term: FoldedTerm) -> Json:
    """The number with one of its digits another."""
    plain = term.squeezed.translate(LOOK_ALIKES)
    middle = len(plain) // 2
    halves = [all_grams(plain[:middle]), all_grams(plain[middle:]), f"'{plain[:3]}' & '{plain[-3:]}'"]
    ways = "|".join(f"{re.escape(plain[:at])}.{re.escape(plain[at + 1 :])}" for at in range(len(plain)))
    return all_of([{"grams": any_of(halves)}, {"alike": ways}])


def apart(term: FoldedTerm) -> Json:
    """The term's runs, long ones in two parts or more, wherever they stand."""
    return all_of([_apart(run) for run in term.runs])


def _apart(run: Run) -> Json:
    ways = [phrase_of(run)]
    if _is_long(run):
        ways += [
            f"({phrase(run.text[:cut], last=False)}) & ({phrase(run.text[cut:], last=False)})"
            for cut in range(2, run.length - 1)
        ]
    if len(run.words) > 1:
        ways.append(" & ".join(f"({phrase(word, last=False)})" for word in run.words))
    return in_words(any_of(ways))
