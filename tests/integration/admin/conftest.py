"""A whole router on free ports, before one double of all services."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from router.config import AdminListener, ImmichMlListener, ListenersSettings, MtPhotosListener, RouterSettings
from router.config.healing import HealingSettings
from router.runtime import Router
from tests.doubles.immich import ImmichDouble
from tests.doubles.mesh_service import MeshService, serving
from tests.waiting import until

HOSTILE_URL = "<img src=x onerror=document.title='broken'>"


@dataclass
class AdminStage:
    """The running router, its service, and a client of its admin API."""

    router: Router
    service: MeshService
    admin: aiohttp.ClientSession
    url: str


async def until_ready(router: Router) -> None:
    """Waits for the first health check of every endpoint."""
    await until(lambda: all(cluster.can_serve for cluster in router.clusters.clusters.values()))


@pytest.fixture
def configure(tmp_path: Path) -> Callable[[str], RouterSettings]:
    """The settings of a router whose three clusters are at one address."""

    def make(address: str) -> RouterSettings:
        listeners = ListenersSettings(
            immich_ml=ImmichMlListener(host="127.0.0.1", port=0),
            mt_photos=MtPhotosListener(host="127.0.0.1", port=0, api_key=SecretStr("mt-secret")),
            admin=AdminListener(port=0, names=("mesh.example",)),
        )
        return RouterSettings(
            listeners=listeners,
            ocr_endpoints=(address,),
            clip_endpoints=(address,),
            face_endpoints=(address,),
            auth_token=SecretStr("token-secret"),
            immich_api="",
        )

    return make


@pytest.fixture
async def stage(configure: Callable[[str], RouterSettings]) -> AsyncIterator[AdminStage]:
    service = MeshService()
    async with serving(service) as address:
        router = Router(configure(address))
        await router.start()
        try:
            await until_ready(router)
            url = f"http://{router.listener('admin').address}"
            async with aiohttp.ClientSession(url) as client:
                yield AdminStage(router, service, client, url)
        finally:
            await router.stop()


@pytest.fixture
def immich_urls() -> list[str]:
    """The machine-learning URLs in Immich's settings: one with markup in it."""
    return [HOSTILE_URL]


@pytest.fixture
async def connected(
    configure: Callable[[str], RouterSettings], immich_urls: list[str]
) -> AsyncIterator[tuple[AdminStage, ImmichDouble]]:
    """A router that knows where Immich is, with an administrator's key."""
    immich, service = ImmichDouble((3, 0, 3)), MeshService()
    immich.user("admin", "admin-key").admin = True
    immich.ml["urls"] = immich_urls
    async with immich.running(), serving(service) as address:
        settings = configure(address)
        photos = settings.listeners.photos.model_copy(update={"immich_url": immich.url, "host": "127.0.0.1", "port": 0})
        listeners = settings.listeners.model_copy(update={"photos": photos})
        healing = HealingSettings(api_key=SecretStr("admin-key"), pause_on_stop=False)
        router = Router(settings.model_copy(update={"listeners": listeners, "healing": healing}))
        await router.start()
        try:
            await until_ready(router)
            url = f"http://{router.listener('admin').address}"
            async with aiohttp.ClientSession(url) as client:
                yield AdminStage(router, service, client, url), immich
        finally:
            await router.stop()
