"""Conditions for text that is there, but not as asked: broken by a line end, inside a longer number, misread by OCR.

Two steps, each a condition per run of the query, all of which must hold: LOOSE allows what is certain all the same (the
letters are all there, in order), FUZZY allows one unknown character in a run long enough to be recognised without it.
"""

import re

from sql.conditions import Arguments
from sql.query import FoldedTerm, Run, TextQuery, broken, phrase
from sql.results import Match

LOOK_ALIKES = str.maketrans("oilsbz", "011582")
"""As `mesh.grams` folds letters and digits that OCR mixes up."""

SHORTEST_FUZZY_RUN = 4
SHORTEST_FUZZY_WORD = 6
LONGEST_RUN = 40
LONGEST_WORD = 32


def condition(query: TextQuery, step: Match, arguments: Arguments) -> str | None:
    """SQL over `document` for LOOSE or FUZZY; None when the step has nothing to offer for this query."""
    if not any(_alternatives(run, step) for term in query.wanted for run in term.runs):
        return None
    groups = []
    for group in query.groups:
        parts = [_run_condition(run, step, arguments) for term in group if not term.excluded for run in term.runs]
        parts += [f"NOT document.words @@ {_literal(term, arguments)}" for term in group if term.excluded]
        groups.append("(" + " AND ".join(parts) + ")")
    return "(" + " OR ".join(groups) + ")"


def _literal(term: FoldedTerm, arguments: Arguments) -> str:
    return arguments.add(term.anyhow(), "tsquery")


def _alternatives(run: Run, step: Match) -> bool:
    if run.unsegmented:
        return 2 <= run.length <= LONGEST_RUN and (step is Match.LOOSE or run.length >= SHORTEST_FUZZY_RUN)
    return len(run.text) <= LONGEST_WORD and len(run.text) >= (3 if step is Match.LOOSE else SHORTEST_FUZZY_WORD)


def _run_condition(run: Run, step: Match, arguments: Arguments) -> str:
    exact = FoldedTerm((run,)).phrase()
    if run.unsegmented:
        ways = [exact]
        if _alternatives(run, Match.LOOSE):
            ways += broken(run.text) + apart(run.text)
        if step is Match.FUZZY and _alternatives(run, Match.FUZZY):
            ways += misread(run.text)
        return f"document.words @@ {arguments.add(' | '.join(f'({way})' for way in ways), 'tsquery')}"
    parts = [f"document.words @@ {arguments.add(exact, 'tsquery')}"]
    if _alternatives(run, Match.LOOSE):
        grams = arguments.add(_all_grams(run.text.translate(LOOK_ALIKES)), "tsquery")
        parts.append(
            f"(document.grams @@ {grams} AND position({arguments.add(run.text, 'text')} IN document.body) > 0)"
        )
    if step is Match.FUZZY and _alternatives(run, Match.FUZZY):
        plain = run.text.translate(LOOK_ALIKES)
        middle = len(plain) // 2
        ends = f"'{plain[:3]}' & '{plain[-3:]}'"
        halves = f"({_all_grams(plain[:middle])}) | ({_all_grams(plain[middle:])}) | ({ends})"
        pattern = arguments.add(one_unknown(plain), "text")
        parts.append(
            f"(document.grams @@ {arguments.add(halves, 'tsquery')}"
            f" AND translate(document.body, 'oilsbz', '011582') ~ {pattern})"
        )
    return "(" + " OR ".join(parts) + ")"


def apart(text: str) -> list[str]:
    """`tsquery` conjunctions of the text's two parts, wherever they stand, each of two characters or more."""
    return [
        f"({phrase(text[:cut], last=False)}) & ({phrase(text[cut:], last=False)})" for cut in range(2, len(text) - 1)
    ]


def misread(text: str) -> list[str]:
    """`tsquery` phrases for the text with any one character unknown."""
    ways = [phrase(text[1:], last=False), phrase(text[:-1], last=False)]
    for unknown in range(1, len(text) - 1):
        left, right = text[:unknown], text[unknown + 1 :]
        # The last whole token of the left side begins one before its end, unless it is a single character.
        gap = 2 if len(left) == 1 else 3
        ways.append(f"{phrase(left, last=False)} <{gap}> {phrase(right, last=False)}")
    return ways


def one_unknown(word: str) -> str:
    """A regular expression for the word with one character read as none, another or two, or two read as one."""
    ways = []
    for at in range(len(word)):
        before = re.escape(word[:at])
        ways.append(f"{before}.{{0,2}}{re.escape(word[at + 1 :])}")
        ways.append(f"{before}.{re.escape(word[at + 2 :])}")
    return "|".join(ways)


def _all_grams(word: str) -> str:
    return " & ".join(f"'{word[start : start + 3]}'" for start in range(len(word) - 2))
