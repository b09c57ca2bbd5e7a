"""Ranked search in Immich's database: what the photo front door calls.

Every call raises `UnavailableError` when the database is away, hangs, or has not been prepared (`immich-mesh db
migrate`),
and `UnsupportedFilterError` when a filter cannot be applied there.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import asyncpg

from mesh.core.errors import UnavailableError
from sql.database import Database, Work
from sql.filters import AssetFilters, Scope, UnsupportedFilterError
from sql.schema import ImmichSchema, inspect
from sql.search import tables
from sql.search.explain import explain
from sql.search.hybrid import HybridSearch, vector_literal
from sql.search.query.parse import parse
from sql.search.query.pinyin import load_readings
from sql.search.query.terms import Run
from sql.search.query.text_query import TextQuery, fold
from sql.search.results import Explanation, SearchPage
from sql.search.text_search import TextSearch
from sql.settings import DatabaseSettings, HybridWeights

T = TypeVar("T")
U = TypeVar("U")

NO_FILTERS = AssetFilters()

LOOK_AGAIN_SECONDS = 300.0
"""How long what was seen of the schema holds; Immich changes it only when it is updated, and errors look again at
once."""


class SearchRepository:
    """Searches by text, or by text and vector together. Use as `async with SearchRepository(settings) as repository`.

    Entering never waits for the database: a router starts, and passes Immich's traffic on, while the database is away.
    """

    def __init__(self, settings: DatabaseSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self.database = Database(settings, clock)
        self._schema: ImmichSchema | None = None
        self._seen_at = 0.0

    async def __aenter__(self) -> Self:
        # Up to a second of work, which no search is to wait for.
        await asyncio.to_thread(load_readings if self._settings.pinyin else tables.words)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.database.close()

    async def search_text(
        self, query: str, scope: Scope, filters: AssetFilters = NO_FILTERS, limit: int = 100, offset: int = 0
    ) -> SearchPage:
        """Photos whose recognised text matches `query` (without the `ocr:`), best first. Any string is valid."""

        async def work(connection: Any) -> SearchPage:
            search = await self._text_search(connection, query, scope, filters)
            return await search.page(connection, limit, offset) if search.query else SearchPage((), has_more=False)

        return await self._read(work)

    async def search_hybrid(
        self,
        query: str,
        embedding: Sequence[float],
        scope: Scope,
        filters: AssetFilters = NO_FILTERS,
        weights: HybridWeights | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> SearchPage:
        """Photos that match by text or by vector, best first.

        Args:
            query: the text as typed.
            embedding: its CLIP embedding, of the length that Immich's `smart_search` column has.
            scope: what the caller may see.
            filters: Immich's filters.
            weights: in place of the settings' weights.
            limit: most hits of this page.
            offset: hits of earlier pages.

        Raises:
            DimensionMismatchError: the embedding has another length than Immich's column.
        """

        async def work(connection: Any) -> HybridSearch:
            return await self._hybrid_search(connection, query, embedding, scope, filters, weights)

        search = await self._read(work)
        # Each side on its own connection; none is held while another is waited for.
        if self._settings.pool_size == 1:
            by_text, background = await self._read(search.by_text)
            by_vector = await self._read(search.by_vector)
        else:
            (by_text, background), by_vector = await _both(self._read(search.by_text), self._read(search.by_vector))
        return search.page(by_text, by_vector, background, limit, offset)

    async def explain(
        self,
        query: str,
        scope: Scope,
        asset_ids: Sequence[UUID],
        embedding: Sequence[float] | None = None,
        weights: HybridWeights | None = None,
    ) -> tuple[Explanation, ...]:
        """For each of these photos, those in scope, how it was found: ranks, vector distance, matched lines with
        boxes."""

        async def work(connection: Any) -> tuple[Explanation, ...]:
            if embedding is None:
                text = await self._text_search(connection, query, scope, NO_FILTERS)
                return await explain(connection, text, None, asset_ids)
            hybrid = await self._hybrid_search(connection, query, embedding, scope, NO_FILTERS, weights)
            return await explain(connection, hybrid.text, hybrid, asset_ids)

        return await self._read(work)

    async def schema(self) -> ImmichSchema:
        """What this Immich's database looks like (cached)."""
        return await self._read(self._look)

    async def _text_search(self, connection: Any, query: str, scope: Scope, filters: AssetFilters) -> TextSearch:
        schema = await self._look(connection)
        if not schema.migrated:
            raise UnavailableError(
                "Immich's database has no schema mesh (or it is not readable): run `immich-mesh db migrate`"
            )
        folded = await fold_query(connection, query)
        if self._settings.pinyin:
            folded = folded.with_pinyin()
        if schema.has_zhparser:
            folded = await add_words(connection, folded)
        return TextSearch(folded, scope, filters, schema)

    async def _hybrid_search(
        self,
        connection: Any,
        query: str,
        embedding: Sequence[float],
        scope: Scope,
        filters: AssetFilters,
        weights: HybridWeights | None,
    ) -> HybridSearch:
        text = await self._text_search(connection, query, scope, filters)
        return HybridSearch(
            replace(text, query=text.query.whole_words()),
            vector_literal(embedding, text.schema.dimension),
            weights or self._settings.weights,
            self._settings.text_candidates,
            self._settings.vector_candidates,
        )

    async def _look(self, connection: Any) -> ImmichSchema:
        if self._schema is None or self._clock() - self._seen_at > LOOK_AGAIN_SECONDS:
            self._schema = await inspect(connection)
            self._seen_at = self._clock()
        return self._schema

    async def _read(self, work: Work[T]) -> T:
        try:
            return await self.database.read(work)
        except UnavailableError:
            self._schema = None
            raise
        except asyncpg.DataError as error:
            raise UnsupportedFilterError("the database cannot hold or compare a value of this search") from error


async def _both(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Both results, awaited at the same time; where one fails the other is given up."""
    # Not a task group: that of Python 3.11 forgets the caller's cancellation when a side fails on its way out.
    tasks = asyncio.create_task(first), asyncio.create_task(second)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and (failure := task.exception()):
            raise failure
    return tasks[0].result(), tasks[1].result()


async def fold_query(connection: Any, query: str) -> TextQuery:
    """The query as the database folds and cuts it."""
    groups = parse(query)
    terms = [term.text for group in groups for term in group]
    if not terms:
        return TextQuery(())
    rows = await connection.fetch(
        """
        SELECT number, runs.unsegmented, runs.run
        FROM unnest($1::text[]) WITH ORDINALITY AS terms(term, number)
        CROSS JOIN LATERAL mesh.runs(mesh.fold(term)) AS runs
        ORDER BY number, runs.ordinal
        """,
        terms,
    )
    runs: list[list[Run]] = [[] for _ in terms]
    for row in rows:
        runs[row["number"] - 1].append(Run(row["run"], row["unsegmented"]))
    return fold(groups, runs)


async def add_words(connection: Any, query: TextQuery) -> TextQuery:
    """The query with the words that zhparser cuts its unsegmented runs into."""
    texts = sorted({run.text for term in query.wanted for run in term.runs if run.unsegmented and run.length > 3})
    if not texts:
        return query
    rows = await connection.fetch(
        """
        SELECT text, array_agg(token ORDER BY place) AS words
        FROM unnest($1::text[]) AS text
        CROSS JOIN LATERAL ts_parse('zhparser', text) WITH ORDINALITY AS parsed(kind, token, place)
        WHERE token <> '' AND position(token IN text) > 0 GROUP BY text
        """,
        texts,
    )
    words = {row["text"]: tuple(row["words"]) for row in rows}
    return TextQuery(
        tuple(
            tuple(
                replace(term, runs=tuple(replace(run, words=words.get(run.text, ())) for run in term.runs))
                for term in group
            )
            for group in query.groups
        )
    )
