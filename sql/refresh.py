"""One photo's AI data replaced in Immich's tables, in exactly the rows that Immich itself would write, and the list of
photos whose data Immich lost.

Each replacement is one transaction, so that a reader sees the old data or the new, never a mixture, and a photo deleted
meanwhile stays deleted.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import asyncpg

from mesh.core.errors import DimensionMismatchError, InvalidInputError, MeshError, UnavailableError
from sql.database import Database, Work
from sql.search.ocr_tokens import search_text
from sql.settings import DatabaseSettings

T = TypeVar("T")

WRITERS = 2
"""Connections for refreshing; searches have a pool of their own and never wait for a refresh."""


class PhotoGoneError(InvalidInputError):
    """The photo was deleted between the request and the write."""


class WriteRefusedError(MeshError):
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
    has_emptied: bool
    embedding_type: str | None
    embedding_dimension: int | None


@cache
def _sql(name: str) -> str:
    return files("sql").joinpath("queries", f"refresh_{name}.sql").read_text(encoding="utf-8")


class RefreshRepository:
    """Writes to Immich's AI tables. Use as `async with RefreshRepository(settings) as repository`; it never waits.

    Every call raises `UnavailableError` when the database is away or silent, and `WriteRefusedError` without the
    needed grants.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self._database = Database(settings.model_copy(update={"pool_size": WRITERS}))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._database.close()

    async def ml_settings(self) -> Mapping[str, Any]:
        """What was changed in Immich's machine-learning settings, as Immich stores it; empty for its defaults."""

        async def work(connection: Any) -> Mapping[str, Any]:
            if not (await _shape(connection)).has_system_metadata:
                return {}
            stored = json.loads(await connection.fetchval(_sql("config")) or "{}")
            return stored if isinstance(stored, dict) else {}

        return await self._database.read(work)

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
            PhotoGoneError: it was deleted.
        """

        async def work(connection: Any) -> TextChange:
            shape = await _shape(connection)
            if not shape.has_asset_ocr and not shape.has_ocr_info:
                raise UnavailableError("This database has no OCR table: Immich 2.2 or later is needed")
            await _demand_photo(connection, asset_id)
            if shape.has_ocr_at:
                # First, because this row's lock makes a second refresh of the same photo wait for the first.
                await connection.execute(_sql("ocr_at"), asset_id, at)
            before: tuple[str, ...] = ()
            if shape.has_ocr_info:
                before = await _replace_ocr_info(connection, asset_id, lines, size)
            if shape.has_asset_ocr:
                before = await _replace_asset_ocr(connection, shape, asset_id, lines)
            return TextChange(before, tuple(line.text for line in lines))

        return await self._write(work)

    async def replace_embedding(self, asset_id: UUID, embedding: Sequence[float]) -> None:
        """Replaces the photo's CLIP vector.

        Raises:
            DimensionMismatchError: the column holds vectors of another length.
            PhotoGoneError: it was deleted.
        """

        async def work(connection: Any) -> None:
            shape = await _shape(connection)
            if shape.embedding_type is None:
                raise UnavailableError("This database has no table smart_search: is it Immich's?")
            if shape.embedding_dimension not in (None, len(embedding)):
                raise DimensionMismatchError(
                    f"the model gives {len(embedding)} numbers, Immich's column holds {shape.embedding_dimension}: "
                    "choose a CLIP model of that dimension, or change the model in Immich's settings first"
                )
            await _demand_photo(connection, asset_id)
            literal = "[" + ",".join(map(repr, map(float, embedding))) + "]"
            await connection.execute(_sql("embedding").format(type=shape.embedding_type), asset_id, literal)

        await self._write(work)

    async def missing_text(self, owner_id: UUID) -> list[UUID]:
        """This user's photos whose text Immich never wrote, or lost in a forced run (also one that was lost whole)."""

        async def work(connection: Any) -> list[UUID]:
            shape = await _shape(connection)
            if shape.has_asset_ocr and shape.has_ocr_at:
                emptied = await connection.fetchval(_sql("emptied")) if shape.has_emptied else None
                return await _ids(connection, "missing_ocr", owner_id, emptied)
            return await _ids(connection, "missing_ocr_info", owner_id) if shape.has_ocr_info else []

        return await self._database.read(work)

    async def missing_embedding(self, owner_id: UUID) -> list[UUID]:
        """This user's photos without a CLIP vector."""

        async def work(connection: Any) -> list[UUID]:
            known = (await _shape(connection)).embedding_type is not None
            return await _ids(connection, "missing_clip", owner_id) if known else []

        return await self._database.read(work)

    async def _write(self, work: Work[T]) -> T:
        async def permitted(connection: Any) -> T:
            try:
                return await work(connection)
            except asyncpg.ForeignKeyViolationError as error:
                raise PhotoGoneError("the photo was deleted meanwhile") from error
            except asyncpg.InsufficientPrivilegeError as error:
                raise WriteRefusedError(
                    f"the database role may not write ({error}): grant it what refreshing needs"
                ) from error

        return await self._database.write(permitted)


async def _shape(connection: Any) -> Shape:
    return Shape(**dict(await connection.fetchrow(_sql("shape"))))


async def _demand_photo(connection: Any, asset_id: UUID) -> None:
    if await connection.fetchrow(_sql("asset"), asset_id) is None:
        raise PhotoGoneError("the photo was deleted meanwhile")


async def _ids(connection: Any, query: str, *arguments: Any) -> list[UUID]:
    return [row["id"] for row in await connection.fetch(_sql(query), *arguments)]


async def _replace_asset_ocr(
    connection: Any, shape: Shape, asset_id: UUID, lines: Sequence[OcrLine]
) -> tuple[str, ...]:
    before = tuple(row["text"] for row in await connection.fetch(_sql("ocr_lines"), asset_id))
    await connection.execute(_sql("ocr_delete"), asset_id)
    if lines:
        corners = [[line.box[corner] for line in lines] for corner in range(8)]
        scores = [[line.box_score for line in lines], [line.text_score for line in lines]]
        await connection.execute(_sql("ocr_insert"), asset_id, *corners, *scores, [line.text for line in lines])
    if shape.has_ocr_search and lines:
        await connection.execute(_sql("ocr_search_upsert"), asset_id, search_text(line.text for line in lines))
    elif shape.has_ocr_search:
        await connection.execute(_sql("ocr_search_delete"), asset_id)
    return before


async def _replace_ocr_info(
    connection: Any, asset_id: UUID, lines: Sequence[OcrLine], size: tuple[int, int]
) -> tuple[str, ...]:
    before = await connection.fetchval(_sql("ocr_info_text"), asset_id)
    text = " ".join(line.text for line in lines)
    await connection.execute(_sql("ocr_info_upsert"), asset_id, text, json.dumps(_fork_json(lines, size)))
    return (before,) if before else ()


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
