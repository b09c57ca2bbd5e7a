"""Conditions for text that is there, but not as asked: spaced otherwise, inside a longer number, misread by OCR.

LOOSE allows what is certain all the same: all letters are there, in order. FUZZY allows letters that OCR takes for each
other, and one unknown character in a part long enough to be recognised without it; what it finds is weighed by
`evidence`. APART takes a query's parts wherever they stand in the photo. Each is one condition over a document, as the
data that `mesh.condition` knows; texts broken by punctuation compare by `body` without its spaces.
"""

import re
from collections.abc import Sequence
from itertools import combinations, groupby, pairwise

from sql.search.conditions import Json
from sql.search.query import LONGEST_RUN, FoldedTerm, Run, TextQuery, any_of, phrase, spaced_phrase
from sql.search.results import Match
from sql.search.tables import alike, words

LOOK_ALIKES = str.maketrans("oilsbz", "011582")
"""As `mesh.grams` folds letters and digits that OCR mixes up."""

LONG_WORD = 6
"""From this length on a word or number is looked for inside longer ones; shorter numbers only at the end of longer
ones."""
SHORTEST_CODE = 3
SHORTEST_FUZZY_RUN = 4
SHORTEST_OPEN_RUN = 5
"""From this length on the unknown character may be the first or the last one: what is left says enough."""
SHORTEST_HALVED_RUN = 6
"""From this length on half of it says enough to look for."""
TWICE_MISREAD = range(8, 15)
"""Lengths at which two characters may be unknown."""
MOST_ALIKE = 5
LONGEST_WORD = 32


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
            parts = [_either(ways)]
        else:
            parts = [_either(_all_ways(term, step)) for term in wanted]
            if code and (split := _split(code)):
                parts = [_either([_all(parts), split])]
        parts += [{"not": _words(term.anyhow())} for term in group if term.excluded]
        groups.append(_all(parts))
    return _either(groups) if groups else None


def _is_loose(term: FoldedTerm) -> bool:
    if term.is_code:
        return SHORTEST_CODE <= len(term.squeezed) <= LONGEST_WORD
    if len(term.runs) > 1:
        return len(term.squeezed) >= LONG_WORD
    return _is_breakable(term.runs[0])


def _is_pinyin(term: FoldedTerm) -> bool:
    return bool(term.pinyin)


def _is_fuzzy(term: FoldedTerm) -> bool:
    return len(term.squeezed) <= LONGEST_RUN and any(_is_misreadable(run) or _has_alike(run) for run in term.runs)


def _is_divisible(term: FoldedTerm) -> bool:
    if term.dates:
        # With a digit changed it is another day.
        return False
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


def _is_misreadable(run: Run) -> bool:
    if run.unsegmented:
        return SHORTEST_FUZZY_RUN <= run.length <= LONGEST_RUN
    return LONG_WORD <= len(run.text) <= LONGEST_WORD


def _has_alike(run: Run) -> bool:
    return run.unsegmented and 2 <= run.length < SHORTEST_HALVED_RUN and any(letter in alike() for letter in run.text)


_HAS_MORE = {
    Match.LOOSE: _is_loose,
    Match.PINYIN: _is_pinyin,
    Match.FUZZY: _is_fuzzy,
    Match.APART: _is_divisible,
}


def _all_ways(term: FoldedTerm, step: Match) -> list[Json]:
    """How a term may stand in a photo where another one makes the match what the step is for."""
    ways = [_words(term.anyway())]
    if step is Match.FUZZY and _is_loose(term):
        ways.append(_loose(term))
    return ways + _new_ways(term, step)


def _new_ways(term: FoldedTerm, step: Match) -> list[Json]:
    """How a step finds the term, and no earlier one."""
    ways: list[Json] = []
    if step is Match.LOOSE and _is_loose(term):
        ways.append(_loose(term))
    if step is Match.PINYIN and term.pinyin:
        ways.append(_words(term.read_as()))
    if step is Match.FUZZY and _is_fuzzy(term):
        # What is too short to narrow the search down is left to the order that all runs are to stand in.
        telling = [run for run in term.runs if len(run.text) > 1 or len(term.runs) == 1]
        ways.append(_all([*(_fuzzy(run) for run in telling), *_in_order(term)]))
    if step is Match.FUZZY and _is_long_word(term):
        ways.append({"similar": term.squeezed})
    if step is Match.APART and _is_long_number(term):
        ways.append(_misread_number(term))
    if step is Match.APART and not term.quoted and _is_divisible(term) and not _is_long_number(term):
        ways.append(_all([_apart(run) for run in term.runs]))
    return ways


def _loose(term: FoldedTerm) -> Json:
    """The term's letters in order, whatever stands between or around them."""
    if term.is_code:
        return _split(term) or {"holds": term.squeezed}
    if len(term.runs) == 1:
        return _words(spaced_phrase(term.runs[0].text))
    # What the text index is asked for only narrows down where to compare letter by letter.
    parts = [_stretch(stretch) for stretch in _stretches(term)]
    return _all([*filter(None, parts), {"holds": term.squeezed}])


def _split(term: FoldedTerm) -> Json | None:
    """A word, number or code, however it is split: with spaces at any places, at the end of a longer one, and, where it
    is long enough to be recognised, inside a longer one; None where too little is asked for."""
    text = term.squeezed
    if not SHORTEST_CODE <= len(text) <= LONGEST_WORD:
        return None
    letters = " ?".join(map(re.escape, text))
    if len(text) >= LONG_WORD:
        return _all([_inside(text), {"body": letters}])
    # A short number is not looked for in the middle of a longer one, nor a short word in that of another.
    before = "" if text.isdigit() else "(?<![0-9])" if text[0].isdigit() else "(?<![a-z])"
    after = "(?![0-9])" if text[-1].isdigit() else "(?![a-z])"
    ways = f"{before}{letters}{after}"
    if text.isdigit():
        # The end of a longer number, or its thousands apart; other gaps would make numbers of times and dates.
        grouped = f"{text[:-3]} {text[-3:]}" if len(text) > 3 else text
        ways = f"{text}(?![0-9a-z])|(?<![0-9]){grouped}(?![0-9])"
    return _all([_inside(text), {"body": ways}])


def _stretches(term: FoldedTerm) -> list[Run]:
    """The term's runs, neighbouring words and numbers joined: `mesh.grams` too goes on over what stands between
    them."""
    return [
        Run("".join(run.text for run in runs), unsegmented)
        for unsegmented, group in groupby(term.runs, key=lambda run: run.unsegmented)
        for runs in ([[run] for run in group] if unsegmented else [list(group)])
    ]


def _stretch(stretch: Run) -> Json | None:
    """What narrows the search down to photos that may hold the stretch; None where it is too short to narrow much."""
    if _is_breakable(stretch):
        return _words(spaced_phrase(stretch.text))
    return None if stretch.unsegmented or len(stretch.text) < 3 else _inside(stretch.text[:LONGEST_WORD])


def _inside(text: str) -> Json:
    return {"grams": _all_grams(text.translate(LOOK_ALIKES))}


def _fuzzy(run: Run) -> Json:
    if run.unsegmented:
        ways = [phrase_of(run)]
        if _is_breakable(run):
            ways.append(spaced_phrase(run.text))
        checked: list[Json] = []
        if run.length >= SHORTEST_HALVED_RUN:
            # One error leaves a half whole, two errors two quarters; few photos hold those, and they are read through.
            pattern = two_unknown(run.text) if run.length in TWICE_MISREAD else one_replaced(run.text)
            pieces = [any_of(pieces_of(run.text, 2))]
            if run.length in TWICE_MISREAD:
                pieces += [f"({one}) & ({other})" for one, other in combinations(pieces_of(run.text, 4), 2)]
            checked.append({"then": [_words(any_of(pieces)), {"squeezed": pattern}]})
        elif run.length >= SHORTEST_FUZZY_RUN:
            ways += [*misread(run.text), *read_alike(run.text, (0, -1))]
        elif _has_alike(run):
            ways += read_alike(run.text, range(run.length))
        return _either([_words(any_of(ways)), *checked])
    exact = _words(phrase_of(run))
    if not _is_misreadable(run):
        return exact
    plain = run.text.translate(LOOK_ALIKES)
    if any(character.isdigit() for character in run.text):
        # One digit makes another number: only what looks alike counts as the same.
        return _either([exact, _all([_inside(run.text), {"alike": re.escape(plain)}])])
    # An error spoils three neighbouring triples: a half is whole, or the first and the last triple are.
    left, right = plain[: (len(plain) + 1) // 2], plain[len(plain) // 2 :]
    pieces = [_all_grams(left), _all_grams(right), f"'{plain[:3]}' & '{plain[-3:]}'"]
    return _either([exact, _all([{"grams": any_of(pieces)}, {"alike": one_unknown(plain)}])])


def _is_long_word(term: FoldedTerm) -> bool:
    """Whether trigrams say enough: a long word without digits (one digit makes another number)."""
    text = term.squeezed
    return len(term.runs) == 1 and not term.quoted and 8 <= len(text) <= LONGEST_WORD and text.isalpha()


def _misread_number(term: FoldedTerm) -> Json:
    plain = term.squeezed.translate(LOOK_ALIKES)
    middle = len(plain) // 2
    halves = [_all_grams(plain[:middle]), _all_grams(plain[middle:]), f"'{plain[:3]}' & '{plain[-3:]}'"]
    ways = "|".join(f"{re.escape(plain[:at])}.{re.escape(plain[at + 1 :])}" for at in range(len(plain)))
    return _all([{"grams": any_of(halves)}, {"alike": ways}])


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
            ways.append(f"{before}{''.join(map(_like, run.text))}{after}")
    return [{"squeezed": "|".join(ways)}]


def _like(letter: str) -> str:
    return f"[{letter}{alike().get(letter, '')[:MOST_ALIKE]}]"


def _apart(run: Run) -> Json:
    ways = [phrase_of(run)]
    if _is_long(run):
        ways += [
            f"({phrase(run.text[:cut], last=False)}) & ({phrase(run.text[cut:], last=False)})"
            for cut in range(2, run.length - 1)
        ]
    if len(run.words) > 1:
        ways.append(" & ".join(f"({phrase(word, last=False)})" for word in run.words))
    return _words(any_of(ways))


def phrase_of(run: Run) -> str:
    """One run as a `tsquery` phrase, the last word going on."""
    return FoldedTerm((run,)).phrase()


def read_alike(text: str, places: Sequence[int]) -> list[str]:
    """`tsquery` phrases for the text with the character at one of the places taken for one that looks like it. What is
    a word itself (人口 read for 入口) is no misreading."""
    ways = []
    for place in places:
        at = place % len(text)
        for other in alike().get(text[at], "")[:MOST_ALIKE]:
            read = text[:at] + other + text[at + 1 :]
            if len(text) > 3 or read not in words():
                ways.append(phrase(read, last=False))
    return ways


def misread(text: str) -> list[str]:
    """`tsquery` phrases for a text of four or five characters with one of the inner ones unknown, or, of five, any."""
    ends = [phrase(text[1:], last=False), phrase(text[:-1], last=False)] if len(text) >= SHORTEST_OPEN_RUN else []
    return [*ends, *(_without(text, unknown) for unknown in range(1, len(text) - 1))]


def _without(text: str, unknown: int) -> str:
    left, right = text[:unknown], text[unknown:][1:]
    # The last whole token of the left side begins one before its end, unless it is a single character.
    gap = 2 if len(left) == 1 else 3
    return f"{phrase(left, last=False)} <{gap}> {phrase(right, last=False)}"


def pieces_of(text: str, count: int) -> list[str]:
    """`tsquery` phrases for the text cut into so many pieces of like length."""
    cuts = [len(text) * at // count for at in range(count + 1)]
    return [phrase(text[start:end], last=False) for start, end in pairwise(cuts)]


def one_replaced(text: str) -> str:
    """A regular expression for the text with any one character unknown, or left out."""
    return "|".join(f"{re.escape(text[:at])}.?{re.escape(text[at + 1 :])}" for at in range(len(text)))


def two_unknown(text: str) -> str:
    """A regular expression for the text with any two characters unknown, or one left out."""
    twice = (
        "".join("." if at in pair else re.escape(letter) for at, letter in enumerate(text))
        for pair in combinations(range(len(text)), 2)
    )
    return "|".join([one_replaced(text), *twice])


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


def _words(query: str) -> Json:
    return {"words": query}


def _either(conditions: Sequence[Json]) -> Json:
    return conditions[0] if len(conditions) == 1 else {"any": list(conditions)}


def _all(conditions: Sequence[Json]) -> Json:
    return conditions[0] if len(conditions) == 1 else {"all": list(conditions)}
