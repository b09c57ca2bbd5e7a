"""Text and vector together: the best of the text index and of the vector index, every candidate scored on both sides.

Ranks say nothing about how good a match is (the tenth best of a query without any match is noise), so both sides are
calibrated to evidence, 0 to 1, before they meet. Text: the bands of its steps. Vector: by how many standard deviations
a photo is nearer to the query than photos of this library are in general. The two are joined as independent evidence,
`1 - (1 - text)(1 - visual)`, so a photo without text or without a vector keeps what its other side says; whatever stays
far behind the best result is cut off.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any
from uuid import UUID

from mesh.core.errors import DimensionMismatchError
from sql.search.conditions import Json, filters_data, scope_data
from sql.search.results import Hit, Match, SearchPage
from sql.search.text_search import TextSearch
from sql.settings import HybridWeights

STEPS = (Match.HEADLINE, Match.TEXT, Match.LOOSE)
"""Steps of the text side that count: a likely misreading says less than what the photo shows."""

SAMPLE = 128
"""Photos from which the general distance to a query is estimated: those with the first ids, which are random."""

FEW = 2000
"""Up to this many photos in scope are compared one by one: the index would have to look at many more to find them."""

MOST_LOOKED_AT = 20_000
"""Photos of the vector index that are looked at before those in scope are given up (pgvector's own limit)."""

NOISE = 3.5
"""Standard deviations below which nearness says nothing: among many photos some are always that near."""

CERTAIN = 6.5
"""Standard deviations from which nearness counts as certain."""

SMALLEST_DEVIATION = 0.002
"""A tenth of what real libraries show; a library of copies has none."""

MOST_VISUAL_EVIDENCE = 0.7
"""Most evidence that nearness gives: below words read in large letters, above words in small ones."""

CUT = 0.4
"""Results whose evidence is below this share of the best one's are left out."""


@dataclass(frozen=True, slots=True)
class Background:
    """Cosine distances between a query and photos in general: their median, and their deviation as the farther half
    shows it (a normal distribution's 75th and 90th percentiles lie 0.674 and 1.282 deviations beyond the median), so
    that the matches themselves, however many a small library has, do not count as usual."""

    median: float
    deviation: float

    def evidence(self, distance: float) -> float:
        """How much a distance speaks for a photo, 0 to 1."""
        nearer = (self.median - distance) / max(self.deviation, SMALLEST_DEVIATION)
        return MOST_VISUAL_EVIDENCE * min(max((nearer - NOISE) / (CERTAIN - NOISE), 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Photos that one index gave, scored on both sides.

    Attributes:
        texts: those whose text matches.
        distances: cosine distances 0..2 of those with a vector.
    """

    texts: Mapping[UUID, Hit]
    distances: Mapping[UUID, float]


@dataclass(frozen=True, slots=True)
class HybridSearch:
    """One query of one caller, by text and vector.

    The two sides know nothing of each other until `page` joins them, so that they can be asked at the same time.

    Attributes:
        text: the text side, with scope and filters.
        embedding: the query's CLIP embedding as pgvector's text, "[0.1,0.2]".
        weights: share of each side's evidence; the larger weight counts fully.
        text_candidates, vector_candidates: how many the indexes give.
    """

    text: TextSearch
    embedding: str
    weights: HybridWeights
    text_candidates: int
    vector_candidates: int

    async def by_text(self, connection: Any) -> tuple[Candidates, Background]:
        """The best of the text index, and what is usual in this library: the vector's side takes longer without it."""
        background = await self._background(connection)
        if not self.text.query:
            return Candidates({}, {}), background
        page = await self.text.page(connection, self.text_candidates, 0, last=STEPS[-1])
        texts = {hit.asset_id: hit for hit in page.hits}
        return Candidates(texts, await self._distances(connection, list(texts))), background

    async def by_vector(self, connection: Any) -> Candidates:
        """The best of the vector index."""
        if self.text.schema.dimension == 0:
            return Candidates({}, {})
        distances = await self._nearest(connection)
        texts = {hit.asset_id: hit for hit in await self.text.score(connection, list(distances), STEPS)}
        return Candidates(texts, distances)

    def page(
        self, by_text: Candidates, by_vector: Candidates, background: Background, limit: int, offset: int
    ) -> SearchPage:
        """The hits from `offset` on, at most `limit`; all pages together hold the candidates that pass the cut."""
        texts = {**by_vector.texts, **by_text.texts}
        distances = {**by_text.distances, **by_vector.distances}
        hits = [
            self._hit(asset_id, texts.get(asset_id), distances.get(asset_id), background)
            for asset_id in texts.keys() | distances.keys()
        ]
        best = max((hit.score for hit in hits), default=0.0)
        # Where neither side knows anything, the order of distances is what Immich's own search would give.
        ranked = sorted((hit for hit in hits if hit.score >= CUT * best), key=_order)
        return SearchPage(tuple(ranked[offset : offset + limit]), has_more=len(ranked) > offset + limit)

    async def score(self, connection: Any, asset_ids: Sequence[UUID]) -> list[Hit]:
        """These photos scored as `page` scores them, whether they pass the cut or not. Scope is not looked at."""
        texts = {hit.asset_id: hit for hit in await self.text.score(connection, asset_ids, STEPS)}
        distances, background = await self._distances(connection, asset_ids), await self._background(connection)
        return [
            self._hit(asset_id, texts.get(asset_id), distances.get(asset_id), background)
            for asset_id in asset_ids
            if asset_id in texts or asset_id in distances
        ]

    async def _distances(self, connection: Any, asset_ids: Sequence[UUID]) -> dict[UUID, float]:
        """Distances of those of these photos that have a vector with a direction."""
        if self.text.schema.dimension == 0:
            return {}
        rows = await connection.fetch("SELECT * FROM mesh.distances($1, $2)", self.embedding, asset_ids)
        return _comparable(rows)

    async def _background(self, connection: Any) -> Background:
        """What is usual in this library."""
        if self.text.schema.dimension == 0:
            return Background(0.0, 0.0)
        at = await connection.fetchval("SELECT mesh.usual_distances($1, $2)", self.embedding, SAMPLE)
        if at is None:
            return Background(0.0, 0.0)
        return Background(at[0], (at[1] - at[0]) / 1.349 + (at[2] - at[0]) / 2.563)

    async def _nearest(self, connection: Any) -> dict[UUID, float]:
        """Distances of the nearest photos in scope."""
        asked = json.dumps(self._asked())
        # So few that comparing them all is quicker, and misses none.
        few = await connection.fetchval("SELECT mesh.in_question($1, $2)", asked, FEW + 1) <= FEW
        if not few:
            for name, value in session_settings(self.text.schema.vector_lists, self.vector_candidates * 100).items():
                await connection.execute("SELECT set_config($1, $2, false)", name, value)
        looked_at = self.vector_candidates * 3 // 2
        while True:
            rows = await connection.fetch(
                "SELECT * FROM mesh.nearest($1, $2, $3, $4)",
                self.embedding,
                asked,
                None if few else looked_at,
                self.vector_candidates,
            )
            if few or len(rows) >= self.vector_candidates or looked_at >= MOST_LOOKED_AT:
                return _comparable(rows)
            looked_at = min(looked_at * 8, MOST_LOOKED_AT)

    def _asked(self) -> Json:
        asked: Json = {"scope": scope_data(self.text.scope)}
        if self.text.filters:
            asked["filters"] = filters_data(self.text.filters, self.text.schema)
        return asked

    def _hit(self, asset_id: UUID, text: Hit | None, distance: float | None, background: Background) -> Hit:
        largest = max(self.weights.text, self.weights.vector) or 1.0
        by_text = (text.score if text else 0.0) * self.weights.text / largest
        by_vector = (background.evidence(distance) if distance is not None else 0.0) * self.weights.vector / largest
        return Hit(
            asset_id,
            score=1 - (1 - by_text) * (1 - by_vector),
            match=text.match if text else Match.VECTOR,
            text_rank=text.score if text else None,
            vector_distance=distance,
        )


def vector_literal(embedding: Sequence[float], dimension: int) -> str:
    """The embedding as pgvector's text.

    Raises:
        DimensionMismatchError: its length is not that of Immich's column (`dimension`; 0 knows none and lets it pass).
    """
    if dimension and len(embedding) != dimension:
        raise DimensionMismatchError(
            f"the query's embedding has {len(embedding)} numbers, Immich's photos have {dimension}: "
            "search and library must use the same CLIP model"
        )
    return "[" + ",".join(repr(float(number)) for number in embedding) + "]"


def session_settings(lists: Sequence[int], rows: int) -> Mapping[str, str]:
    """Settings of a VectorChord index that keep recall under an owner filter; none for pgvector, whose are the
    pool's."""
    if not lists:
        return {}
    probes = ",".join(str(max(1, min(count, round(count**0.5)))) for count in lists)
    return {"vchordrq.probes": probes, "vchordrq.prefilter": "on", "vchordrq.max_scan_tuples": str(max(rows, 20_000))}


def _comparable(rows: Iterable[tuple[UUID, float]]) -> dict[UUID, float]:
    """Distances without those of vectors of zeros, which have no direction: pgvector gives NaN for them."""
    return {asset_id: distance for asset_id, distance in rows if not isnan(distance)}


def _order(hit: Hit) -> tuple[float, float, UUID]:
    return (-hit.score, hit.vector_distance if hit.vector_distance is not None else 2.0, hit.asset_id)
