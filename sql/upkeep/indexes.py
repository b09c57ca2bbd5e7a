"""The indexes of `mesh.ocr_document`: made where they are missing, so that a first backfill can do without them.

Filling an index photo by photo takes several times as long as building it at once from full tables.
"""

from typing import Any

DEFINITIONS = {
    # Without a pending list (fastupdate): a search never waits for somebody else's insertions to be sorted in.
    "ocr_document_headline": "USING gin (headline) WITH (fastupdate = off)",
    "ocr_document_words": "USING gin (words) WITH (fastupdate = off)",
    "ocr_document_grams": "USING gin (grams) WITH (fastupdate = off)",
}
TRIGRAM_INDEX = "ocr_document_trigrams"
BUILD_MEMORY = "256MB"


async def wanted(connection: Any) -> dict[str, str]:
    """Names and definitions of the indexes that this database can have."""
    namespace = await connection.fetchval(
        "SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
        " WHERE extname = 'pg_trgm'"
    )
    if namespace is None:
        return DEFINITIONS
    return DEFINITIONS | {TRIGRAM_INDEX: f"USING gin (body {namespace}.gin_trgm_ops) WITH (fastupdate = off)"}


async def missing(connection: Any) -> tuple[str, ...]:
    """Names of indexes that are not there, or were left invalid by a build that was killed."""
    valid = await connection.fetch(
        "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE indrelid = to_regclass('mesh.ocr_document') AND indisvalid"
    )
    present = {row["relname"] for row in valid}
    return tuple(name for name in await wanted(connection) if name not in present)


async def ensure(connection: Any) -> tuple[str, ...]:
    """Build what is missing, outside a transaction and without locking out writers of a filled table; its names."""
    names = await missing(connection)
    definitions = await wanted(connection)
    filled = await connection.fetchval("SELECT EXISTS (SELECT FROM mesh.ocr_document)")
    concurrently = "CONCURRENTLY " if filled else ""
    await connection.execute(f"SET maintenance_work_mem = '{BUILD_MEMORY}'")
    try:
        for name in names:
            await connection.execute(f"DROP INDEX {concurrently}IF EXISTS mesh.{name}")
            await connection.execute(f"CREATE INDEX {concurrently}{name} ON mesh.ocr_document {definitions[name]}")
    finally:
        await connection.execute("RESET maintenance_work_mem")
    return names


async def drop(connection: Any) -> None:
    """Remove all of them, before a first backfill; `ensure` brings them back."""
    for name in (*DEFINITIONS, TRIGRAM_INDEX):
        await connection.execute(f"DROP INDEX IF EXISTS mesh.{name}")
