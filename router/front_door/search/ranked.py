"""The ranked search behind the front door: rights, then ranked ids from the database, then photos from Immich."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mesh.core.errors import MeshError, UnavailableError
from router.front_door.immich.api import STRUCTURED_FILTER, ImmichApi
from router.front_door.immich.credentials import Credentials
from router.front_door.immich.rights import who_calls
from router.front_door.search.items import Access, Item, ItemFetcher, Relations
from router.front_door.search.query import SearchQuery
from router.front_door.search.scope import scope_of
from sql.filters import Scope
from sql.repository import SearchRepository
from sql.search.results import Hit, SearchPage

REFILLS = 4
"""How often a page is topped up when Immich refuses some of it: hardly ever, the database applies the same rights."""

REMEMBERED_PAGES = 4096

SNIPPET = 120
"""Most characters of the matched lines that a result shows at a glance."""


class EncodingFailedError(UnavailableError):
    """The query could not be turned into a vector: without it there is no ranking by look."""


class TextEncoder(Protocol):
    """Turns a query into the vector that Immich's own search would use for it."""

    async def encode_text(self, text: str, language: str) -> Sequence[float]:
        """The embedding. Raises MeshError."""


@dataclass(frozen=True)
class Found:
    """A page of results: what was found, and what Immich shows of it."""

    hits: tuple[Hit, ...]
    items: tuple[Item, ...]
    next_page: str | None
    scope: Scope
    embedding: Sequence[float] | None


def snippet(lines: Sequence[str]) -> str:
    """What a client without room for all lines shows of them: the first ones, up to `SNIPPET` characters."""
    text = " … ".join(lines)
    return text if len(text) <= SNIPPET else f"{text[: SNIPPET - 1]}…"


class PageStarts:
    """Where in the ranking each page starts, so that a page which was topped up is not repeated by the next one.

    Kept per search for the most recent ones; a page that is not remembered starts where pages without refusals would.
    """

    def __init__(self, capacity: int = REMEMBERED_PAGES) -> None:
        self._starts: OrderedDict[tuple[Any, ...], int] = OrderedDict()
        self._capacity = capacity

    def start(self, search: tuple[Any, ...], page: int, size: int) -> int:
        """The rank at which a page starts."""
        return self._starts.get((*search, page), (page - 1) * size)

    def remember(self, search: tuple[Any, ...], page: int, size: int, start: int) -> None:
        """Notes where a page starts, when it is not the usual place."""
        key = (*search, page)
        self._starts.pop(key, None)
        if start != (page - 1) * size:
            self._starts[key] = start
            while len(self._starts) > self._capacity:
                self._starts.popitem(last=False)


class RankedSearch:
    """Searches by text, or by text and look."""

    def __init__(self, api: ImmichApi, repository: SearchRepository, encoder: TextEncoder | None) -> None:
        self._api = api
        self._repository = repository
        self._encoder = encoder
        self._fetcher = ItemFetcher(api)
        self._starts = PageStarts()

    @property
    def knows_vectors(self) -> bool:
        """Whether queries can be encoded at all."""
        return self._encoder is not None

    async def find(self, query: SearchQuery, credentials: Credentials, *, hybrid: bool) -> Found:
        """One page.

        Raises:
            RefusedByImmichError, RightsUnknownError: see `rights`.
            UnsupportedFilterError, DimensionMismatchError, UnavailableError: from the database.
            EncodingFailedError: the query could not be encoded.
        """
        caller = await who_calls(self._api, credentials)
        embedding = None
        if hybrid and self._encoder is not None and query.text:
            embedding = await self._embedding(query)
        restriction = query.restriction
        scope = await scope_of(self._api, caller, restriction, credentials)
        key = (caller.user_id, query.text, query.size, restriction, hybrid)
        start = self._starts.start(key, query.page, query.size)
        hits: list[Hit] = []
        items: list[Item] = []
        access, relations = Access.of(scope), Relations(query.with_exif, query.with_people)
        for _ in range(1 + REFILLS):
            page = await self._ranked(query, scope, embedding, query.size - len(items), start)
            start += len(page.hits)
            shown = await self._fetcher.fetch([hit.asset_id for hit in page.hits], credentials, relations)
            for hit in page.hits:
                photo = shown.get(hit.asset_id)
                if photo is not None and access.allows(photo.asset):
                    hits.append(hit)
                    items.append(photo.item)
            if len(items) >= query.size or not page.has_more:
                break
        if page.has_more:
            self._starts.remember(key, query.page + 1, query.size, start)
        next_page = str(query.page + 1) if page.has_more else None
        return Found(tuple(hits), tuple(items), next_page, scope, embedding)

    async def explain(self, query: SearchQuery, found: Found, typed: str) -> Mapping[str, Any]:
        """How each result of a page was found, in rank order; `typed` is the query as it was typed."""
        ids = [hit.asset_id for hit in found.hits]
        explanations = await self._repository.explain(query.text, found.scope, ids, found.embedding) if ids else ()
        lines = {explanation.hit.asset_id: explanation.lines for explanation in explanations}
        results = []
        for hit, item in zip(found.hits, found.items, strict=True):
            found_lines = lines.get(hit.asset_id, ())
            matched = [{"text": line.text, "box": line.box, "confidence": line.confidence} for line in found_lines]
            results.append(
                {
                    "assetId": str(hit.asset_id),
                    "originalFileName": item.get("originalFileName"),
                    "match": hit.match,
                    "score": hit.score,
                    "textRank": hit.text_rank,
                    "vectorDistance": hit.vector_distance,
                    "distance": hit.distance,
                    "snippet": snippet([line.text for line in found_lines]),
                    "lines": matched,
                }
            )
        mode = "text" if found.embedding is None else "hybrid"
        return {"query": typed, "mode": mode, "results": results, "nextPage": found.next_page}

    async def _embedding(self, query: SearchQuery) -> Sequence[float]:
        assert self._encoder is not None
        try:
            return await self._encoder.encode_text(query.text, query.language)
        except MeshError as error:
            raise EncodingFailedError(error.message) from error

    async def _ranked(
        self, query: SearchQuery, scope: Scope, embedding: Sequence[float] | None, limit: int, offset: int
    ) -> SearchPage:
        filters = query.restriction.filters
        if not query.text:
            return SearchPage((), has_more=False)
        if embedding is None:
            return await self._repository.search_text(query.text, scope, filters, limit=limit, offset=offset)
        return await self._repository.search_hybrid(query.text, embedding, scope, filters, limit=limit, offset=offset)

    async def reply(self, found: Found) -> Mapping[str, Any]:
        """A page in the exact shape of Immich's search."""
        assets: dict[str, Any] = {
            "total": len(found.items),
            "count": len(found.items),
            "items": found.items,
            "facets": [],
            "nextPage": found.next_page,
        }
        if await self._api.version() >= STRUCTURED_FILTER:
            assets["nextCursor"] = None
        return {"albums": {"total": 0, "count": 0, "items": [], "facets": []}, "assets": assets}
