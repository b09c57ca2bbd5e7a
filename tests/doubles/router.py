"""A router in this process, in front of in-process services."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from router.config import RouterSettings
from router.runtime import Router
from tests.doubles.services import Services
from tests.waiting import until

ALL = ("ocr_endpoints", "clip_endpoints", "face_endpoints")


def quiet_listeners(**immich_ml: Any) -> dict[str, Any]:
    """Immich's listener alone, on loopback and a free port."""
    return {
        "immich_ml": {"host": "127.0.0.1", "port": 0, **immich_ml},
        "mt_photos": {"enabled": False},
        "admin": {"enabled": False},
        "photos": {"enabled": False},
    }


@asynccontextmanager
async def running_router(settings: RouterSettings, config_file: Path | None = None) -> AsyncIterator[Router]:
    """A router for the length of the block."""
    router = Router(settings, config_file)
    await router.start()
    try:
        yield router
    finally:
        await router.stop()


class Front:
    """A router with a client in front and services behind."""

    def __init__(self, router: Router, services: Services, client: aiohttp.ClientSession) -> None:
        self.router = router
        self.services = services
        self.client = client

    @property
    def port(self) -> int:
        return self.router.listener("immich_ml").port

    async def predict(self, entries: str, image: bytes | None = b"photo", text: str | None = None) -> tuple[int, Any]:
        """The status and JSON of a prediction."""
        form = aiohttp.FormData()
        form.add_field("entries", entries)
        if image is not None:
            form.add_field("image", image, filename="blob")
        if text is not None:
            form.add_field("text", text)
        async with self.client.post("/predict", data=form) as reply:
            return reply.status, await reply.json()

    def count(self, name: str, **labels: str) -> float:
        return self.router.metrics.registry.get_sample_value(f"immich_mesh_{name}", labels) or 0.0


@asynccontextmanager
async def front(services: Services, config_file: Path | None = None, **settings: Any) -> AsyncIterator[Front]:
    """Router and client on these services."""
    shared: Mapping[str, Any] = {
        "listeners": quiet_listeners(),
        "drain_seconds": 1,
        **dict.fromkeys(ALL, services.address),
    }
    async with running_router(RouterSettings(**{**shared, **settings}), config_file) as router:
        await until(lambda: all(cluster.can_serve for cluster in router.clusters.clusters.values()))
        url = f"http://127.0.0.1:{router.listener('immich_ml').port}"
        async with aiohttp.ClientSession(url) as client:
            yield Front(router, services, client)
