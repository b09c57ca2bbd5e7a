"""The photo front door on a free port, before stand-ins for the database and the mesh's services."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from aiohttp import web
from prometheus_client import CollectorRegistry

from mesh.core.errors import MeshError
from router.config.front_door import FrontDoorSettings
from router.front_door.metrics import FrontDoorMetrics
from router.front_door.recognition import OcrModel, ReadText
from router.listeners.front_door import application_of, open_front_door
from router.listeners.server.listener import SERVER_OPTIONS
from sql.filters import AssetFilters, Scope
from sql.refresh import Missing, MissingReason, OcrLine, TextChange
from sql.repository import NO_FILTERS
from sql.search.results import Explanation, Hit, Match, MatchedLine, SearchPage
from tests.doubles.immich import DoubleAsset, ImmichDouble
from tests.doubles.immich_library import MOMENT


class FakeSearch:
    """Ranked search over an Immich double's photos: longer texts last. `leaky` forgets the scope, as a bug would."""

    def __init__(self, immich: ImmichDouble) -> None:
        self.immich = immich
        self.leaky = False
        self.error: MeshError | None = None
        self.asked: list[tuple[str, str, Scope, AssetFilters, int, int]] = []

    async def search_text(
        self, query: str, scope: Scope, filters: AssetFilters = NO_FILTERS, limit: int = 100, offset: int = 0
    ) -> SearchPage:
        self.asked.append(("text", query, scope, filters, limit, offset))
        return self._page([asset for asset in self._in(scope) if query in asset.text], limit, offset)

    async def search_hybrid(
        self,
        query: str,
        embedding: Sequence[float],
        scope: Scope,
        filters: AssetFilters = NO_FILTERS,
        weights: Any = None,
        limit: int = 100,
        offset: int = 0,
    ) -> SearchPage:
        self.asked.append(("hybrid", query, scope, filters, limit, offset))
        return self._page(self._in(scope), limit, offset)

    async def explain(
        self, query: str, scope: Scope, asset_ids: Sequence[UUID], embedding: Any = None, weights: Any = None
    ) -> tuple[Explanation, ...]:
        box = (0.1, 0.1, 0.6, 0.1, 0.6, 0.2, 0.1, 0.2)
        return tuple(
            Explanation(
                Hit(asset_id, 1.0, Match.TEXT, 0.5),
                (MatchedLine(self.immich.assets[asset_id].text, box, 0.99),),
            )
            for asset_id in asset_ids
        )

    def _in(self, scope: Scope) -> list[DoubleAsset]:
        if self.error is not None:
            raise self.error
        seen = [
            asset
            for asset in self.immich.assets.values()
            if self.leaky
            or (
                (scope.owner_ids is None or asset.owner in scope.owner_ids)
                and asset.visibility in scope.visibilities
                and (scope.with_deleted or not asset.trashed)
            )
        ]
        return sorted(seen, key=lambda asset: (len(asset.text), str(asset.id)))

    @staticmethod
    def _page(assets: list[DoubleAsset], limit: int, offset: int) -> SearchPage:
        hits = tuple(Hit(asset.id, 1 / (1 + len(asset.text)), Match.TEXT, 0.5) for asset in assets)
        return SearchPage(hits[offset : offset + limit], has_more=len(hits) > offset + limit)


@dataclass
class FakeRefresh:
    """What would have been written."""

    texts: dict[UUID, tuple[OcrLine, ...]] = field(default_factory=dict)
    embeddings: dict[UUID, Sequence[float]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    written: asyncio.Event = field(default_factory=asyncio.Event)
    lost: dict[str, list[UUID]] = field(default_factory=lambda: {"ocr": [], "clip": []})
    faceless: set[UUID] = field(default_factory=set)
    reasons: dict[UUID, MissingReason] = field(default_factory=dict)

    async def ml_settings(self) -> Mapping[str, Any]:
        return self.settings

    async def replace_text(
        self, asset_id: UUID, lines: Sequence[OcrLine], size: tuple[int, int], at: datetime
    ) -> TextChange:
        before = tuple(line.text for line in self.texts.get(asset_id, ()))
        self.texts[asset_id] = tuple(lines)
        self._found("ocr", asset_id)
        self.written.set()
        return TextChange(before, tuple(line.text for line in lines))

    async def replace_embedding(self, asset_id: UUID, embedding: Sequence[float]) -> None:
        self.embeddings[asset_id] = embedding
        self._found("clip", asset_id)

    def _found(self, kind: str, asset_id: UUID) -> None:
        self.lost[kind] = [lost for lost in self.lost[kind] if lost != asset_id]

    async def vector_length(self, asset_id: UUID) -> int | None:
        return None if asset_id in self.lost["clip"] else len(self.embeddings.get(asset_id, range(512)))

    async def missing(self, owner_id: UUID) -> list[Missing]:
        found = {"text": self.lost["ocr"], "vector": self.lost["clip"], "faces": sorted(self.faceless)}
        never = MissingReason.NEVER
        return [Missing(kind, photo, self.reasons.get(photo, never)) for kind, ids in found.items() for photo in ids]

    async def faces_at(self, asset_id: UUID) -> datetime | None:
        return None if asset_id in self.faceless else MOMENT


@dataclass
class FakeMeshRecogniser:
    """The services: reads `lines` in every image, or what `says` finds, gives every text and image the same vector."""

    lines: tuple[str, ...] = ("发票号码 INVOICE",)
    says: Callable[[bytes], tuple[str, ...]] | None = None
    vector: tuple[float, ...] = (0.6, 0.8, 0.0)
    error: MeshError | None = None
    wait_for: asyncio.Event | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def read_text(self, image: bytes, model: OcrModel) -> ReadText:
        await self._work("read_text", model.name)
        lines = self.says(image) if self.says else self.lines
        box = (0.1, 0.1, 0.6, 0.1, 0.6, 0.2, 0.1, 0.2)
        return ReadText(tuple(OcrLine(text, box, 0.95, 0.99) for text in lines), 1440, 1920)

    async def embed_image(self, image: bytes, model: str) -> Sequence[float]:
        await self._work("embed_image", model)
        return self.vector

    async def embed_text(self, text: str, model: str, language: str) -> Sequence[float]:
        await self._work("embed_text", model)
        return self.vector

    async def _work(self, call: str, model: str) -> None:
        self.asked.append((call, model))
        if self.wait_for is not None:
            await self.wait_for.wait()
        if self.error is not None:
            raise self.error


@dataclass
class OpenDoor:
    """A running front door and everything around it."""

    url: str
    immich: ImmichDouble
    search: FakeSearch | None
    refresh: FakeRefresh | None
    mesh: FakeMeshRecogniser | None
    registry: CollectorRegistry


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """An application on a free port, run as the router runs the front door. Gives its URL."""
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True, access_log=None, **app[SERVER_OPTIONS])
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def open_door(
    immich: ImmichDouble,
    *,
    database: bool = True,
    mesh: bool = True,
    **settings: Any,
) -> AsyncIterator[OpenDoor]:
    """A front door before a running double."""
    search = FakeSearch(immich) if database else None
    refresh = FakeRefresh() if database else None
    services = FakeMeshRecogniser() if mesh else None
    registry = CollectorRegistry()
    chosen = FrontDoorSettings(immich_url=immich.url, **settings)
    app = application_of(lambda: open_front_door(chosen, services, search, refresh, FrontDoorMetrics(registry)))  # type: ignore[arg-type]
    async with served(app) as url:
        yield OpenDoor(url, immich, search, refresh, services, registry)
