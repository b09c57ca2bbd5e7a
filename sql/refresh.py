"""One photo's AI data replaced in Immich's tables, in exactly the rows that Immich itself would write, and the list of
photos whose data Immich lost.

Each replacement is one transaction that holds the photo's row, so that a reader sees the old data or the new, never a
mixture, and a photo deleted meanwhile stays deleted.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import asyncpg

from common.errors import DimensionMismatch, InvalidInput, MeshError, Unavailable
from sql.ocr_tokens import search_text
from sql.settings import DatabaseSettings

WRITERS = 2
"""Connections for refreshing; searches have a pool of their own and never wait for a refresh."""


class PhotoGone(InvalidInput):
    """The photo was deleted between the request and the write."""


class WriteRefused(MeshError):
    """The database role may read but not write: searching works, refreshing needs the grants of the documentation."""


@dataclass(frozen=True, slots=True)
class OcrLine:
    """A recognised line.

    Attributes:
        text: as read.
        box: x1 y1 .. x4 y4, corners clockwise from the text's top left, each 0..1 of the photo's width or height.
        box_score: certainty of the box, 0..1.
        text_score: certainty of the text, 0..1.
    """

    text: str
    box: tuple[float, ...]
    box_score: float
    text_score: float


@dataclass(frozen=True, slots=True)
class TextChange:
    """The lines of a photo before and after a refresh."""

    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """What this database has of Immich's AI tables. `embedding_type` is the column's type, e.g. `vector(512)`."""

    has_asset_ocr: bool
    has_ocr_search: bool
    has_ocr_info: bool
    has_system_metadata: bool
    has_ocr_at: bool
    embedding_type: str | None
    embedding_dimension: int | None


@cache
def _template(name: str) -> str:
    return files("sql").joinpath("queries", f"refresh_{name}.sql").read_text(encoding="utf-8")


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


class RefreshRepository:
    """Writes to Immich's AI tables. Use as `async with RefreshRepository(settings) as repository`; it never waits.

    Every call raises `Unavailable` when the database is away or silent, and `WriteRefused` without the needed grants.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._schema = _quoted(settings.immich_schema)
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.terminate()

    async def ml_settings(self) -> Mapping[str, Any]:
        """What was changed in Immich's machine-learning settings, as Immich stores it; empty for its defaults."""
        async with self._connection() as connection:
            if not (await self._shape(connection)).has_system_metadata:
                return {}
            stored = await connection.fetchval(self._sql("config"))
        settings = json.loads(stored) if stored else {}
        return settings if isinstance(settings, dict) else {}

    async def replace_text(
        self, asset_id: UUID, lines: Sequence[OcrLine], size: tuple[int, int], at: datetime
    ) -> TextChange:
        """Replaces the photo's text, by nothing when `lines` is empty.

        Args:
            asset_id: the photo.
            lines: what was read, in reading order.
            size: width and height in pixels of the image that was read (the fork's table wants pixels).
            at: when it was read; becomes `ocrAt`.

        Raises:
            PhotoGone: it was deleted.
        """
        async with self._connection() as connection, connection.transaction():
            shape = await self._shape(connection)
            await self._hold(connection, asset_id)
            before: tuple[str, ...] = ()
            if shape.has_ocr_info:
                before = await self._replace_ocr_info(connection, asset_id, lines, size)
            if shape.has_asset_ocr:
                before = await self._replace_asset_ocr(connection, shape, asset_id, lines)
            elif not shape.has_ocr_info:
                raise Unavailable("This database has no OCR table: Immich 2.2 or later is needed")
            if shape.has_ocr_at:
                await connection.execute(self._sql("ocr_at"), asset_id, at)
        return TextChange(before, tuple(line.text for line in lines))

    async def replace_embedding(self, asset_id: UUID, embedding: Sequence[float]) -> None:
        """Replaces the photo's CLIP vector.

        Raises:
            DimensionMismatch: the column holds vectors of another length.
            PhotoGone: it was deleted.
        """
        async with self._connection() as connection, connection.transaction():
            shape = await self._shape(connection)
            if shape.embedding_type is None:
                raise Unavailable("This database has no smart_search table: is the schema right?")
            if shape.embedding_dimension not in (None, len(embedding)):
                raise DimensionMismatch(
                    f"the model gives {len(embedding)} numbers, Immich's column holds {shape.embedding_dimension}: "
                    "choose a CLIP model of that dimension, or change the model in Immich's settings first"
                )
            await self._hold(connection, asset_id)
            literal = "[" + ",".join(map(repr, map(float, embedding))) + "]"
            await connection.execute(self._sql("embedding", type=shape.embedding_type), asset_id, literal)

    async def missing_text(self, owner_id: UUID) -> list[UUID]:
        """This user's photos whose text Immich never wrote or lost in a forced run."""
        async with self._connection() as connection:
            shape = await self._shape(connection)
            name = "missing_ocr" if shape.has_asset_ocr and shape.has_ocr_at else "missing_ocr_info"
            if name == "missing_ocr_info" and not shape.has_ocr_info:
                return []
            return [row["id"] for row in await connection.fetch(self._sql(name), owner_id)]

    async def missing_embedding(self, owner_id: UUID) -> list[UUID]:
        """This user's photos without a CLIP vector."""
        async with self._connection() as connection:
            if (await self._shape(connection)).embedding_type is None:
                return []
            return [row["id"] for row in await connection.fetch(self._sql("missing_clip"), owner_id)]

    async def _replace_asset_ocr(
        self, connection: asyncpg.Connection, shape: Shape, asset_id: UUID, lines: Sequence[OcrLine]
    ) -> tuple[str, ...]:
        before = tuple(row["text"] for row in await connection.fetch(self._sql("ocr_lines"), asset_id))
        await connection.execute(self._sql("ocr_delete"), asset_id)
        if lines:
            corners = [[line.box[corner] for line in lines] for corner in range(8)]
            scores = [[line.box_score for line in lines], [line.text_score for line in lines]]
            texts = [line.text for line in lines]
            await connection.execute(self._sql("ocr_insert"), asset_id, *corners, *scores, texts)
        if shape.has_ocr_search and lines:
            tokens = search_text(line.text for line in lines)
            await connection.execute(self._sql("ocr_search_upsert"), asset_id, tokens)
        elif shape.has_ocr_search:
            await connection.execute(self._sql("ocr_search_delete"), asset_id)
        return before

    async def _replace_ocr_info(
        self, connection: asyncpg.Connection, asset_id: UUID, lines: Sequence[OcrLine], size: tuple[int, int]
    ) -> tuple[str, ...]:
        before = await connection.fetchval(self._sql("ocr_info_text"), asset_id)
        text = " ".join(line.text for line in lines)
        await connection.execute(self._sql("ocr_info_upsert"), asset_id, text, json.dumps(_fork_json(lines, size)))
        return (before,) if before else ()

    async def _hold(self, connection: asyncpg.Connection, asset_id: UUID) -> None:
        if await connection.fetchrow(self._sql("asset"), asset_id) is None:
            raise PhotoGone("the photo was deleted meanwhile")

    async def _shape(self, connection: asyncpg.Connection) -> Shape:
        row = await connection.fetchrow(_template("shape"), self._settings.immich_schema)
        return Shape(**dict(row))

    def _sql(self, name: str, **parts: str) -> str:
        return _template(name).format(schema=self._schema, **parts)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            pool = await self._open()
            async with pool.acquire(timeout=self._settings.connect_timeout_seconds) as connection:
                yield connection
        except asyncpg.InsufficientPrivilegeError as error:
            raise WriteRefused(f"the database role lacks a right ({error}): see the grants for refreshing") from error
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
            raise Unavailable(f"Immich's tables are not as expected ({error}): is this version supported?") from error
        except (asyncpg.PostgresConnectionError, asyncpg.QueryCanceledError, asyncpg.InterfaceError) as error:
            raise Unavailable(f"Immich's database is away ({type(error).__name__})") from error
        except (OSError, TimeoutError) as error:
            raise Unavailable("Immich's database cannot be reached") from error

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                if self._settings.url is None:
                    raise Unavailable("no database is configured: set DB_URL")
                self._pool = await asyncpg.create_pool(
                    self._settings.url.get_secret_value(),
                    min_size=0,
                    max_size=WRITERS,
                    timeout=self._settings.connect_timeout_seconds,
                    command_timeout=self._settings.statement_timeout_ms / 1000,
                    server_settings={"application_name": "immich-mesh-refresh"},
                )
            return self._pool


def _fork_json(lines: Sequence[OcrLine], size: tuple[int, int]) -> dict[str, Any]:
    """The fork's `ocrJson`: pixels of the corners (not width and height), scores with two decimals as text."""
    width, height = size
    boxes = []
    for line in lines:
        xs, ys = line.box[0::2], line.box[1::2]
        corners = {"x1": min(xs) * width, "y1": min(ys) * height, "x2": max(xs) * width, "y2": max(ys) * height}
        boxes.append({name: round(value) for name, value in corners.items()})
    return {
        "texts": [line.text for line in lines],
        "scores": [f"{line.text_score:.2f}" for line in lines],
        "boxes": boxes,
    }
