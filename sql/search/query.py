"""From what a person typed to full-text queries: words, "phrases", -exclusions, OR; any string is valid.

Two steps, because folding belongs to the database: `parse` splits the string by its syntax; the database folds each
term and cuts it into runs (`mesh.fold`, `mesh.runs`); `TextQuery` turns the runs into `tsquery` literals. A literal is
made of runs only, and runs hold no punctuation, so nothing in it can be syntax.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sql.search.dates import typed_dates
from sql.search.pinyin import written
from sql.search.results import Match
from sql.search.variants import variants

MAX_CHARACTERS = 512
MAX_TERMS = 32
LONG_CODE = 8
LONGEST_RUN = 40
"""Characters up to which a run is also looked for in other forms than its own: their number grows with its square."""

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


@dataclass(frozen=True, slots=True)
class Run:
    """A folded stretch of one kind: an unsegmented script (`mesh.runs` says which), or one word or number."""

    text: str
    unsegmented: bool
    words: tuple[str, ...] = ()
    """The words that zhparser cuts it into, where zhparser is installed."""

    @property
    def length(self) -> int:
        """How many positions it takes in a document."""
        return len(self.text) if self.unsegmented else 1


@dataclass(frozen=True, slots=True)
class FoldedTerm:
    """A term's runs, at least one."""

    runs: tuple[Run, ...]
    quoted: bool = False
    excluded: bool = False
    dates: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    """Other spellings of its one word, folded: invoice for invoices, koeln for Köln."""
    pinyin: tuple[str, ...] = ()
    """Texts that its one word may be the pinyin of."""

    @property
    def squeezed(self) -> str:
        """The runs without what stood between them, as in `mesh.ocr_document.body`."""
        return "".join(run.text for run in self.runs)

    @property
    def is_code(self) -> bool:
        """Whether it is made of ASCII letters and digits alone, however they are split."""
        return self.squeezed.isascii()

    def anyway(self, *, prefix: bool = True) -> str:
        """The term as one `tsquery`, in any of its spellings."""
        ways = [
            self.phrase(prefix=prefix),
            *(f"'#{day}'" for day in self.dates),
            *(f"'{word}'" for word in self.variants),
        ]
        return any_of(ways)

    def phrase(self, *, prefix: bool = True) -> str:
        """The term as one `tsquery` phrase; `prefix` lets an unquoted last word go on."""
        literal, gap = "", 0
        for number, run in enumerate(self.runs):
            last = number == len(self.runs) - 1
            # Beside a word, a run of documents begins or ends, and there they have single characters as tokens.
            beside_word = any(not other.unsegmented for other in self.runs[max(0, number - 1) : number + 2])
            for token, distance in _tokens(run, last and prefix and not self.quoted, bounded=beside_word):
                literal += f" <{gap + distance}> {token}" if literal else token
                gap = 0
            gap = 1 if run.unsegmented and run.length > 1 else 0
        return literal

    def read_as(self) -> str:
        """Any of the texts that it may be the pinyin of, as one `tsquery`."""
        return any_of([phrase(text, last=False) for text in self.pinyin])

    def parts(self, *, spaced: bool) -> list[str]:
        """`tsquery` phrases that stand for the term where it does not stand as it is."""
        found = []
        for run in self.runs:
            if not run.unsegmented:
                found.append(f"'{run.text[: max(2, len(run.text) // 2)]}':*")
            elif run.length == 1:
                found.append(f"'{run.text}'")
            elif spaced:
                found.append(spaced_phrase(run.text))
            else:
                found += [f"'{run.text[at : at + 2]}'" for at in range(min(run.length, LONGEST_RUN) - 1)]
        return found

    def anyhow(self) -> str:
        """The term as one `tsquery`, also where a line end or punctuation breaks it: what an exclusion excludes."""
        whole = self.anyway()
        if len(self.runs) == 1 and self.runs[0].unsegmented and 1 < self.runs[0].length <= LONGEST_RUN:
            return any_of([whole, spaced_phrase(self.runs[0].text)])
        return whole


@dataclass(frozen=True, slots=True)
class TextQuery:
    """A whole query: alternatives of folded terms."""

    groups: tuple[tuple[FoldedTerm, ...], ...]

    def __bool__(self) -> bool:
        """Whether anything is asked for; punctuation alone asks for nothing."""
        return bool(self.groups)

    @property
    def wanted(self) -> tuple[FoldedTerm, ...]:
        """All terms that are asked for, of all alternatives."""
        return tuple(term for group in self.groups for term in group if not term.excluded)

    @property
    def excludes(self) -> bool:
        """Whether some term is excluded."""
        return any(term.excluded for group in self.groups for term in group)

    def all_words(self, *, prefix: bool = True, exclude: bool = True, as_typed: bool = False) -> str:
        """The `tsquery` that documents must match; `as_typed` leaves other spellings out."""
        groups = self.groups
        if as_typed:
            groups = tuple(tuple(replace(term, variants=()) for term in group) for group in groups)
        return " | ".join(f"({_conjunction(group, prefix, exclude)})" for group in groups)

    def whole_words(self) -> "TextQuery":
        """The same query with no word going on: what a sentence means, where "a" is not the beginning of "apple"."""
        return TextQuery(tuple(tuple(replace(term, quoted=True) for term in group) for group in self.groups))

    def in_parts(self, match: Match) -> str:
        """What ranks a photo that does not hold the query as it is: its terms spaced anyhow, or pairs of characters
        and beginnings of words. Large letters come first there too."""
        if match is Match.PINYIN:
            return any_of([term.read_as() for term in self.wanted if term.pinyin])
        return any_of([part for term in self.wanted for part in term.parts(spaced=match is Match.LOOSE)])

    def with_pinyin(self) -> "TextQuery":
        """The query with every Latin word also taken for pinyin."""
        return TextQuery(
            tuple(
                tuple(
                    replace(term, pinyin=written(term.squeezed))
                    if len(term.runs) == 1 and not term.quoted and not term.excluded and not term.runs[0].unsegmented
                    else term
                    for term in group
                )
                for group in self.groups
            )
        )

    @property
    def code(self) -> "FoldedTerm | None":
        """The whole query as one code, where it is one typed with spaces (139 0000 1111); None for any other."""
        if len(self.groups) != 1 or any(term.quoted or term.excluded or not term.is_code for term in self.groups[0]):
            return None
        runs = tuple(run for term in self.groups[0] for run in term.runs)
        return FoldedTerm(runs) if len(self.groups[0]) > 1 else None

    @property
    def is_telling(self) -> bool:
        """Whether a misreading of it can be told from another word, where the query itself was found too: short Latin
        words are too much like each other."""
        return any(not term.is_code or len(term.squeezed) >= LONG_CODE for term in self.wanted)

    @property
    def has_other_forms(self) -> bool:
        """Whether some word also matches longer words that begin with it, or other spellings."""
        return any(term.variants or (not term.quoted and not term.runs[-1].unsegmented) for term in self.wanted)

    def as_one_phrase(self) -> str:
        """The terms of each alternative as they stand, one right after the other: what an exact quotation matches."""
        together = (
            FoldedTerm(tuple(run for term in group if not term.excluded for run in term.runs)) for group in self.groups
        )
        return " | ".join(f"({term.phrase()})" for term in together)


def fold(groups: Sequence[Sequence[Term]], runs: Sequence[Sequence[Run]]) -> TextQuery:
    """Joins parsed terms with their runs, given in the order of the terms; terms without a run (punctuation) drop
    out."""
    flat = iter(runs)
    folded = (
        tuple(
            FoldedTerm(
                tuple(found), term.quoted, term.excluded, term.dates, variants(term.text, found, quoted=term.quoted)
            )
            for term in group
            if (found := next(flat))
        )
        for group in groups
    )
    return TextQuery(tuple(group for group in folded if any(not term.excluded for term in group)))


def _tokens(run: Run, goes_on: bool, *, bounded: bool) -> list[tuple[str, int]]:
    """Tokens of a run, each with the distance to the one before it.

    A single character is the beginning of a token, or, where it is the first or last of its run (`bounded`), a token:
    asking for all beginnings costs the more the larger the library is.
    """
    if not run.unsegmented:
        word = run.text[:64]
        return [(f"'{word}':*" if goes_on else f"'{word}'", 1)]
    if run.length == 1:
        return [(f"'{run.text}'" if bounded else f"'{run.text}':*", 1)]
    return [(f"'{run.text[start : start + 2]}'", 1) for start in range(run.length - 1)]


def _conjunction(group: Sequence[FoldedTerm], prefix: bool, exclude: bool) -> str:
    wanted = [f"({term.anyway(prefix=prefix)})" for term in group if not term.excluded]
    unwanted = [f"!({term.anyhow()})" for term in group if term.excluded and exclude]
    return " & ".join(wanted + unwanted)


def any_of(ways: Sequence[str]) -> str:
    """The alternatives as one `tsquery`; empty for none."""
    return ways[0] if len(ways) == 1 else " | ".join(f"({way})" for way in ways)


def spaced_phrase(text: str) -> str:
    """A `tsquery` phrase for the text with line ends, spaces or punctuation at any places, or at none.

    Every character is the beginning of a token with its follower, or, at the end of a run, a token by itself.
    """
    if len(text) == 1:
        return f"'{text}'"
    before = "".join(f"('{text[at : at + 2]}' | '{text[at]}') <1> " for at in range(len(text) - 2))
    # Behind a gap the last character begins a run, and there it is a token by itself.
    return any_of([f"{before}'{text[-2:]}'", f"{before}'{text[-2]}' <1> '{text[-1]}'"])


def phrase(text: str, *, last: bool) -> str:
    """Tokens of neighbouring characters; with `last`, the final character too, as documents have it where a run
    ends."""
    tokens = [f"'{text[start : start + 2]}'" for start in range(len(text) - 1)]
    if last:
        tokens.append(f"'{text[-1]}'")
    elif not tokens:
        tokens.append(f"'{text}':*")
    return " <1> ".join(tokens)
