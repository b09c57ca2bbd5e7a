"""The steps in their order: where the scores of each begin, which documents it finds, and how those are ranked."""

from sql.search.conditions import Json
from sql.search.query.text_query import TextQuery
from sql.search.results import Match
from sql.search.steps.approximate import condition as approximate_condition

BANDS = {
    Match.HEADLINE: (0.75, 0.25),
    Match.TEXT: (0.5, 0.25),
    Match.WITHIN: (0.4, 0.1),
    Match.LOOSE: (0.3, 0.1),
    Match.PINYIN: (0.28, 0.02),
    Match.FUZZY: (0.1, 0.18),
    Match.APART: (0.0, 0.1),
}
"""Where the scores of a step begin, and how far they reach; steps are asked in this order."""

STEPS = tuple(BANDS)
EXACT = (Match.HEADLINE, Match.TEXT)
ASKED = tuple(step for step in STEPS if step is not Match.WITHIN)
"""Steps that the database is asked for; WITHIN is told from its text."""


def score_of(match: Match, rank: float) -> float:
    """The score of a photo of a step, whose rank within the step is 0 to about 1."""
    low, reach = BANDS[match]
    return low + reach * min(rank, 1.0)


def step_data(query: TextQuery, match: Match) -> Json | None:
    """A step as `mesh.find` takes it; None for one that has nothing to offer for this query."""
    where = _where(query, match)
    return {"match": match.value, "where": where, "rank": _rank(query, match)} if where else None


def _where(query: TextQuery, match: Match) -> Json | None:
    """Which documents a step finds, those of earlier steps among them."""
    in_words: Json = {"words": query.all_words()}
    if match is Match.TEXT:
        return in_words
    if match is Match.HEADLINE:
        in_headline: Json = {"headline": query.all_words(exclude=False)}
        # Large lines do not know what is excluded elsewhere.
        return {"all": [in_headline, in_words]} if query.excludes else in_headline
    return approximate_condition(query, match)


def _rank(query: TextQuery, match: Match) -> Json:
    """How a document is ranked within its step."""
    asked = query.all_words(exclude=False)
    rank: Json = {"column": "headline" if match is Match.HEADLINE else "words", "query": asked}
    if match not in EXACT:
        return rank | {"query": query.in_parts(match), "short": True}
    if query.has_other_forms:
        rank["exact"] = query.all_words(prefix=False, exclude=False, as_typed=True)
    if any(len(group) > 1 for group in query.groups):
        # All words close together, best of all as they were typed.
        rank["phrase"] = query.as_one_phrase()
    return rank
