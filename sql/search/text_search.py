"""Text search in steps: large lines, all text, then (only while a page stays short) loosely, then with OCR errors.

A search is one call of `mesh.find`, which asks the steps in order until the page is full: the text index gives at most
`WINDOW` photos, they are ranked, and then, best first, those out of scope are passed over. All later steps leave out
what earlier ones gave, so the whole is one sequence, and pages are cut from it.

The best photos are looked at twice: where a word of two characters stands only across two other words, the photo goes
behind the others (`across`), and what is likely misread is weighed by the letters that differ (`evidence`).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sql.filters import AssetFilters, Scope
from sql.schema import ImmichSchema
from sql.search import evidence
from sql.search.across import Across
from sql.search.conditions import Json, filters_data, scope_data
from sql.search.query.text_query import TextQuery
from sql.search.results import Hit, Match, SearchPage
from sql.search.steps.sequence import ASKED, BANDS, EXACT, STEPS, score_of, step_data

WINDOW = 1000
"""Photos that one statement ranks."""

LOOKED_AT = 100
"""Best photos of a step whose text is looked at again."""


@dataclass(frozen=True, slots=True)
class TextSearch:
    """One query of one caller."""

    query: TextQuery
    scope: Scope
    filters: AssetFilters
    schema: ImmichSchema

    async def page(self, connection: Any, limit: int, offset: int, last: Match = Match.APART) -> SearchPage:
        """The hits from `offset` on, at most `limit`; no step after `last` is asked."""
        end = offset + limit + 1
        across = Across.of(self.query)
        first = 0 if across and offset < LOOKED_AT else offset
        rows = await self._find(connection, self._steps(last, across), first, end)
        sequence: list[Any] = [row for row in rows if row["match"] != Match.FUZZY]
        likely = rows[len(sequence) :]
        if across and first == 0:
            sequence = _words_first(sequence, across)
        if likely:
            first = first if sequence else likely[0]["place"]
            most = evidence.most(self.query, nothing_else=likely[0]["place"] == 0)
            sequence += self._weighed(likely, most)
            if not sequence and likely[0]["place"] == 0 and last is Match.APART:
                # All that looked misread is more likely another word.
                first, sequence = offset, await self._find(connection, [self._step(Match.APART)], offset, end)
        hits = sequence[max(0, offset - first) : end - first]
        page = tuple(hit if isinstance(hit, Hit) else _hit(hit) for hit in hits[:limit])
        return SearchPage(page, has_more=len(hits) > limit)

    async def score(self, connection: Any, asset_ids: Sequence[UUID], steps: Sequence[Match] = EXACT) -> list[Hit]:
        """Those of these photos that the steps find, each by the first that does, scored as `page` scores them.

        Scope is not looked at.
        """
        if not self.query or not asset_ids:
            return []
        across = Across.of(self.query)
        asked = [self._step(match, across) for match in ASKED if match in steps]
        found = await connection.fetch(
            "SELECT * FROM mesh.score($1, $2)", json.dumps({"steps": [*filter(None, asked)]}), list(asset_ids)
        )
        hits = []
        for row in found:
            match = Match(row["match"])
            if match is Match.FUZZY:
                hits += self._weighed([row], most=float("inf"))
            elif across and match in EXACT and across.only(row["body"]):
                hits.append(_within(_hit(row)))
            else:
                hits.append(_hit(row))
        return hits

    async def _find(self, connection: Any, steps: Iterable[Json | None], start: int, end: int) -> list[Any]:
        """What the steps give from one place of the sequence to another."""
        asked: Json = {"scope": scope_data(self.scope), "window": WINDOW, "start": start, "end": end}
        asked["steps"] = [*filter(None, steps)]
        if self.filters:
            asked["filters"] = filters_data(self.filters, self.schema)
        rows: list[Any] = await connection.fetch("SELECT * FROM mesh.find($1)", json.dumps(asked))
        return rows

    def _steps(self, last: Match, across: Across | None) -> list[Json | None]:
        asked = ASKED[: ASKED.index(last) + 1]
        return [self._step(match, across) for match in asked]

    def _step(self, match: Match, across: Across | None = None) -> Json | None:
        """A step with how much of it is asked for."""
        step = step_data(self.query, match)
        if step is None:
            return None
        if match in EXACT and across:
            return step | {"body": True, "at_least": LOOKED_AT}
        if match is Match.FUZZY:
            alone = not self.query.is_telling
            return step | {"body": True, "best": LOOKED_AT, "alone": alone}
        # Parts anywhere are an answer only where there is no other.
        return step | {"alone": True} if match is Match.APART else step

    def _weighed(self, rows: Sequence[Any], most: float) -> list[Hit]:
        """What FUZZY found, the likeliest first; what is more likely another word is left out."""
        low, reach = BANDS[Match.FUZZY]
        weighed = []
        for row in rows:
            cost = evidence.cost(self.query, row["body"])
            if cost <= most:
                hit = _hit(row)
                # A little of the rank: of equally likely ones the shorter text first.
                ranked = low + reach * max(0.0, 1 - cost / 2) - reach * 0.05 * (1 - (hit.score - low) / reach)
                weighed.append(replace(hit, score=ranked, text_rank=ranked, distance=cost))
        return sorted(weighed, key=lambda hit: (-hit.score, hit.asset_id))


def _hit(row: Any) -> Hit:
    match = Match(row["match"])
    ranked = score_of(match, row["rank"])
    return Hit(row["asset_id"], ranked, match, text_rank=ranked)


def _words_first(rows: Sequence[Any], across: Across) -> list[Any]:
    """The rows, of the best exact ones those behind the others that hold the word only across two others."""
    best = [row for row in rows[:LOOKED_AT] if row["match"] in EXACT]
    doubtful = {row["asset_id"] for row in best if across.only(row["body"])}
    meant = [row for row in best if row["asset_id"] not in doubtful]
    return [*meant, *(_within(_hit(row)) for row in best if row["asset_id"] in doubtful), *rows[len(best) :]]


def _within(hit: Hit) -> Hit:
    """The hit, moved behind those that hold the word as a word."""
    low, reach = BANDS[hit.match]
    rank = (STEPS.index(Match.TEXT) - STEPS.index(hit.match) + (hit.score - low) / reach) / 2
    ranked = score_of(Match.WITHIN, rank)
    return Hit(hit.asset_id, ranked, Match.WITHIN, text_rank=ranked)
