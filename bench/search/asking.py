"""Asks an engine every query, and sums up per class how well and how fast it answered.

Every query is asked in two rounds: the first one after a restart, with nothing of the database in memory, and once more
when it is there.
"""

import time
from collections.abc import Sequence
from statistics import mean
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from bench.search.corpus.relevance import Query
from bench.search.engines import Engine
from bench.search.measures import ndcg, percentile, precision, recall
from mesh.core.errors import UnavailableError

Results = dict[str, Any]
Asked = tuple[Query, list[float] | None]
"""A query, and its embedding where it is asked for hybrid search."""

DEPTH = 50


async def ask(engine: Engine, place: dict[UUID, int], asked: Sequence[Asked], *, again: bool) -> Results:
    """Per class and over all: precision@10, recall@50, nDCG@10, and the latency of the first round and, with `again`,
    of a second one."""
    first = await ask_in_order(engine, asked)
    last = await ask_in_order(engine, asked) if again else first
    rows: dict[str, list[Row]] = {}
    for (query, _), (ids, first_ms), (_, ms) in zip(asked, first, last, strict=True):
        found, relevant = [place[asset_id] for asset_id in ids], query.relevant
        row = Row(precision(found, relevant), recall(found, relevant), ndcg(found, relevant), first_ms, ms)
        # Finding nothing is right where there is nothing to find, but not when nobody looked.
        rows.setdefault(query.kind, []).append(row if first_ms is not None else row.worthless())
    return summaries(rows)


class Answer(NamedTuple):
    """What a query found, and in how many milliseconds; nothing, in None, when it failed."""

    ids: Sequence[UUID]
    ms: float | None


async def ask_in_order(engine: Engine, asked: Sequence[Asked]) -> list[Answer]:
    """The answer to each query, in order."""
    answers = []
    for query, embedding in asked:
        started = time.perf_counter()
        try:
            ids = await engine.search(query.text, embedding, DEPTH)
        except (asyncpg.PostgresError, UnavailableError):
            answers.append(Answer((), None))
        else:
            answers.append(Answer(ids, milliseconds(started)))
    return answers


def milliseconds(started: float) -> float:
    """Since `started` of `time.perf_counter`."""
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


def summaries(rows: dict[str, list[Row]]) -> Results:
    """Means and percentiles of every class, and of all together but what is to find nothing."""
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
        "p99_ms": percentile(times, 0.99),
        "first_median_ms": percentile(first, 0.5),
        "first_p95_ms": percentile(first, 0.95),
    }
