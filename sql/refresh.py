"""One photo's AI data replaced in Immich's tables, in exactly the rows that Immich itself would write, and the list of
photos whose data Immich lost.

Each replacement is one transaction, so that a reader sees the old data or the new, never a mixture, and a photo deleted
meanwhile stays deleted.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import asyncpg
import structlog

from mesh.core.errors import DimensionMismatchError, InvalidInputError, MeshError, UnavailableError
from sql.database import Database, Work
from sql.search.ocr_tokens import search_text
from sql.settings import DatabaseSettings

log = structlog.get_logger()

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


EMBEDDING = """
SELECT nullif(atttypmod, -1) AS dimension FROM pg_attribute
WHERE attrelid = to_regclass('public.smart_search') AND attname = 'embedding' AND NOT attisdropped
"""


class MissingReason(StrEnum):
    """Why a photo lacks what it lacks."""

    NEVER = "never"
    """It was never made."""
    LOST = "lost"
    """It was there until a forced run, which was lost."""
    NOTHING_FOUND = "nothing_found"
    """It was read once and holds no text, unless a forced run before schema `mesh` was lost."""
    NO_PREVIEW = "no_preview"
    """Immich has no preview of it: there is nothing to make it from."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What one photo lacks: `text`, `vector` or `faces`."""

    kind: str
    photo: UUID
    reason: MissingReason


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
            stored = json.loads(await connection.fetchval("SELECT mesh.ml_settings()") or "{}")
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

        texts = [line.text for line in lines]

        async def work(connection: Any) -> TextChange:
            before = await connection.fetchval(
                "SELECT mesh.replace_text($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                asset_id,
                at,
                [corner for line in lines for corner in line.box],
                [line.box_score for line in lines],
                [line.text_score for line in lines],
                texts,
                search_text(texts),
                json.dumps(_fork_json(lines, size)),
                " ".join(texts),
            )
            visible = await connection.fetchval("SELECT mesh.hide_cropped($1)", asset_id)
            if visible is not None:
                await connection.execute("SELECT mesh.replace_tokens($1, $2)", asset_id, search_text(visible))
            return TextChange(tuple(before), tuple(texts))

        return await self._write(work)

    async def replace_embedding(self, asset_id: UUID, embedding: Sequence[float]) -> None:
        """Replaces the photo's CLIP vector.

        Raises:
            DimensionMismatchError: the column holds vectors of another length.
            PhotoGoneError: it was deleted.
        """

        async def work(connection: Any) -> None:
            column = await connection.fetchrow(EMBEDDING)
            if column is None:
                raise UnavailableError("This database has no table smart_search: is it Immich's?")
            if column["dimension"] not in (None, len(embedding)):
                raise DimensionMismatchError(
                    f"the model gives {len(embedding)} numbers, Immich's column holds {column['dimension']}: "
                    "choose a CLIP model of that dimension, or change the model in Immich's settings first"
                )
            literal = "[" + ",".join(map(repr, map(float, embedding))) + "]"
            await connection.execute("SELECT mesh.replace_embedding($1, $2)", asset_id, literal)

        await self._write(work)

    async def vector_length(self, asset_id: UUID) -> int | None:
        """How many numbers the photo's CLIP vector has; None when it has none."""

        async def work(connection: Any) -> int | None:
            column = await connection.fetchrow(EMBEDDING)
            if column is None or column["dimension"] is None:
                return None
            length: int = column["dimension"]
            # Only photos that have a vector have a distance, to whichever other one.
            any_vector = "[" + ",".join(["1"] * length) + "]"
            found = await connection.fetch("SELECT asset_id FROM mesh.distances($1, $2)", any_vector, [asset_id])
            return length if found else None

        return await self._database.read(work)

    async def missing(self, owner_id: UUID) -> list[Missing]:
        """What this user's photos lack of what Immich never wrote or lost, in the order of kind and photo."""

        async def work(connection: Any) -> list[Missing]:
            rows = await connection.fetch("SELECT kind, photo, reason FROM mesh.missing($1)", owner_id)
            return [Missing(row["kind"], row["photo"], MissingReason(row["reason"])) for row in rows]

        return await self._database.read(work)

    async def faces_at(self, asset_id: UUID) -> datetime | None:
        """When Immich last looked for faces in the photo; None for never."""

        async def work(connection: Any) -> datetime | None:
            at: datetime | None = await connection.fetchval("SELECT mesh.faces_at($1)", asset_id)
            return at

        return await self._database.read(work)

    async def _write(self, work: Work[T]) -> T:
        async def permitted(connection: Any) -> T:
            try:
                return await work(connection)
            except (asyncpg.ForeignKeyViolationError, asyncpg.NoDataFoundError) as error:
                raise PhotoGoneError("the photo was deleted meanwhile") from error
            except asyncpg.InsufficientPrivilegeError as error:
                log.warning("database refuses a write", error=str(error))
                raise WriteRefusedError("the database role may not write: grant it what refreshing needs") from error

        return await self._database.write(permitted)


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
