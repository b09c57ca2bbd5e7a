"""One run: fill, migrate, backfill, ask, judge."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from bench.search import load
from bench.search.engines import Engine, FullScan, Mesh, Stock, prepare_stock
from bench.search.hybrid_queries import HybridQuery, hybrid_queries
from bench.search.library import Photo, library
from bench.search.measures import ndcg, percentile, precision, recall
from bench.search.queries import Query, QueryMaker, truths
from bench.search.servers import postgres_15, postgres_18
from bench.search.vectors import Encoder
from sql.backfill import backfill
from sql.migrate import migrate
from sql.repository import SearchRepository
from sql.settings import DatabaseSettings

Results = dict[str, Any]
DEPTH = 50
SCANNED = 6
"""Queries per class that the full scan is asked: each takes seconds."""
WARM = 5


async def measure(work: Path, photos: int, growth: Sequence[int], *, mesh_only: bool) -> Results:
    """Everything, as one JSON-like result."""
    table = traditional_forms()
    results: Results = {"photos": photos, "quality": {}, "hybrid": {}, "growth": {}}
    with ExitStack() as stack:
        url18 = stack.enter_context(postgres_18(work))
        if photos:
            made = list(library(photos, table))
            encoder = Encoder()
            url = await _mesh_database(url18, f"library_{photos}", made, encoder, results)
            truth = truths(made)
            maker = QueryMaker(made, truth, table)
            queries, hybrids = maker.all(), hybrid_queries(made, truth, maker)
            results["queries"] = len(queries)
            async with SearchRepository(DatabaseSettings(url=url)) as repository:
                mesh = Mesh(repository)
                await _ask_all("mesh", mesh, made, queries, hybrids, encoder, results)
            results["update_ms"] = await _updates(url, made)
            if not mesh_only:
                await _full_scan(url, made, queries, hybrids, encoder, results)
                await _stock(stack.enter_context(postgres_15(work)), photos, made, queries, results)
        for size in growth:
            results["growth"][str(size)] = await _grow(url18, size, table)
    return results


def traditional_forms() -> dict[str, str]:
    """Simplified character to a traditional one, from the folding data of the migration."""
    import json
    import re

    from sql.migrate import migrations

    data = re.search(r"RETURN '(\{.*?\})'::jsonb", migrations()[0].up, re.DOTALL)
    assert data
    return {new: old for old, new in json.loads(data[1]).items() if "\u4e00" <= old <= "\u9fff" and len(new) == 1}


async def _mesh_database(
    admin: str, name: str, photos: Sequence[Photo], encoder: Encoder | None, results: Results
) -> str:
    url = await load.create(admin, name)
    fresh = url is not None
    url = url or admin.replace("/postgres?", f"/{name}?")
    connection = await asyncpg.connect(url)
    if fresh:
        await load.fill(connection, photos, encoder)
    from sql.migrate import uninstall

    await uninstall(connection)
    await migrate(connection)
    started = time.perf_counter()
    done = await backfill(connection)
    results["backfill"] = {"seconds": time.perf_counter() - started, "documents": done.changed}
    results["index_seconds"] = await _rebuild_seconds(connection)
    rows = await connection.fetch(
        "SELECT relname, pg_relation_size(oid) AS bytes FROM pg_class WHERE relname LIKE 'ocr_document%'"
        " UNION ALL SELECT 'asset_ocr (Immich)', pg_total_relation_size('public.asset_ocr')"
    )
    results["bytes"] = {row["relname"]: row["bytes"] for row in rows}
    await connection.execute("VACUUM ANALYZE mesh.ocr_document")
    await connection.close()
    if fresh:
        await load.done(admin, name)
    return url


async def _rebuild_seconds(connection: Any) -> float:
    started = time.perf_counter()
    await connection.execute("REINDEX TABLE mesh.ocr_document")
    return time.perf_counter() - started


async def _ask_all(
    name: str,
    engine: Engine,
    photos: Sequence[Photo],
    queries: Sequence[Query],
    hybrids: Sequence[HybridQuery],
    encoder: Encoder,
    results: Results,
) -> None:
    place = {photo.id: index for index, photo in enumerate(photos)}
    for query in queries[:WARM]:
        await engine.search(query.text, None, DEPTH)
    results["quality"][name] = await _ask(engine, place, [(query, None) for query in queries])
    with_vectors = [(hybrid.query, encoder.text(hybrid.query.text, hybrid.concept)) for hybrid in hybrids]
    for query, embedding in with_vectors[:WARM]:
        await engine.search(query.text, embedding, DEPTH)
    results["hybrid"][name] = await _ask(engine, place, with_vectors)


async def _ask(engine: Engine, place: dict[UUID, int], asked: Sequence[tuple[Query, list[float] | None]]) -> Results:
    """Per class and over all: precision@10, recall@50, nDCG@10, latency."""
    rows: dict[str, list[tuple[float, float, float, float]]] = {}
    failed = 0
    for query, embedding in asked:
        started = time.perf_counter()
        try:
            ids = await engine.search(query.text, embedding, DEPTH)
        except asyncpg.PostgresError:
            ids, failed = [], failed + 1
        elapsed = (time.perf_counter() - started) * 1000
        found = [place[asset_id] for asset_id in ids]
        rows.setdefault(query.kind, []).append(
            (precision(found, query.relevant), recall(found, query.relevant), ndcg(found, query.relevant), elapsed)
        )
    everything = [row for kind, listed in rows.items() if kind != "nothing" for row in listed]
    return {"all": _summary(everything), "failed": failed} | {kind: _summary(listed) for kind, listed in rows.items()}


def _summary(rows: Sequence[tuple[float, float, float, float]]) -> Results:
    mean: Callable[[int], float] = lambda column: sum(row[column] for row in rows) / len(rows)  # noqa: E731
    times = [row[3] for row in rows]
    return {
        "queries": len(rows),
        "precision": mean(0),
        "recall": mean(1),
        "ndcg": mean(2),
        "median_ms": percentile(times, 0.5),
        "p95_ms": percentile(times, 0.95),
    }


async def _updates(url: str, photos: Sequence[Photo]) -> Results:
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
            times.append((time.perf_counter() - started) * 1000)
        return times

    transaction = connection.transaction()
    await transaction.start()
    try:
        with_triggers = await timed("甲")
        await connection.execute("ALTER TABLE asset_ocr DISABLE TRIGGER USER")
        without = await timed("乙")
    finally:
        await transaction.rollback()
        await connection.close()
    return {
        "median": percentile(with_triggers, 0.5),
        "p95": percentile(with_triggers, 0.95),
        "median_without": percentile(without, 0.5),
    }


async def _full_scan(
    url: str,
    photos: Sequence[Photo],
    queries: Sequence[Query],
    hybrids: Sequence[HybridQuery],
    encoder: Encoder,
    results: Results,
) -> None:
    connection = await asyncpg.connect(url)
    place = {photo.id: index for index, photo in enumerate(photos)}
    engine = FullScan(connection)
    few = [
        query
        for kind in dict.fromkeys(query.kind for query in queries)
        for query in [q for q in queries if q.kind == kind][:SCANNED]
    ]
    results["quality"]["full scan"] = await _ask(engine, place, [(query, None) for query in few])
    few_hybrid = [
        hybrid
        for kind in dict.fromkeys(h.query.kind for h in hybrids)
        for hybrid in [h for h in hybrids if h.query.kind == kind][:SCANNED]
    ]
    asked = [(hybrid.query, encoder.text(hybrid.query.text, hybrid.concept)) for hybrid in few_hybrid]
    results["hybrid"]["full scan"] = await _ask(engine, place, asked)
    await connection.close()


async def _stock(
    admin: str | None, size: int, photos: Sequence[Photo], queries: Sequence[Query], results: Results
) -> None:
    if admin is None:
        results["stock_missing"] = "Debian's postgresql-15 is not installed"
        return
    name = f"stock_{size}"
    url = await load.create(admin, name)
    connection = await asyncpg.connect(url or admin.replace("/postgres?", f"/{name}?"))
    if url:
        await load.fill(connection, photos, None)
        await connection.copy_records_to_table(
            "ocr_search",
            records=(
                (photo.id, " ".join(token for line in photo.lines for token in load.stock_tokens(line)))
                for photo in photos
                if photo.lines
            ),
        )
        await prepare_stock(connection)
        await connection.execute("VACUUM ANALYZE")
        await load.done(admin, name)
    place = {photo.id: index for index, photo in enumerate(photos)}
    engine = Stock(connection)
    for query in queries[:WARM]:
        await engine.search(query.text, None, DEPTH)
    results["quality"]["stock"] = await _ask(engine, place, [(query, None) for query in queries])
    await connection.close()


async def _grow(admin: str, size: int, table: dict[str, str]) -> Results:
    """The text side alone at one size: latency over all classes, build time, bytes."""
    found: Results = {}
    made = list(library(size, table))
    url = await _mesh_database(admin, f"growth_{size}", made, None, found)
    sample = made[:100_000]
    queries = [query for query in QueryMaker(sample, truths(sample), table).unjudged() if query.kind != "nothing"]
    async with SearchRepository(DatabaseSettings(url=url)) as repository:
        engine = Mesh(repository)
        for query in queries[:WARM]:
            await engine.search(query.text, None, DEPTH)
        times = []
        for query in queries:
            started = time.perf_counter()
            await engine.search(query.text, None, DEPTH)
            times.append((time.perf_counter() - started) * 1000)
    return found | {"median_ms": percentile(times, 0.5), "p95_ms": percentile(times, 0.95), "queries": len(queries)}
