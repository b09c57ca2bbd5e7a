"""The mesh's database of a run, and what it cost: built once, kept for the next run."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from bench.search import load
from bench.search.asking import Results, milliseconds
from bench.search.corpus.photo import Photo
from bench.search.corpus.vectors import Encoder
from bench.search.measures import percentile
from sql.migrate import migrate, migrations, uninstall
from sql.upkeep.backfill import backfill


async def mesh_database(
    work: Path, admin: str, name: str, photos: Callable[[], Sequence[Photo]], encoder: Encoder | None
) -> Results:
    """Immich's tables and ours, and what ours cost; left as they are where this code's schema was built before."""
    note = work / f"{name}.json"
    version = [step.checksum for step in migrations()]
    fresh = await load.create(admin, name)
    if not fresh and note.exists() and (known := json.loads(note.read_text()))["version"] == version:
        costs: Results = known["costs"]
        return costs
    connection = await asyncpg.connect(load.database(admin, name))
    if fresh:
        await load.fill(connection, photos(), encoder)
    await uninstall(connection)
    await migrate(connection)
    started = time.perf_counter()
    done = await backfill(connection)
    costs = {"backfill": {"seconds": time.perf_counter() - started, "documents": done.changed}}
    costs["index_seconds"] = await _rebuild_seconds(connection)
    rows = await connection.fetch(
        "SELECT relname, pg_relation_size(oid) AS bytes FROM pg_class WHERE relname LIKE 'ocr_document%'"
        " UNION ALL SELECT 'asset_ocr (Immich)', pg_total_relation_size('public.asset_ocr')"
    )
    costs["bytes"] = {row["relname"]: row["bytes"] for row in rows}
    await connection.execute("VACUUM ANALYZE mesh.ocr_document")
    await connection.close()
    await load.done(admin, name)
    note.write_text(json.dumps({"version": version, "costs": costs}))
    return costs


async def _rebuild_seconds(connection: Any) -> float:
    started = time.perf_counter()
    await connection.execute("REINDEX TABLE mesh.ocr_document")
    return time.perf_counter() - started


async def update_costs(url: str, photos: Sequence[Photo]) -> Results:
    """What our triggers add to one photo's OCR update: the statement that Immich sends, with and without them."""
    connection = await asyncpg.connect(url)
    chosen = [photo for photo in photos if photo.lines][:200]
    statement = """
        WITH gone AS (DELETE FROM asset_ocr WHERE "assetId" = $1)
        INSERT INTO asset_ocr ("assetId", x1, y1, x2, y2, x3, y3, x4, y4, "boxScore", "textScore", text)
        SELECT $1, 0.1, n * 0.03, 0.9, n * 0.03, 0.9, n * 0.03 + 0.02, 0.1, n * 0.03 + 0.02, 0.9, 0.95, text
        FROM unnest($2::text[]) WITH ORDINALITY AS line(text, n)"""

    async def timed(suffix: str) -> list[float]:
        times = []
        for photo in chosen:
            lines = [f"{line.text}{suffix}" for line in photo.lines]
            started = time.perf_counter()
            await connection.execute(statement, photo.id, lines)
            times.append(milliseconds(started))
        return times

    transaction = connection.transaction()
    await transaction.start()
    try:
        first, with_triggers = await timed("甲"), await timed("丙")
        await connection.execute("ALTER TABLE asset_ocr DISABLE TRIGGER USER")
        without = await timed("乙")
    finally:
        await transaction.rollback()
        await connection.close()
    return {
        "first_median": percentile(first, 0.5),
        "first_p95": percentile(first, 0.95),
        "median": percentile(with_triggers, 0.5),
        "p95": percentile(with_triggers, 0.95),
        "median_without": percentile(without, 0.5),
    }
