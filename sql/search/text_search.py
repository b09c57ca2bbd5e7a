"""Text search in steps: large lines, all text, then (only while a page stays short) loosely, then with OCR errors.

A step is one call of `mesh.find`: the text index gives at most `WINDOW` photos, they are ranked, and then, best first,
those out of scope are passed over until the page is full. A page behind the window's end goes on with the next window.
All later steps exclude what earlier ones found, so the whole is one sequence, and pages are cut from it.

The best photos are looked at twice: where a word of two characters stands only across two other words, the photo goes
behind the others (`across`), and what is likely misread is weighed by the letters that differ (`evidence`).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sql.filters import AssetFilters, Scope
from sql.schema import ImmichSchema
from sql.search import evidence
from sql.search.across import Across
from sql.search.conditions import Json, filters_data, scope_data
from sql.search.query.text_query import TextQuery
from sql.search.results import Hit, Match, SearchPage
from sql.search.steps.approximate import condition as approximate_condition

WINDOW = 2000
"""Photos that one statement ranks."""

LOOKED_AT = 200
"""Best photos of a step whose text is looked at again."""

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


@dataclass(slots=True)
class _Page:
    """A page that fills up: the hits of the sequence from `skip` on, `wanted` of them.

    Attributes:
        passed: hits of the sequence so far, those that were skipped included.
    """

    wanted: int
    skip: int
    hits: list[Hit] = field(default_factory=list)
    passed: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.hits) >= self.wanted

    def take(self, hits: Sequence[Hit]) -> None:
        """The next hits of the sequence."""
        self.hits += hits[self.skip : self.skip + self.wanted - len(self.hits)]
        self.skip = max(0, self.skip - len(hits))
        self.passed += len(hits)


@dataclass(frozen=True, slots=True)
class TextSearch:
    """One query of one caller."""

    query: TextQuery
    scope: Scope
    filters: AssetFilters
    schema: ImmichSchema

    async def page(self, connection: Any, limit: int, offset: int, last: Match = Match.APART) -> SearchPage:
        """The hits from `offset` on, at most `limit`; no step after `last` is asked."""
        page = _Page(limit + 1, offset)
        if across := Across.of(self.query):
            await self._words_first(connection, across, page)
        else:
            await self._exact(connection, page)
        for match in STEPS[STEPS.index(Match.LOOSE) : STEPS.index(last) + 1]:
            if page.is_full:
                break
            if match is Match.FUZZY:
                page.take(await self._misread(connection, nothing_else=not page.passed))
            elif match is not Match.APART or not page.passed:
                # Parts anywhere are an answer only where there is no other.
                await self._step(connection, match, page)
        return SearchPage(tuple(page.hits[:limit]), has_more=len(page.hits) > limit)

    async def _step(self, connection: Any, match: Match, page: _Page) -> None:
        """The photos that a step finds, window by window."""
        if (asked := self._asked(match)) is None:
            return
        window = 0
        while True:
            found, matches = await _find(connection, match, asked, window, page.wanted - len(page.hits), page.skip)
            page.hits += found
            passed = page.skip + len(found) if found else 0
            if page.skip and matches and not found:
                passed = await connection.fetchval("SELECT mesh.count_found($1, $2, $3)", asked, window, WINDOW)
            page.skip -= min(page.skip, passed)
            page.passed += passed
            if page.is_full or matches < WINDOW:
                return
            window += WINDOW

    async def _words_first(self, connection: Any, across: Across, page: _Page) -> None:
        """All photos of the exact steps; of the best of them those behind the others that hold the word only across
        two others."""
        best = _Page(LOOKED_AT, 0)
        await self._exact(connection, best)
        bodies = await _bodies(connection, [hit.asset_id for hit in best.hits])
        doubtful = {hit.asset_id for hit in best.hits if across.only(bodies.get(hit.asset_id, ""))}
        meant = [hit for hit in best.hits if hit.asset_id not in doubtful]
        page.take([*meant, *(_within(hit) for hit in best.hits if hit.asset_id in doubtful)])
        if best.is_full and not page.is_full:
            page.skip += LOOKED_AT
            await self._exact(connection, page)

    async def _exact(self, connection: Any, page: _Page) -> None:
        for match in EXACT:
            if not page.is_full:
                await self._step(connection, match, page)

    async def _misread(self, connection: Any, *, nothing_else: bool) -> list[Hit]:
        """What FUZZY finds, the likeliest first; what is more likely another word is left out."""
        if not (nothing_else or self.query.is_telling) or (asked := self._asked(Match.FUZZY)) is None:
            return []
        found, _ = await _find(connection, Match.FUZZY, asked, 0, LOOKED_AT, 0)
        return await self._weighed(connection, found, evidence.most(self.query, nothing_else=nothing_else))

    async def _weighed(self, connection: Any, hits: Sequence[Hit], most: float) -> list[Hit]:
        bodies = await _bodies(connection, [hit.asset_id for hit in hits])
        low, reach = BANDS[Match.FUZZY]
        weighed = []
        for hit in hits:
            cost = evidence.cost(self.query, bodies.get(hit.asset_id, ""))
            if cost <= most:
                # A little of the rank: of equally likely ones the shorter text first.
                score = low + reach * max(0.0, 1 - cost / 2) - reach * 0.05 * (1 - (hit.score - low) / reach)
                weighed.append(replace(hit, score=score, text_rank=score, distance=cost))
        return sorted(weighed, key=lambda hit: (-hit.score, hit.asset_id))

    async def score(self, connection: Any, asset_ids: Sequence[UUID], steps: Sequence[Match] = EXACT) -> list[Hit]:
        """Those of these photos that the steps find, each by the first that does, scored as `page` scores them.

        Scope is not looked at.
        """
        if not self.query or not asset_ids:
            return []
        asked = [
            {"match": match.value, "where": where, "rank": self._rank(match)}
            for match in steps
            if match is not Match.WITHIN and (where := self._where(match))
        ]
        rows = await connection.fetch("SELECT * FROM mesh.score($1, $2)", json.dumps(asked), list(asset_ids))
        hits = [_hit(Match(row["match"]), row["rank"], row["asset_id"]) for row in rows]
        # Later steps may find again what an earlier one has: `page` asks for them only when there is nothing else.
        best = sorted(hits, key=lambda hit: STEPS.index(hit.match), reverse=True)
        found = {hit.asset_id: hit for hit in best}
        return await self._looked_at_again(connection, found.values())

    async def _looked_at_again(self, connection: Any, hits: Iterable[Hit]) -> list[Hit]:
        likely = [hit for hit in hits if hit.match is Match.FUZZY]
        exact = [hit for hit in hits if hit.match is not Match.FUZZY]
        if likely:
            exact += await self._weighed(connection, likely, most=float("inf"))
        if across := Across.of(self.query):
            bodies = await _bodies(connection, [hit.asset_id for hit in exact])
            doubtful = {asset_id for asset_id, body in bodies.items() if across.only(body)}
            exact = [_within(hit) if hit.match in EXACT and hit.asset_id in doubtful else hit for hit in exact]
        return exact

    def _asked(self, match: Match) -> str | None:
        """A step as `mesh.find` takes it; None for one that has nothing to offer for this query."""
        if (where := self._where(match)) is None:
            return None
        asked: Json = {"where": where, "rank": self._rank(match), "scope": scope_data(self.scope)}
        if self.filters:
            asked["filters"] = filters_data(self.filters, self.schema)
        return json.dumps(asked)

    def _where(self, match: Match) -> Json | None:
        """Which documents a step finds; None for none."""
        in_words: Json = {"words": self.query.all_words()}
        in_headline: Json = {"headline": self.query.all_words(exclude=False)}
        if match is Match.HEADLINE:
            # Large lines do not know what is excluded elsewhere.
            return {"all": [in_headline, in_words]} if self.query.excludes else in_headline
        if match is Match.TEXT:
            return {"all": [in_words, {"not": in_headline}]}
        found = approximate_condition(self.query, match)
        if found is None:
            return None
        earlier = [in_words]
        # Nothing was found before parts apart are asked for.
        steps = () if match is Match.APART else STEPS[STEPS.index(Match.LOOSE) : STEPS.index(match)]
        earlier += filter(None, (approximate_condition(self.query, step) for step in steps))
        return {"all": [found, *({"not": condition} for condition in earlier)]}

    def _rank(self, match: Match) -> Json:
        """How a document is ranked within its step."""
        query = self.query.all_words(exclude=False)
        rank: Json = {"column": "headline" if match is Match.HEADLINE else "words", "query": query}
        if match not in EXACT:
            return rank | {"query": self.query.in_parts(match), "short": True}
        if self.query.has_other_forms:
            rank["exact"] = self.query.all_words(prefix=False, exclude=False, as_typed=True)
        if any(len(group) > 1 for group in self.query.groups):
            # All words close together, best of all as they were typed.
            rank["phrase"] = self.query.as_one_phrase()
        return rank


async def _find(connection: Any, match: Match, asked: str, window: int, limit: int, skip: int) -> tuple[list[Hit], int]:
    """Hits of one window of a step, and how many photos the index gave for it."""
    rows = await connection.fetch("SELECT * FROM mesh.find($1, $2, $3, $4, $5)", asked, window, WINDOW, limit, skip)
    ranked = sorted((-row["rank"], row["asset_id"]) for row in rows[:-1])
    return [_hit(match, -rank, asset_id) for rank, asset_id in ranked], rows[-1]["matches"]


async def _bodies(connection: Any, asset_ids: Sequence[UUID]) -> dict[UUID, str]:
    if not asset_ids:
        return {}
    return {row["asset_id"]: row["body"] for row in await connection.fetch("SELECT * FROM mesh.bodies($1)", asset_ids)}


def _hit(match: Match, rank: float, asset_id: UUID) -> Hit:
    low, reach = BANDS[match]
    score = low + reach * min(rank, 1.0)
    return Hit(asset_id, score, match, text_rank=score)


def _within(hit: Hit) -> Hit:
    """The hit, moved behind those that hold the word as a word."""
    low, reach = BANDS[hit.match]
    return _hit(
        Match.WITHIN, (STEPS.index(Match.TEXT) - STEPS.index(hit.match) + (hit.score - low) / reach) / 2, hit.asset_id
    )
