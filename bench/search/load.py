"""Fills a database with Immich's tables and the generated library."""

# ruff: noqa: E501 - tables read best as lines

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import asyncpg

from bench.search.corpus.photo import Line, Photo
from bench.search.corpus.vectors import Encoder, Vectors

SCHEMA = Path(__file__).parents[2] / "tests" / "integration" / "sql"
OWNERS = tuple(UUID(int=number + 1) for number in range(3))
"""The caller, a partner whose photos are in the caller's timeline, and somebody else."""

VECTOR_CHUNK = 5_000


def database(admin_url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return admin_url.replace("/postgres?", f"/{name}?")


async def create(admin_url: str, name: str) -> bool:
    """Makes an empty database; False when an earlier run has filled it."""
    connection = await asyncpg.connect(admin_url)
    try:
        if await connection.fetchval(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", name
        ):
            return False
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}"')
        await connection.execute(f'CREATE DATABASE "{name}"')
        return True
    finally:
        await connection.close()


async def done(admin_url: str, name: str) -> None:
    """Note that the database is filled, so that the next run uses it as it is."""
    connection = await asyncpg.connect(admin_url)
    await connection.execute(f"COMMENT ON DATABASE \"{name}\" IS 'filled'")
    await connection.close()


async def fill(connection: Any, photos: Sequence[Photo], encoder: Encoder | None) -> None:
    """Immich's tables with every photo; vectors and their index when an encoder is given."""
    await connection.execute((SCHEMA / "immich.sql").read_text())
    await connection.executemany('INSERT INTO "user" (id) VALUES ($1)', [(owner,) for owner in OWNERS])
    await connection.copy_records_to_table(
        "asset",
        records=(
            (photo.id, OWNERS[photo.owner], "timeline" if photo.searchable else "archive", f"IMG_{number}.jpg")
            for number, photo in enumerate(photos)
        ),
        columns=["id", "ownerId", "visibility", "originalFileName"],
    )
    await connection.copy_records_to_table("asset_ocr", records=_rows(photos), columns=[
        "id", "assetId", "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "boxScore", "textScore", "text",
    ])  # fmt: skip
    if encoder:
        await connection.execute((SCHEMA / "vectors.sql").read_text())
        await connection.execute("DROP INDEX clip_index")
        await _fill_vectors(connection, photos, encoder)
        await connection.execute("SET max_parallel_maintenance_workers = 2; SET maintenance_work_mem = '1500MB'")
        await connection.execute(
            "CREATE INDEX clip_index ON smart_search USING hnsw (embedding vector_cosine_ops)"
            " WITH (ef_construction = 300, m = 16)"
        )
    await connection.execute("VACUUM ANALYZE")


def _rows(photos: Sequence[Photo]) -> Any:
    for photo in photos:
        top = 0.03
        for number, line in enumerate(photo.lines):
            for piece, text in enumerate(line.read):
                height = line.size
                yield (
                    uuid5(photo.id, f"{number}.{piece}"), photo.id, 0.1, top, 0.9, top, 0.9, top + height, 0.1, top + height,
                    0.95, line.confidence, text,
                )  # fmt: skip
                top += height * 1.3


async def _fill_vectors(connection: Any, photos: Sequence[Photo], encoder: Encoder) -> None:
    async def lines() -> AsyncIterator[bytes]:
        for start in range(0, len(photos), VECTOR_CHUNK):
            chunk = photos[start : start + VECTOR_CHUNK]
            vectors: Vectors = await asyncio.to_thread(encoder.images, chunk)
            for photo, vector in zip(chunk, vectors, strict=True):
                if photo.has_vector:
                    yield f"{photo.id}\t[{','.join(f'{number:.5f}' for number in vector)}]\n".encode()

    await connection.copy_to_table("smart_search", source=lines(), columns=["assetId", "embedding"], format="text")


def stock_tokens(line: Line) -> list[str]:
    """Words of a line as Immich writes them into `ocr_search`: neighbouring CJK characters in pairs, all else as it is."""
    tokens: list[str] = []
    for text in line.read:
        for part in text.split():
            run = ""
            for character in part + " ":
                is_cjk = (
                    "\u3040" <= character <= "\u30ff"
                    or "\u3400" <= character <= "\u9fff"
                    or "\uac00" <= character <= "\ud7af"
                )
                if run and (character == " " or is_cjk != ("\u3040" <= run[0] <= "\ud7af")):
                    tokens += _pairs(run)
                    run = ""
                run += character.strip()
    return tokens


def _pairs(run: str) -> list[str]:
    if not "\u3040" <= run[0] <= "\ud7af" or len(run) == 1:
        return [run]
    return [run[start : start + 2] for start in range(len(run) - 1)]
