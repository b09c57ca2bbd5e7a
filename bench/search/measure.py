"""One run: fill, migrate, backfill, ask, judge."""

import json
import re
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from bench.search import load
from bench.search.asking import Asked, Results, Row, ask, ask_in_order, summaries
from bench.search.corpus.hard import PINYIN, READINGS, plant
from bench.search.corpus.hybrid_queries import HybridQuery, hybrid_queries
from bench.search.corpus.library import library
from bench.search.corpus.photo import Photo
from bench.search.corpus.queries import QueryMaker
from bench.search.corpus.relevance import Query, Truth, judge, truths
from bench.search.corpus.vectors import Encoder
from bench.search.costs import mesh_database, update_costs
from bench.search.engines import Engine, FullScan, Mesh, Stock, prepare_stock
from bench.search.servers import forget, postgres_15, postgres_18
from sql.migrate import migrations
from sql.repository import SearchRepository
from sql.settings import DatabaseSettings

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
        results |= await mesh_database(work, admin, name, lambda: made, encoder)
    # Asked first with nothing in memory, as after a restart of the whole machine.
    forget(work)
    with ExitStack() as stack:
        url = load.database(stack.enter_context(postgres_18(work)), name)
        async with SearchRepository(DatabaseSettings(url=SecretStr(url))) as repository:
            await _ask_all(Mesh(repository), made, queries, hybrids, encoder, results)
        results["update_ms"] = await update_costs(url, made)
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
    for query in queries:
        if query.kind == "trap words":
            _judge_elsewhere(query, truth)
    meant = dict(READINGS)
    for query in queries:
        if query.kind == PINYIN:
            query.truth = (meant[query.text],)
            _judge_elsewhere(query, truth)
    with postgres_18(work) as admin:
        found = await mesh_database(work, admin, name, lambda: made, None)
        place = {photo.id: index for index, photo in enumerate(made)}
        url = SecretStr(load.database(admin, name))
        asked: list[Asked] = [(query, None) for query in (*queries, *usual)]
        classes: Results = {}
        for pinyin in (False, True):
            # Pinyin with the setting, all else as it is by default.
            these = [one for one in asked if (one[0].kind == PINYIN) is pinyin]
            async with SearchRepository(DatabaseSettings(url=url, pinyin=pinyin)) as repository:
                rows = await ask(Mesh(repository), place, these, again=True)
            classes |= rows if not pinyin else {PINYIN: rows[PINYIN]}
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


async def _ask_all(
    engine: Engine,
    photos: Sequence[Photo],
    queries: Sequence[Query],
    hybrids: Sequence[HybridQuery],
    encoder: Encoder,
    results: Results,
) -> None:
    place = {photo.id: index for index, photo in enumerate(photos)}
    results["quality"][engine.name] = await ask(engine, place, [(query, None) for query in queries], again=True)
    with_vectors = [(hybrid.query, encoder.text(hybrid.query.text, hybrid.concept)) for hybrid in hybrids]
    results["hybrid"][engine.name] = await ask(engine, place, with_vectors, again=True)


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
    results["quality"]["full scan"] = await ask(engine, place, [(query, None) for query in few], again=False)
    few_hybrid = [
        hybrid
        for kind in dict.fromkeys(h.query.kind for h in hybrids)
        for hybrid in [h for h in hybrids if h.query.kind == kind][:SCANNED]
    ]
    asked = [(hybrid.query, encoder.text(hybrid.query.text, hybrid.concept)) for hybrid in few_hybrid]
    results["hybrid"]["full scan"] = await ask(engine, place, asked, again=False)
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
    results["quality"]["stock"] = await ask(engine, place, [(query, None) for query in queries], again=True)
    await connection.close()


async def _grow(work: Path, size: int, table: dict[str, str]) -> Results:
    """The text side alone at one size: latency per class and over all, build time, bytes."""
    name = f"growth_{size}"
    with postgres_18(work) as admin:
        found = await mesh_database(work, admin, name, lambda: list(library(size, table)), None)
    # The same queries at every size: each library begins with the photos of the smaller ones.
    sample = list(islice(library(size, table), SAMPLE))
    queries = QueryMaker(sample, truths(sample), table).unjudged()
    asked: list[Asked] = [(query, None) for query in queries if query.kind != "nothing"]
    forget(work)
    with postgres_18(work) as admin:
        async with SearchRepository(DatabaseSettings(url=SecretStr(load.database(admin, name)))) as repository:
            first = await ask_in_order(Mesh(repository), asked)
            last = await ask_in_order(Mesh(repository), asked)
    rows: dict[str, list[Row]] = {}
    for (query, _), (_, first_ms), (_, ms) in zip(asked, first, last, strict=True):
        rows.setdefault(query.kind, []).append(Row(0.0, 0.0, 0.0, first_ms, ms))
    return found | {"classes": summaries(rows)}
