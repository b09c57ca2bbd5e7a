"""Queries that fail while search is measured: counted and shown, and no part of the latency."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from bench.search.asking import ask
from bench.search.corpus.relevance import Query
from bench.search.report import write_report
from mesh.core.errors import UnavailableError

PHOTO = UUID(int=1)


class Shaky:
    """Finds the one photo, or fails in the way that the query names."""

    name = "mesh"

    async def search(self, text: str, embedding: Sequence[float] | None, limit: int) -> list[UUID]:
        if text == "away":
            raise UnavailableError("away")
        if text == "slow":
            raise asyncpg.QueryCanceledError("slow")
        return [PHOTO]


async def test_failures_are_counted_and_have_no_latency(tmp_path: Path) -> None:
    queries = [Query(text, "phrase", (), {0: 1}) for text in ("found", "away", "slow")]
    queries.append(Query("away", "nothing", (), {}))
    found = await ask(Shaky(), {PHOTO: 0}, [(query, None) for query in queries], again=True)
    assert (found["phrase"]["queries"], found["phrase"]["failed"]) == (3, 2)
    assert found["phrase"]["precision"] == found["phrase"]["recall"] == pytest.approx(1 / 3)
    assert found["phrase"]["median_ms"] is not None
    assert (found["nothing"]["failed"], found["nothing"]["recall"], found["nothing"]["p95_ms"]) == (1, 0, None)
    text = write_report({"photos": 1, "quality": {"mesh": found}}, tmp_path)
    assert "| mesh | phrase | 3 | 2 | 0.333 |" in text
    assert text.splitlines()[-1].endswith("| all failed | all failed | all failed | all failed | all failed |")


def test_what_is_missing_is_said_and_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    text = write_report({"quality": {}, "stock_missing": "no PostgreSQL 15"}, tmp_path)
    assert text == "Stock Immich is not compared: no PostgreSQL 15."
    assert not (tmp_path / "search.png").exists()
