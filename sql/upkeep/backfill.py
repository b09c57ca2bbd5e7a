"""Makes every document equal to its photo's lines: the first time, after triggers were missing, after an update of
ours.

Works through the photos in the order of their ids, a few hundred per transaction. Documents that are right already are
left alone, so a backfill that was killed goes on where it was by being run again, and writers beside it are not held
up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mesh.core.errors import UnavailableError
from sql.upkeep import indexes

BATCH = 200
"""Photos per transaction."""

BULK = 5_000
"""From this many photos on, a first backfill builds the indexes afterwards."""

Progress = Callable[[int, int, int], None]
"""Called with photos done, photos in all, documents changed."""

SOURCES = {
    "asset_ocr": 'SELECT "assetId" AS id FROM public.asset_ocr WHERE "assetId" > $1 ORDER BY 1 LIMIT $2',
    "ocr_info": 'SELECT "assetId" AS id FROM public.ocr_info WHERE "assetId" > $1 ORDER BY 1 LIMIT $2',
    "document": "SELECT asset_id AS id FROM mesh.ocr_document WHERE asset_id > $1 ORDER BY 1 LIMIT $2",
}
LINES_PER_BATCH = BATCH * 20
FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What a backfill did: photos looked at, documents changed, triggers and indexes made anew."""

    photos: int
    changed: int
    triggers: tuple[str, ...]
    indexes: tuple[str, ...]


async def backfill(connection: Any, progress: Progress = lambda done, total, changed: None) -> Backfilled:
    """Bring all documents up to date, with the triggers and indexes that keep them so.

    Raises:
        UnavailableError: schema `mesh` is not there, or Immich has no table of OCR text.
    """
    tables = await _tables(connection)
    triggers = await connection.fetchval("SELECT mesh.attach()")
    started = await connection.fetchval("SELECT clock_timestamp()")
    total = await _total(connection, tables)
    if total >= BULK and not await connection.fetchval("SELECT EXISTS (SELECT FROM mesh.ocr_document)"):
        await indexes.drop(connection)
    done = changed = 0
    last = FIRST
    progress(0, total, 0)
    while batch := await _next(connection, tables, last):
        changed += await connection.fetchval("SELECT mesh.refresh($1::uuid[])", batch)
        done += len(batch)
        last = batch[-1]
        progress(done, max(total, done), changed)
    built = await indexes.ensure(connection)
    await connection.execute("DELETE FROM mesh.stale WHERE noticed_at < $1", started)
    await connection.execute("ANALYZE mesh.ocr_document")
    return Backfilled(done, changed, tuple(triggers), built)


async def _tables(connection: Any) -> tuple[str, ...]:
    if not await connection.fetchval("SELECT to_regclass('mesh.ocr_document') IS NOT NULL"):
        raise UnavailableError("schema mesh is not there: run `immich-mesh db migrate` first")
    found = await connection.fetchval("SELECT mesh.sources()")
    if not found:
        raise UnavailableError("this database has neither asset_ocr nor ocr_info: there is no text to search")
    return (*found, "document")


async def _total(connection: Any, tables: tuple[str, ...]) -> int:
    """Photos with text."""
    parts = {
        "asset_ocr": 'SELECT "assetId" FROM public.asset_ocr',
        "ocr_info": 'SELECT "assetId" FROM public.ocr_info',
        "document": "SELECT asset_id FROM mesh.ocr_document",
    }
    union = " UNION ".join(parts[name] for name in tables)
    return int(await connection.fetchval(f"SELECT count(*) FROM ({union}) AS photos"))  # noqa: S608 - constants


async def _next(connection: Any, tables: tuple[str, ...], last: UUID) -> list[UUID]:
    """The next photos by id over all sources. Where one source was cut short, ids beyond its last wait for their
    turn."""
    ids: set[UUID] = set()
    horizon = None
    for name in tables:
        rows = await connection.fetch(SOURCES[name], last, LINES_PER_BATCH)
        ids |= {row["id"] for row in rows}
        if len(rows) == LINES_PER_BATCH:
            horizon = rows[-1]["id"] if horizon is None else min(horizon, rows[-1]["id"])
    return sorted(id_ for id_ in ids if horizon is None or id_ <= horizon)[:BATCH]
