"""One run: fill, migrate, backfill, ask, judge.

Every query is asked in two rounds: the first one after a restart, with nothing of the database in memory, and once more
when it is there.
"""

import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from pydantic import SecretStr

from bench.search import load
from bench.search.engines import Engine, FullScan, Mesh, Stock, prepare_stock
from bench.search.hard import plant
from bench.search.hybrid_queries import HybridQuery, hybrid_queries
from bench.search.library import Photo, library
from bench.search.measures import ndcg, percentile, precision, recall
from bench.search.queries import Query, QueryMaker, Truth, judge, truths
from bench.search.servers import forget, postgres_15, postgres_18
from bench.search.vectors import Encoder
from mesh.core.errors import UnavailableError
from sql.migrate import migrate, migrations, uninstall
from sql.repository import SearchRepository
from sql.settings import DatabaseSettings
from sql.upkeep.backfill import backfill

Results = dict[str, Any]
DEPTH = 50
SCANNED = 6
"""Queries per class that the full scan is asked: each takes seconds."""
SAMPLE = 10_000
"""Photos that the queries for libraries of all sizes are drawn from."""


async def measure(work: Path, photos: int, hard: int, growth: Sequence[int], *, mesh_only: bool) -> Results:
    """Everything that is asked for, as one JSON-like result."""
    table = traditional_forms()
    results: Results = {}
    if photos:
        results |= await _library(work, photos, table, mesh_only=mesh_only)
    if hard:
        results["hard"] = await _hard(work, hard, table)
    if growth:
        results["growth"] = {str(size): await _grow(work, size, table) for size in growth}
    return results


async def _library(work: Path, photos: int, table: dict[str, str], *, mesh_only: bool) -> Results:
    """Quality, latency and costs at one size, the others beside the mesh."""
    made = list(library(photos, table))
    encoder = Encoder()
    truth = truths(made)
    maker = QueryMaker(made, truth, table)
    queries, hybrids = maker.all(), hybrid_queries(made, truth, maker)
    results: Results = {"photos": photos, "queries": len(queries), "quality": {}, "hybrid": {}}
    name = f"library_{photos}"
    with postgres_18(work) as admin:
        results |= await _mesh_database(work, admin, name, lambda: made, encoder)
    # Asked first with nothing in memory, as after a restart of the whole machine.
    forget(work)
    with ExitStack() as stack:
        url = load.database(stack.enter_context(postgres_18(work)), name)
        async with SearchRepository(DatabaseSettings(url=SecretStr(url))) as repository:
            await _ask_all(Mesh(repository), made, queries, hybrids, encoder, results)
        results["update_ms"] = await _updates(url, made)
        if not mesh_only:
            await _full_scan(url, made, queries, hybrids, encoder, results)
            await _stock(stack.enter_context(postgres_15(work)), photos, made, queries, results)
    return results


async def _hard(work: Path, size: int, table: dict[str, str]) -> Results:
    """The text side alone at one size, asked the usual queries and those of the hard classes."""
    name = f"hard_{size}"
    made = list(library(size, table))
    truth = truths(made)
    usual = QueryMaker(made, truth, table).all()
    queries = plant(made)
    # What was planted may hold what the usual queries ask for.
    planted = truths(made)
    for query in usual:
        query.relevant.clear()
        judge(query, planted)
    words = [query for query in queries if query.kind == "trap words"]
    for query in words:
        _judge_elsewhere(query, truth)
    with postgres_18(work) as admin:
        found = await _mesh_database(work, admin, name, lambda: made, None)
        place = {photo.id: index for index, photo in enumerate(made)}
        async with SearchRepository(DatabaseSettings(url=SecretStr(load.database(admin, name)))) as repository:
            asked: list[tuple[Query, list[float] | None]] = [(query, None) for query in (*queries, *usual)]
            classes = await _ask(Mesh(repository), place, asked, again=True)
    return found | {"photos": len(made), "classes": classes}


def _judge_elsewhere(query: Query, truth: dict[int, Truth]) -> None:
    """What the rest of the library says of a planted query."""
    elsewhere = Query(query.text, query.kind, query.truth)
    judge(elsewhere, truth)
    query.relevant = elsewhere.relevant | query.relevant


def traditional_forms() -> dict[str, str]:
    """Simplified character to a traditional one, from the folding data of the migration."""
    data = re.search(r"RETURN '(\{.*?\})'::jsonb", migrations()[0].up, re.DOTALL)
    assert data
    return {new: old for old, new in json.loads(data[1]).items() if "\u4e00" <= old <= "\u9fff" and len(new) == 1}


async def _mesh_database(
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


async def _ask_all(
    engine: Engine,
    photos: Sequence[Photo],
    queries: Sequence[Query],
    hybrids: Sequence[HybridQuery],
    encoder: Encoder,
    results: Results,
) -> None:
    place = {photo.id: index for index, photo in enumerate(photos)}
    results["quality"][engine.name] = await _ask(engine, place, [(query, None) for query in queries], again=True)
    with_vectors = [(hybrid.query, encoder.text(hybrid.query.text, hybrid.concept)) for hybrid in hybrids]
    results["hybrid"][engine.name] = await _ask(engine, place, with_vectors, again=True)


async def _ask(
    engine: Engine, place: dict[UUID, int], asked: Sequence[tuple[Query, list[float] | None]], *, again: bool
) -> Results:
    """Per class and over all: precision@10, recall@50, nDCG@10, and the latency of the first round and, with `again`,
    of a second one."""
    first = await _round(engine, asked)
    last = await _round(engine, asked) if again else first
    rows: dict[str, list[Row]] = {}
    for (query, _), (ids, first_ms), (_, ms) in zip(asked, first, last, strict=True):
        found, relevant = [place[asset_id] for asset_id in ids], query.relevant
        row = Row(precision(found, relevant), recall(found, relevant), ndcg(found, relevant), first_ms, ms)
        # Finding nothing is right where there is nothing to find, but not when nobody looked.
        rows.setdefault(query.kind, []).append(row if first_ms is not None else row.worthless())
    return _summaries(rows)


class Answer(NamedTuple):
    """What a query found, and in how many milliseconds; nothing, in None, when it failed."""

    ids: Sequence[UUID]
    ms: float | None


async def _round(engine: Engine, asked: Sequence[tuple[Query, list[float] | None]]) -> list[Answer]:
    """The answer to each query, in order."""
    answers = []
    for query, embedding in asked:
        started = time.perf_counter()
        try:
            ids = await engine.search(query.text, embedding, DEPTH)
        except (asyncpg.PostgresError, UnavailableError):
            answers.append(Answer((), None))
        else:
            answers.append(Answer(ids, _milliseconds(started)))
    return answers


def _milliseconds(started: float) -> float:
    return (time.perf_counter() - started) * 1000


class Row(NamedTuple):
    """One query: how well it was answered, how long it took when it was first asked, and at last (None: it failed)."""

    precision: float
    recall: float
    ndcg: float
    first_ms: float | None
    ms: float | None

    def worthless(self) -> "Row":
        """The row with all quality taken away."""
        return self._replace(precision=0.0, recall=0.0, ndcg=0.0)


def _summaries(rows: dict[str, list[Row]]) -> Results:
    everything = [row for kind, listed in rows.items() if kind != "nothing" for row in listed]
    return {"all": _summary(everything)} | {kind: _summary(listed) for kind, listed in rows.items()}


def _summary(rows: Sequence[Row]) -> Results:
    times = [row.ms for row in rows if row.ms is not None]
    first = [row.first_ms for row in rows if row.first_ms is not None]
    return {
        "queries": len(rows),
        "failed": sum(None in (row.first_ms, row.ms) for row in rows),
        "precision": mean(row.precision for row in rows),
        "recall": mean(row.recall for row in rows),
        "ndcg": mean(row.ndcg for row in rows),
        "median_ms": percentile(times, 0.5),
        "p95_ms": percentile(times, 0.95),
        "first_median_ms": percentile(first, 0.5),
        "first_p95_ms": percentile(first, 0.95),
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
            times.append(_milliseconds(started))
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
    results["quality"]["full scan"] = await _ask(engine, place, [(query, None) for query in few], again=False)
    few_hybrid = [
        hybrid
        for kind in dict.fromkeys(h.query.kind for h in hybrids)
        for hybrid in [h for h in hybrids if h.query.kind == kind][:SCANNED]
    ]
    asked = [(hybrid.query, encoder.text(hybrid.query.text, hybrid.concept)) for hybrid in few_hybrid]
    results["hybrid"]["full scan"] = await _ask(engine, place, asked, again=False)
    await connection.close()


async def _stock(
    admin: str | None, size: int, photos: Sequence[Photo], queries: Sequence[Query], results: Results
) -> None:
    if admin is None:
        results["stock_missing"] = "Debian's postgresql-15 is not installed"
        return
    name = f"stock_{size}"
    fresh = await load.create(admin, name)
    connection = await asyncpg.connect(load.database(admin, name))
    if fresh:
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
    results["quality"]["stock"] = await _ask(engine, place, [(query, None) for query in queries], again=True)
    await connection.close()


async def _grow(work: Path, size: int, table: dict[str, str]) -> Results:
    """The text side alone at one size: latency per class and over all, build time, bytes."""
    name = f"growth_{size}"
    with postgres_18(work) as admin:
        found = await _mesh_database(work, admin, name, lambda: list(library(size, table)), None)
    # The same queries at every size: each library begins with the photos of the smaller ones.
    sample = list(islice(library(size, table), SAMPLE))
    queries = QueryMaker(sample, truths(sample), table).unjudged()
    asked: list[tuple[Query, list[float] | None]] = [(query, None) for query in queries if query.kind != "nothing"]
    forget(work)
    with postgres_18(work) as admin:
        async with SearchRepository(DatabaseSettings(url=SecretStr(load.database(admin, name)))) as repository:
            first = await _round(Mesh(repository), asked)
            last = await _round(Mesh(repository), asked)
    rows: dict[str, list[Row]] = {}
    for (query, _), (_, first_ms), (_, ms) in zip(asked, first, last, strict=True):
        rows.setdefault(query.kind, []).append(Row(0.0, 0.0, 0.0, first_ms, ms))
    return found | {"classes": _summaries(rows)}
