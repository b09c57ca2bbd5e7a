"""Conditions for text that is there, but not as asked: broken by a line end, inside a longer number, misread by OCR.

LOOSE allows what is certain all the same: all letters are there, in order. FUZZY allows one unknown character in a part
long enough to be recognised without it. APART takes a query's parts wherever they stand in the photo. Each is one
condition over `document`; texts broken by punctuation compare by `body` without its spaces.
"""

import re
from collections.abc import Sequence
from itertools import groupby

from sql.search.conditions import Arguments
from sql.search.query import LONGEST_RUN, FoldedTerm, Run, TextQuery, any_of, broken, phrase
from sql.search.results import Match

LOOK_ALIKES = str.maketrans("oilsbz", "011582")
"""As `mesh.grams` folds letters and digits that OCR mixes up."""

LONG_WORD = 6
"""From this length on a word or number is looked for inside longer ones; shorter numbers only at the end of longer
ones."""
SHORTEST_FUZZY_RUN = 4
SHORTEST_OPEN_RUN = 5
"""From this length on the unknown character may be the first or the last one: what is left says enough."""
SHORTEST_NARROWED_RUN = 6
"""From this length on four characters are left beside the second one: few photos hold those."""
LONGEST_WORD = 32

SQUEEZED = "replace(document.body, ' ', '')"


def condition(query: TextQuery, step: Match, arguments: Arguments, trigram_schema: str | None = None) -> str | None:
    """SQL over `document` for LOOSE, FUZZY or APART; None when the step has nothing to offer for this query.

    With pg_trgm (`trigram_schema`), FUZZY also finds long words with more than one error.
    """
    has_more = {Match.LOOSE: _is_loose, Match.FUZZY: _is_fuzzy, Match.APART: _is_divisible}[step]
    if not any(has_more(term) for term in query.wanted):
        return None
    groups = []
    for group in query.groups:
        wanted = [term for term in group if not term.excluded]
        if len(wanted) == 1:
            # As asked it is not to be found: that was an earlier step.
            if not (ways := _new_ways(wanted[0], step, arguments, trigram_schema)):
                continue
            parts = [_either(ways)]
        else:
            parts = [_either(_all_ways(term, step, arguments, trigram_schema)) for term in wanted]
        parts += [f"NOT document.words @@ {arguments.add(term.anyhow(), 'tsquery')}" for term in group if term.excluded]
        groups.append("(" + " AND ".join(parts) + ")")
    return "(" + " OR ".join(groups) + ")" if groups else None


def _is_loose(term: FoldedTerm) -> bool:
    if len(term.runs) > 1:
        return len(term.squeezed) >= LONG_WORD
    return _is_breakable(term.runs[0]) or _is_inner(term.runs[0])


def _is_fuzzy(term: FoldedTerm) -> bool:
    return len(term.squeezed) <= LONGEST_RUN and any(_is_misreadable(run) for run in term.runs)


def _is_divisible(term: FoldedTerm) -> bool:
    return _is_long_number(term) or (not term.quoted and (len(term.runs) > 1 or _is_long(term.runs[0])))


def _is_long_number(term: FoldedTerm) -> bool:
    """Whether another number that differs in one digit is, more likely than not, this one misread."""
    plain = term.squeezed
    return (
        plain.isascii()
        and 8 <= len(plain) <= LONGEST_WORD
        and sum(letter.isdigit() for letter in plain) * 2 > len(plain)
    )


def _is_long(run: Run) -> bool:
    return run.unsegmented and 4 <= run.length <= LONGEST_RUN


def _is_breakable(run: Run) -> bool:
    return run.unsegmented and 2 <= run.length <= LONGEST_RUN


def _is_inner(run: Run) -> bool:
    long_enough = len(run.text) >= LONG_WORD or (len(run.text) >= 3 and run.text.isdigit())
    return not run.unsegmented and long_enough and len(run.text) <= LONGEST_WORD


def _is_misreadable(run: Run) -> bool:
    if run.unsegmented:
        return SHORTEST_FUZZY_RUN <= run.length <= LONGEST_RUN
    return LONG_WORD <= len(run.text) <= LONGEST_WORD


def _all_ways(term: FoldedTerm, step: Match, arguments: Arguments, trigram_schema: str | None) -> list[str]:
    """How a term may stand in a photo where another one makes the match what the step is for."""
    ways = [_words(term.phrase(), arguments)]
    if step is Match.FUZZY and _is_loose(term):
        ways.append(_loose(term, arguments))
    return ways + _new_ways(term, step, arguments, trigram_schema)


def _new_ways(term: FoldedTerm, step: Match, arguments: Arguments, trigram_schema: str | None) -> list[str]:
    """How a step finds the term, and no earlier one."""
    ways = []
    if step is Match.LOOSE and _is_loose(term):
        ways.append(_loose(term, arguments))
    if step is Match.FUZZY and _is_fuzzy(term):
        # What is too short to narrow the search down is left to the order that all runs are to stand in.
        telling = [run for run in term.runs if len(run.text) > 1 or len(term.runs) == 1]
        ways.append(_all([*(_fuzzy(run, arguments) for run in telling), *_in_order(term, arguments)]))
    if step is Match.FUZZY and trigram_schema and _is_long_word(term):
        word = arguments.add(term.squeezed, "text")
        ways.append(f"{word} OPERATOR({trigram_schema}.<%) document.body")
    if step is Match.APART and _is_long_number(term):
        ways.append(_misread_number(term, arguments))
    if step is Match.APART and not term.quoted and _is_divisible(term) and not _is_long_number(term):
        ways.append(_all([_apart(run, arguments) for run in term.runs]))
    return ways


def _loose(term: FoldedTerm, arguments: Arguments) -> str:
    """The term's letters in order, whatever stands between or around them."""
    if len(term.runs) == 1 and term.runs[0].unsegmented:
        return _words(any_of(broken(term.runs[0].text)), arguments)
    if len(term.runs) == 1 and len(term.squeezed) < LONG_WORD:
        ends = arguments.add(f"{re.escape(term.squeezed)}(?![0-9a-z])", "text")
        return f"{_inside(term.squeezed, arguments)} AND document.body ~ {ends}"
    # What the text index is asked for only narrows down where to compare letter by letter.
    parts = [_stretch(stretch, arguments) for stretch in _stretches(term)]
    return _all([*filter(None, parts), f"position({arguments.add(term.squeezed, 'text')} IN {SQUEEZED}) > 0"])


def _stretches(term: FoldedTerm) -> list[Run]:
    """The term's runs, neighbouring words and numbers joined: `mesh.grams` too goes on over what stands between
    them."""
    return [
        Run("".join(run.text for run in runs), unsegmented)
        for unsegmented, group in groupby(term.runs, key=lambda run: run.unsegmented)
        for runs in ([[run] for run in group] if unsegmented else [list(group)])
    ]


def _stretch(stretch: Run, arguments: Arguments) -> str | None:
    """What narrows the search down to photos that may hold the stretch; None where it is too short to narrow much."""
    if _is_breakable(stretch):
        return _words(any_of([phrase_of(stretch), *broken(stretch.text)]), arguments)
    return None if stretch.unsegmented or len(stretch.text) < 3 else _inside(stretch.text[:LONGEST_WORD], arguments)


def _inside(text: str, arguments: Arguments) -> str:
    return f"document.grams @@ {arguments.add(_all_grams(text.translate(LOOK_ALIKES)), 'tsquery')}"


def _fuzzy(run: Run, arguments: Arguments) -> str:
    if run.unsegmented:
        ways = [phrase_of(run)]
        if _is_breakable(run):
            ways += broken(run.text)
        if _is_misreadable(run):
            ways += misread(run.text)
        ends = misread_second_or_last_but_one(run.text) if _is_misreadable(run) else ()
        narrowed = [f"({_words(rare, arguments)} AND {_rechecked(way, arguments)})" for rare, way in ends]
        return _either([_words(any_of(ways), arguments), *narrowed])
    exact = _words(phrase_of(run), arguments)
    if not _is_misreadable(run):
        return exact
    plain = run.text.translate(LOOK_ALIKES)
    if any(character.isdigit() for character in run.text):
        # One digit makes another number: only what looks alike counts as the same.
        same = f"position({arguments.add(plain, 'text')} IN translate({SQUEEZED}, 'oilsbz', '011582')) > 0"
        return _either([exact, f"{_inside(run.text, arguments)} AND {same}"])
    middle = len(plain) // 2
    pieces = [_all_grams(plain[:middle]), _all_grams(plain[middle:]), f"'{plain[:3]}' & '{plain[-3:]}'"]
    pattern = arguments.add(one_unknown(plain), "text")
    checked = f"translate({SQUEEZED}, 'oilsbz', '011582') ~ {pattern}"
    return _either([exact, f"(document.grams @@ {arguments.add(any_of(pieces), 'tsquery')} AND {checked})"])


def _is_long_word(term: FoldedTerm) -> bool:
    """Whether trigrams say enough: a long word without digits (one digit makes another number)."""
    text = term.squeezed
    return len(term.runs) == 1 and not term.quoted and 8 <= len(text) <= LONGEST_WORD and text.isalpha()


def _misread_number(term: FoldedTerm, arguments: Arguments) -> str:
    plain = term.squeezed.translate(LOOK_ALIKES)
    middle = len(plain) // 2
    halves = [_all_grams(plain[:middle]), _all_grams(plain[middle:]), f"'{plain[:3]}' & '{plain[-3:]}'"]
    ways = "|".join(f"{re.escape(plain[:at])}.{re.escape(plain[at + 1 :])}" for at in range(len(plain)))
    checked = f"translate({SQUEEZED}, 'oilsbz', '011582') ~ {arguments.add(ways, 'text')}"
    return f"document.grams @@ {arguments.add(any_of(halves), 'tsquery')} AND {checked}"


def _in_order(term: FoldedTerm, arguments: Arguments) -> list[str]:
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
    return [f"{SQUEEZED} ~ {arguments.add('|'.join(ways), 'text')}"]


def _apart(run: Run, arguments: Arguments) -> str:
    ways = [phrase_of(run)]
    if _is_long(run):
        ways += [
            f"({phrase(run.text[:cut], last=False)}) & ({phrase(run.text[cut:], last=False)})"
            for cut in range(2, run.length - 1)
        ]
    if len(run.words) > 1:
        ways.append(" & ".join(f"({phrase(word, last=False)})" for word in run.words))
    return _words(any_of(ways), arguments)


def phrase_of(run: Run) -> str:
    """One run as a `tsquery` phrase, the last word going on."""
    return FoldedTerm((run,)).phrase()


def misread(text: str) -> list[str]:
    """`tsquery` phrases for the text with one character unknown: any of a short text, of a longer one any but the
    second and the last but one (`misread_second_or_last_but_one`)."""
    ways = []
    if len(text) >= SHORTEST_OPEN_RUN:
        ways += [phrase(text[1:], last=False), phrase(text[:-1], last=False)]
    inner = range(2, len(text) - 2) if len(text) >= SHORTEST_NARROWED_RUN else range(1, len(text) - 1)
    return [*ways, *(_without(text, unknown) for unknown in inner)]


def misread_second_or_last_but_one(text: str) -> tuple[tuple[str, str], ...]:
    """The longer text with its second or last but one character unknown, each as two `tsquery` phrases.

    One character is left on one side. To look up all that begins with it costs more the larger the library is, so the
    first phrase says only what the other side must be, and the second one holds for few of the photos that it finds.
    """
    if len(text) < SHORTEST_NARROWED_RUN:
        return ()
    return (phrase(text[2:], last=False), _without(text, 1)), (phrase(text[:-2], last=False), _without(text, -2))


def _without(text: str, unknown: int) -> str:
    left, right = text[:unknown], text[unknown:][1:]
    # The last whole token of the left side begins one before its end, unless it is a single character.
    gap = 2 if len(left) == 1 else 3
    return f"{phrase(left, last=False)} <{gap}> {phrase(right, last=False)}"


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


def _words(query: str, arguments: Arguments) -> str:
    return f"document.words @@ {arguments.add(query, 'tsquery')}"


def _rechecked(query: str, arguments: Arguments) -> str:
    """The same, out of the index's sight: asked only of photos that it has found by something else."""
    return f"CASE WHEN {_words(query, arguments)} THEN true END"


def _either(conditions: Sequence[str]) -> str:
    return conditions[0] if len(conditions) == 1 else "(" + " OR ".join(f"({part})" for part in conditions) + ")"


def _all(conditions: Sequence[str]) -> str:
    return conditions[0] if len(conditions) == 1 else "(" + " AND ".join(conditions) + ")"
