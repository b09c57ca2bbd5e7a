"""Ranked search in Immich's database: what the photo front door calls.

Every call raises `Unavailable` when the database is away, hangs, or has not been prepared (`immich-mesh db migrate`), and
`UnsupportedFilter` when a filter cannot be applied there.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

from sql.filters import AssetFilters, Scope
from sql.results import Explanation, SearchPage
from sql.settings import DatabaseSettings, HybridWeights

NO_FILTERS = AssetFilters()


class SearchRepository:
    """Searches by text, or by text and vector together. Use as `async with SearchRepository(settings) as repository`.

    Entering never waits for the database: a router starts, and passes Immich's traffic on, while the database is away.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    async def search_text(
        self, query: str, scope: Scope, filters: AssetFilters = NO_FILTERS, limit: int = 100, offset: int = 0
    ) -> SearchPage:
        """Photos whose recognised text matches `query` (without the `ocr:`), best first. Any string is a valid query."""
        raise NotImplementedError

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
        """Photos that match by text or by look, best first.

        Args:
            query: the text as typed.
            embedding: its CLIP embedding, of the length that Immich's `smart_search` column has.
            weights: in place of the settings' weights.

        Raises:
            DimensionMismatch: the embedding has another length than Immich's column.
        """
        raise NotImplementedError

    async def explain(
        self,
        query: str,
        scope: Scope,
        asset_ids: Sequence[UUID],
        embedding: Sequence[float] | None = None,
        weights: HybridWeights | None = None,
    ) -> tuple[Explanation, ...]:
        """For each of these photos (those in scope) how it was found: ranks, vector distance, matched lines with boxes."""
        raise NotImplementedError
