"""Whether a word of two characters is meant where it stands: 车站 is in 汽车站点, but that is 汽车 and 站点."""

from dataclasses import dataclass
from functools import lru_cache

from sql.search.query.text_query import TextQuery
from sql.search.tables import words

REACH = 3
"""Characters on either side that decide how a text is cut into words."""
ALL_WORDS = 26
"""Power of two of all words that the table counts."""
UNKNOWN = 4
"""A character that is no word by itself counts as one that hardly occurs."""
LONGEST = 3
ALONE = 6
"""Powers of two by which a character by itself is less likely than its count says: 汽车|站点|图, not 汽车站|点|图."""


@dataclass(frozen=True, slots=True)
class Across:
    """A lone word of two characters that is a word of the dictionary."""

    word: str

    @classmethod
    def of(cls, query: TextQuery) -> "Across | None":
        """The query's word; None for any other query."""
        if len(query.groups) != 1 or len(query.groups[0]) != 1:
            return None
        (term,) = query.groups[0]
        is_pair = len(term.runs) == 1 and term.runs[0].unsegmented and len(term.squeezed) == 2
        return cls(term.squeezed) if is_pair and term.squeezed in words() else None

    def only(self, body: str) -> bool:
        """Whether a document's text holds the word, but nowhere as a word or as part of one."""
        at, found = body.find(self.word), False
        while at >= 0:
            if not self._is_across(body, at):
                return False
            found = True
            at = body.find(self.word, at + 1)
        return found

    def _is_across(self, body: str, at: int) -> bool:
        before, after = body[max(0, at - REACH) : at], body[at + 2 : at + 2 + REACH]
        before = before.rpartition(" ")[2]
        after = after.partition(" ")[0]
        known = words()
        first, second = self.word[0], self.word[1]
        # Nearly everywhere one of its characters belongs to no other word.
        if not any(before[-length:] + first in known for length in range(1, len(before) + 1)):
            return False
        if not any(second + after[:length] in known for length in range(1, len(after) + 1)):
            return False
        return len(before) + 1 in cuts(before + self.word + after)


@lru_cache(maxsize=8192)
def cuts(text: str) -> frozenset[int]:
    """Where the likeliest cutting into words of the dictionary cuts the text."""
    known = words()
    # For each beginning of the text the best sum of likelihoods, and the beginning that it goes on from.
    best: list[tuple[int, int]] = [(0, 0)]
    for end in range(1, len(text) + 1):
        ways = []
        for start in range(max(0, end - LONGEST), end):
            frequency = known.get(text[start:end], UNKNOWN if end - start == 1 else 0)
            if end - start == 1:
                frequency = max(1, frequency - ALONE)
            if frequency:
                ways.append((best[start][0] + frequency - ALL_WORDS, start))
        best.append(max(ways))
    found, end = set(), len(text)
    while end:
        end = best[end][1]
        found.add(end)
    return frozenset(found - {0})
