"""A whole query as full-text queries.

Folding belongs to the database: it folds each term that `parse` gives and cuts it into runs (`mesh.fold`, `mesh.runs`);
`fold` joins the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sql.search.query.parse import Term
from sql.search.query.pinyin import written
from sql.search.query.terms import FoldedTerm, Run, any_of
from sql.search.query.variants import variants
from sql.search.results import Match

LONG_CODE = 8


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


def _conjunction(group: Sequence[FoldedTerm], prefix: bool, exclude: bool) -> str:
    wanted = [f"({term.anyway(prefix=prefix)})" for term in group if not term.excluded]
    unwanted = [f"!({term.anyhow()})" for term in group if term.excluded and exclude]
    return " & ".join(wanted + unwanted)
