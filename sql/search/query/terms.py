"""A term of a query as the database folded and cut it, and the `tsquery` literals made of it.

A literal is made of runs only, and runs hold no punctuation, so nothing in it can be syntax.
"""

from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_RUN = 40
"""Characters up to which a run is also looked for in other forms than its own: their number grows with its square."""


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


def phrase_of(run: Run) -> str:
    """One run as a `tsquery` phrase, the last word going on."""
    return FoldedTerm((run,)).phrase()


def phrase(text: str, *, last: bool) -> str:
    """Tokens of neighbouring characters; with `last`, the final character too, as documents have it where a run
    ends."""
    tokens = [f"'{text[start : start + 2]}'" for start in range(len(text) - 1)]
    if last:
        tokens.append(f"'{text[-1]}'")
    elif not tokens:
        tokens.append(f"'{text}':*")
    return " <1> ".join(tokens)
