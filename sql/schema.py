"""What this Immich's database looks like: found by looking, since tables and columns differ from 2.2 to 3.2 and the
fork."""

import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sql.filters import UnsupportedFilterError

TABLES = (
    "asset",
    "asset_exif",
    "asset_face",
    "asset_file",
    "album_asset",
    "tag_asset",
    "tag_closure",
    "asset_ocr",
    "ocr_info",
    "ocr_search",
    "smart_search",
    "asset_job_status",
)
NEEDED = {
    "asset": ("id", "ownerId", "visibility", "deletedAt"),
    "asset_ocr": ("assetId", "text", "textScore", "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4"),
    "ocr_info": ("assetId", "text", "ocrJson"),
    "smart_search": ("assetId", "embedding"),
}
"""Columns that documents and ranking cannot do without, per table that exists."""


class VectorIndex(StrEnum):
    """The access method behind Immich's CLIP index."""

    HNSW = "hnsw"
    VCHORDRQ = "vchordrq"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ImmichSchema:
    """Tables and columns, extensions and the vector column, as they were when `inspect` looked.

    Attributes:
        columns: table name to the names of its columns; absent tables have no entry.
        dimension: length of the CLIP embeddings; 0 without a vector table.
        vector_index: kind of the index on them.
        vector_lists: lists per level of a VectorChord index; empty when it has none.
        extensions: name to version of what is installed.
        has_unaccent: whether Immich's function `f_unaccent` exists.
        has_zhparser: whether a text search parser `zhparser` exists.
        trigram_schema: quoted name of the schema that pg_trgm's operators lie in; None without pg_trgm.
        migrated: version of schema `mesh`; 0 for none.
    """

    columns: dict[str, frozenset[str]]
    dimension: int = 0
    vector_index: VectorIndex = VectorIndex.NONE
    vector_lists: tuple[int, ...] = ()
    extensions: dict[str, str] = field(default_factory=dict)
    has_unaccent: bool = False
    has_zhparser: bool = False
    trigram_schema: str | None = None
    migrated: int = 0

    def has(self, table: str, column: str) -> bool:
        """Whether the table exists and has the column."""
        return column in self.columns.get(table, frozenset())

    def demand(self, table: str, column: str) -> None:
        """Raises UnsupportedFilterError when the column is not there."""
        if not self.has(table, column):
            raise UnsupportedFilterError(f"this Immich has no column {table}.{column}")

    @property
    def problems(self) -> tuple[str, ...]:
        """What is missing of Immich's side, one sentence each."""
        found = []
        if "asset" not in self.columns:
            found.append("table asset is missing: is this Immich's database?")
        if "asset_ocr" not in self.columns and "ocr_info" not in self.columns:
            found.append("neither asset_ocr nor ocr_info exists: Immich 2.2 or later is needed for text search")
        for table, needed in NEEDED.items():
            if table in self.columns and (missing := [name for name in needed if name not in self.columns[table]]):
                found.append(f"table {table} lacks {', '.join(missing)}: this Immich is newer than immich-mesh knows")
        if "smart_search" not in self.columns:
            found.append("table smart_search is missing: hybrid search ranks by text alone")
        elif self.vector_index is VectorIndex.NONE:
            found.append("smart_search has no vector index: hybrid search scans it")
        return tuple(found)


async def inspect(connection: Any) -> ImmichSchema:
    """Look at the catalogues; a few milliseconds."""
    rows = await connection.fetch(
        """
        SELECT relname, array_agg(attname::text) AS names FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = to_regnamespace('public') AND relkind IN ('r', 'p') AND relname = ANY ($1::text[])
          AND relowner = (SELECT relowner FROM pg_class WHERE oid = to_regclass('public.asset'))
          AND attnum > 0 AND NOT attisdropped GROUP BY relname
        """,
        list(TABLES),
    )
    columns = {row["relname"]: frozenset(row["names"]) for row in rows}
    facts = await connection.fetchrow(
        """
        SELECT
          (SELECT json_object_agg(extname, extversion)::text FROM pg_extension) AS extensions,
          to_regprocedure('public.f_unaccent(text)') IS NOT NULL AS has_unaccent,
          EXISTS (SELECT FROM pg_ts_parser WHERE prsname = 'zhparser' AND pg_ts_parser_is_visible(oid)) AS has_zhparser,
          (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
           WHERE extname = 'pg_trgm') AS trigram_schema,
          to_regclass('mesh.migration') IS NOT NULL AS has_mesh,
          to_regprocedure('mesh.version()') IS NOT NULL AS has_version,
          (SELECT format_type(atttypid, atttypmod) FROM pg_attribute
           WHERE attrelid = to_regclass('public.smart_search') AND attname = 'embedding') AS embedding
        """
    )
    index = await connection.fetchrow(
        """
        SELECT amname, array_to_string(reloptions, ' ') AS options
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
        WHERE indrelid = to_regclass('public.smart_search') AND amname IN ('hnsw', 'vchordrq') AND indisvalid
        """
    )
    return ImmichSchema(
        columns=columns,
        dimension=_dimension(facts["embedding"]),
        vector_index=VectorIndex(index["amname"]) if index else VectorIndex.NONE,
        vector_lists=_lists(index["options"]) if index else (),
        extensions=_extensions(facts["extensions"]),
        has_unaccent=facts["has_unaccent"],
        has_zhparser=facts["has_zhparser"],
        trigram_schema=facts["trigram_schema"],
        migrated=await _version(connection, has_mesh=facts["has_mesh"], has_version=facts["has_version"]),
    )


async def _version(connection: Any, *, has_mesh: bool, has_version: bool) -> int:
    """Version of schema `mesh`; a restored backup may hold one older than the function that tells it to any role."""
    if has_version:
        return int(await connection.fetchval("SELECT mesh.version()"))
    return int(await connection.fetchval("SELECT max(version) FROM mesh.migration") or 0) if has_mesh else 0


def _dimension(kind: str | None) -> int:
    found = re.search(r"\((\d+)\)", kind or "")
    return int(found[1]) if found else 0


def _lists(options: str | None) -> tuple[int, ...]:
    found = re.search(r"lists\s*=\s*\[([\d,\s]*)\]", options or "")
    return tuple(int(number) for number in found[1].split(",") if number.strip()) if found else ()


def _extensions(listed: str | None) -> dict[str, str]:
    return {str(name): str(version) for name, version in json.loads(listed or "{}").items()}
