"""One photo's text or vector regenerated: its preview fetched from Immich, recognised by the mesh, written as Immich
would write it.

Rights are Immich's: the caller's own credentials fetch the photo, and only its owner may refresh it, with a key that
may start jobs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

import structlog

from mesh.core.errors import InvalidInputError, MeshError
from router.front_door.errors import ImmichAwayError
from router.front_door.immich.api import ImmichApi
from router.front_door.immich.credentials import Credentials
from router.front_door.immich.rights import demand
from router.front_door.immich.schemas import ASSET, USER
from router.front_door.metrics import FrontDoorMetrics
from router.front_door.recognition import ImmichModels, OcrModel, ReadText, Recogniser, wants_faces
from router.front_door.refresh.joining import joined
from sql.refresh import Missing, RefreshRepository, TextChange

log = structlog.get_logger()

SUFFICIENT = frozenset({"all", "job.create", "asset.update"})
"""Permissions of an API key, any of which is enough to start a job on a photo, across Immich's versions."""


AT_A_TIME = 16
"""Photos whose owner is asked for together."""


class RefreshKind(StrEnum):
    """What is regenerated; the values are the asset jobs' names."""

    OCR = "refresh-ocr"
    CLIP = "refresh-smart-search"


class NotEditableError(Exception):
    """Immich would not let this caller edit (all of) these photos."""


class KeyLacksPermissionError(Exception):
    """The caller's API key may not do this. `permission` names what it lacks."""

    def __init__(self, permission: str) -> None:
        super().__init__(permission)
        self.permission = permission


@dataclass(frozen=True)
class Refreshed:
    """What one refresh changed.

    Attributes:
        text: the photo's lines before and after; None when text was not asked for.
        embedding_length: numbers of the new vector; None when it was not asked for.
    """

    text: TextChange | None = None
    embedding_length: int | None = None


@dataclass(frozen=True)
class PhotoState:
    """What is known of a photo's AI data.

    Attributes:
        mine: whether it is the caller's own, who alone may refresh it.
        vector_length: numbers of its vector; None when it has none.
        clip_model: the model that Immich is set to; which model made a vector is written nowhere.
        faces_at: when Immich last looked for faces in it; None for never.
    """

    mine: bool
    vector_length: int | None
    clip_model: str
    faces_at: datetime | None


class Refresher:
    """Refreshes photos, a bounded number at a time so that indexing and searching go on.

    Args:
        api: Immich's API.
        repository: Immich's database, with a role that may write the AI tables.
        recogniser: the mesh.
        metrics: counts what became of each photo.
        clip_model, ocr_model: names to use in place of those that Immich stores; empty to read them there.
        concurrency: photos at a time.
        now: the clock that `ocrAt` is taken from.
    """

    def __init__(
        self,
        api: ImmichApi,
        repository: RefreshRepository,
        recogniser: Recogniser,
        metrics: FrontDoorMetrics,
        *,
        clip_model: str = "",
        ocr_model: str = "",
        concurrency: int = 2,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._repository = repository
        self._recogniser = recogniser
        self._metrics = metrics
        self._names = {"clip": clip_model, "ocr": ocr_model}
        self._gate = asyncio.Semaphore(concurrency)
        self._now = now

    async def owner(self, credentials: Credentials) -> UUID:
        """The caller, who must be allowed to start jobs.

        Raises:
            RefusedByImmichError: the credentials are wrong.
            KeyLacksPermissionError: the API key is not made for this.
        """
        me = await self._api.me(credentials)
        if me.status == 403 and credentials.by_key:
            raise KeyLacksPermissionError("user.read")
        demand(me)
        if credentials.by_key:
            permissions = await self._api.key_permissions(credentials)
            if permissions is not None and not permissions & SUFFICIENT:
                raise KeyLacksPermissionError("job.create")
        return me.read(USER).id

    async def editable(self, asset_ids: Sequence[UUID], credentials: Credentials) -> dict[UUID, str]:
        """The names of these photos, every one of which the caller may edit.

        Asks a few at a time and stops at the first that may not be: a call full of made-up ids is no work for Immich.

        Raises:
            NotEditableError: the caller may not edit all of them.
            RefusedByImmichError, KeyLacksPermissionError: see `owner`.
        """
        owner = await self.owner(credentials)
        names: dict[UUID, str] = {}
        start, step = 0, 1
        while start < len(asset_ids):
            asked = [str(asset_id) for asset_id in asset_ids[start : start + step]]
            for reply in await self._api.assets(asked, credentials):
                if reply.refused and reply.status != 429:
                    raise NotEditableError
                demand(reply)
                asset = reply.read(ASSET)
                if asset.owner_id != owner:
                    raise NotEditableError
                names[asset.id] = asset.name
            start, step = start + step, AT_A_TIME
        return names

    async def refresh(self, asset_id: UUID, kinds: frozenset[RefreshKind], credentials: Credentials) -> Refreshed:
        """Regenerates one photo that `editable` has let through.

        Raises:
            InvalidInputError: it has no preview, is no image, or was deleted.
            MeshError: recognition or the database failed; nothing was changed for the kind that failed.
        """
        with self._counted():
            return await self._refresh(asset_id, kinds, credentials)

    async def refresh_video(
        self, asset_id: UUID, pictures: AsyncIterator[bytes], credentials: Credentials
    ) -> Refreshed:
        """Regenerates the text of one video that `editable` has let through, from its preview and these pictures of it.

        Raises as `refresh` does, and what `pictures` raises.
        """
        with self._counted():
            return await self._refresh_video(asset_id, pictures, credentials)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Counts what became of one photo or video in the block."""
        try:
            yield
        except MeshError:
            self._metrics.refreshed("failed")
            raise
        self._metrics.refreshed("ok")

    async def _refresh_video(
        self, asset_id: UUID, pictures: AsyncIterator[bytes], credentials: Credentials
    ) -> Refreshed:
        preview = await self._preview(asset_id, credentials)
        model = ImmichModels.of(await self._repository.ml_settings(), **self._names).ocr
        first = await self._read(preview, model)
        others = [await self._read(picture, model) async for picture in pictures]
        lines = await asyncio.to_thread(joined, [read.lines for read in (first, *others)])
        text = await self._repository.replace_text(asset_id, lines, (first.width, first.height), self._now())
        log.info("video refreshed", asset_id=str(asset_id), pictures=1 + len(others), lines=len(lines))
        return Refreshed(text)

    async def _read(self, image: bytes, model: OcrModel) -> ReadText:
        """What one picture says. Other refreshes have their turn between two of a video, and while one arrives."""
        async with self._gate:
            return await self._recogniser.read_text(image, model)

    def failed_late(self) -> None:
        """Counts a photo that failed after its call had been answered."""
        self._metrics.refreshed("failed_late")

    async def _refresh(self, asset_id: UUID, kinds: frozenset[RefreshKind], credentials: Credentials) -> Refreshed:
        async with self._gate:
            image = await self._preview(asset_id, credentials)
            models = ImmichModels.of(await self._repository.ml_settings(), **self._names)
            text, length = None, None
            if RefreshKind.OCR in kinds:
                read = await self._recogniser.read_text(image, models.ocr)
                size = (read.width, read.height)
                text = await self._repository.replace_text(asset_id, read.lines, size, self._now())
            if RefreshKind.CLIP in kinds:
                embedding = await self._recogniser.embed_image(image, models.clip)
                await self._repository.replace_embedding(asset_id, embedding)
                length = len(embedding)
        log.info("photo refreshed", asset_id=str(asset_id), kinds=sorted(map(str, kinds)))
        return Refreshed(text, length)

    async def state(self, asset_id: UUID, credentials: Credentials) -> PhotoState:
        """What is known of a photo that the caller may see, be it another's.

        Raises RefusedByImmichError, ImmichAwayError, and MeshError of the database.
        """
        me, asset = await asyncio.gather(self._api.me(credentials), self._api.asset(str(asset_id), credentials))
        for reply in (me, asset):
            demand(reply)
        models = ImmichModels.of(await self._repository.ml_settings(), **self._names)
        length = await self._repository.vector_length(asset_id)
        mine = asset.read(ASSET).owner_id == me.read(USER).id
        return PhotoState(mine, length, models.clip, await self._repository.faces_at(asset_id))

    async def missing(self, credentials: Credentials) -> list[Missing]:
        """What the caller's photos lack; no faces where an administrator has Immich look for none."""
        owner = await self.owner(credentials)
        faces = wants_faces(await self._repository.ml_settings())
        return [one for one in await self._repository.missing(owner) if faces or one.kind != "faces"]

    async def _preview(self, asset_id: UUID, credentials: Credentials) -> bytes:
        reply = await self._api.preview(str(asset_id), credentials)
        if reply.status == 404:
            raise InvalidInputError(
                "Immich has no preview of it: the file is damaged, or its thumbnail is yet to be generated"
            )
        if reply.status == 403:
            raise InvalidInputError("Immich refuses its preview: the API key needs asset.view")
        if not reply.ok:
            raise ImmichAwayError(f"Immich answered {reply.status} when asked for its preview")
        return reply.body
