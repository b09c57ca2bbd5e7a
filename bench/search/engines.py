"""What is measured: the mesh's search, stock Immich's OCR filter, and fusion by scanning everything (the predecessor's
way)."""

from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

from bench.search.corpus.photo import Line
from bench.search.load import OWNERS, stock_tokens
from sql.filters import Scope
from sql.repository import SearchRepository

CALLER = Scope(OWNERS[:2])


class Engine(Protocol):
    """A way to search; gives the ids of the photos, best first."""

    name: str

    async def search(self, text: str, embedding: Sequence[float] | None, limit: int) -> list[UUID]:
        """The first `limit` results; hybrid when an embedding is given."""
        ...


class Mesh:
    """This repository's search, as the front door calls it."""

    name = "mesh"

    def __init__(self, repository: SearchRepository) -> None:
        self._repository = repository

    async def search(self, text: str, embedding: Sequence[float] | None, limit: int) -> list[UUID]:
        """The first `limit` results."""
        if embedding is None:
            page = await self._repository.search_text(text, CALLER, limit=limit)
        else:
            page = await self._repository.search_hybrid(text, embedding, CALLER, limit=limit)
        return [hit.asset_id for hit in page.hits]


class Stock:
    """Immich's own OCR filter (2.2 to 3.2): trigrams of joined pairs, newest photo first."""

    name = "stock"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def search(self, text: str, embedding: Sequence[float] | None, limit: int) -> list[UUID]:
        """The first `limit` results."""
        tokens = " ".join(stock_tokens(Line(text, 0.0, read=(text,))))
        rows = await self._connection.fetch(
            """
            SELECT asset.id FROM asset JOIN ocr_search ON ocr_search."assetId" = asset.id
            WHERE asset."ownerId" = ANY ($1::uuid[]) AND asset.visibility = 'timeline' AND asset."deletedAt" IS NULL
              AND f_unaccent(ocr_search.text) %>> f_unaccent($2)
            ORDER BY asset."fileCreatedAt" DESC, asset.id LIMIT $3
            """,
            list(OWNERS[:2]),
            tokens,
            limit,
        )
        return [row["id"] for row in rows]


class FullScan:
    """Every text and every vector compared at query time, the two ranks joined: what the predecessor did."""

    name = "full scan"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def search(self, text: str, embedding: Sequence[float] | None, limit: int) -> list[UUID]:
        """The first `limit` results; equal-weight reciprocal ranks when an embedding is given."""
        by_text = """
            SELECT "assetId" AS id,
                   row_number() OVER (ORDER BY ts_rank(to_tsvector('simple', content), query) DESC, "assetId") AS place
            FROM (SELECT "assetId", string_agg(regexp_replace(text, '([\u4e00-\u9fff])', ' \\1 ', 'g'), ' ') AS content
                  FROM asset_ocr GROUP BY 1) AS photo,
                 phraseto_tsquery('simple', regexp_replace($2, '([\u4e00-\u9fff])', ' \\1 ', 'g')) AS query
            WHERE to_tsvector('simple', content) @@ query"""
        visible = (
            """asset."ownerId" = ANY ($1::uuid[]) AND asset.visibility = 'timeline' AND asset."deletedAt" IS NULL"""
        )
        if embedding is None:
            rows = await self._connection.fetch(
                f"SELECT id FROM ({by_text}) AS found JOIN asset USING (id) WHERE {visible} ORDER BY place LIMIT $3",
                list(OWNERS[:2]),
                text,
                limit,
            )
        else:
            rows = await self._connection.fetch(
                f"""
                WITH by_text AS ({by_text}), by_vector AS (
                  SELECT "assetId" AS id, row_number() OVER (ORDER BY embedding <=> $4::vector, "assetId") AS place
                  FROM smart_search)
                SELECT id FROM by_text FULL JOIN by_vector USING (id) JOIN asset USING (id) WHERE {visible} ORDER BY
                coalesce(1.0 / (60 + by_text.place), 0) + coalesce(1.0 / (60 + by_vector.place), 0) DESC, id LIMIT $3
                """,
                list(OWNERS[:2]),
                text,
                limit,
                str(list(embedding)),
            )
        return [row["id"] for row in rows]


async def prepare_stock(connection: Any) -> None:
    """`ocr_search` and its index as Immich makes them."""
    await connection.execute(
        """
        CREATE EXTENSION IF NOT EXISTS pg_trgm; CREATE EXTENSION IF NOT EXISTS unaccent;
        CREATE OR REPLACE FUNCTION f_unaccent(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
          RETURN unaccent('unaccent', $1);
        CREATE INDEX IF NOT EXISTS idx_ocr_search_text ON ocr_search USING gin (f_unaccent(text) gin_trgm_ops)
        """
    )
