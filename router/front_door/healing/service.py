"""Self-healing as a part of the router: its connections to Immich and the database, opened and closed with it."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog
from aiohttp import ClientSession, DummyCookieJar
from prometheus_client import CollectorRegistry

from router.config.front_door import FrontDoorSettings
from router.config.healing import HealingSettings
from router.front_door.healing.coordination import Coordination, FileCoordination, NoCoordination
from router.front_door.healing.healer import Healer
from router.front_door.healing.metrics import HealingMetrics
from router.front_door.healing.postgres_coordination import PostgresCoordination
from router.front_door.healing.queues import ImmichQueues
from router.front_door.healing.status import HealingStatus
from router.front_door.immich.api import ImmichApi
from sql.healing import HealingRepository

log = structlog.get_logger()


def why_off(photos: FrontDoorSettings, settings: HealingSettings) -> str:
    """Why nothing is healed, and what to set; empty when it is."""
    if not settings.enabled:
        return "switched off (ROUTER_HEALING__ENABLED)"
    if not photos.immich_url:
        return "Immich's address is not known: set IMMICH_URL"
    if settings.api_key is None:
        return "there is no API key of an administrator: set ROUTER_HEALING__API_KEY"
    return ""


class Healing:
    """One router's self-healing. `off` says why there is none; `queues` are Immich's, None where no key opens them.

    Args:
        photos: where Immich and its database are.
        settings: when and how gently.
        failures: photos of Immich's that were answered an error so far.
        can_serve: whether photos can be recognised now.
        registry: where its metrics go.
    """

    def __init__(
        self,
        photos: FrontDoorSettings,
        settings: HealingSettings,
        failures: Callable[[], float],
        can_serve: Callable[[], bool],
        registry: CollectorRegistry,
    ) -> None:
        self.off = why_off(photos, settings)
        self._photos = photos
        self._settings = settings
        self._failures = failures
        self._can_serve = can_serve
        self._metrics = HealingMetrics(registry)
        self.queues: ImmichQueues | None = None
        self._healer: Healer | None = None
        self._task: asyncio.Task[None] | None = None
        self._resources = AsyncExitStack()

    @property
    def status(self) -> HealingStatus | None:
        """What the healer does; None while there is none."""
        return self._healer.status if self._healer else None

    async def start(self) -> None:
        """Opens the way to Immich's queues, and begins to watch unless that is off."""
        if not self._photos.immich_url or self._settings.api_key is None:
            return
        session = await self._resources.enter_async_context(ClientSession(cookie_jar=DummyCookieJar()))
        api = ImmichApi(session, self._photos.immich_url, timeout_seconds=self._photos.api_timeout_seconds)
        self.queues = ImmichQueues(api, self._settings.api_key.get_secret_value())
        if self.off:
            return
        lost_text = None
        if self._photos.database.url is not None:
            lost_text = await self._resources.enter_async_context(HealingRepository(self._photos.database))
        self._healer = Healer(
            self.queues,
            self._coordination(),
            lost_text,
            self._failures,
            self._can_serve,
            self._metrics,
            self._settings,
        )
        self._task = asyncio.create_task(self._healer.run())
        self._task.add_done_callback(_log_failure)

    async def stop(self) -> None:
        """A planned stop, before the listeners close: the last router pauses Immich's queues."""
        if self._task is not None and self._healer is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._healer.stop()
            self._task = None
        self.queues = None
        await self._resources.aclose()

    def _coordination(self) -> Coordination:
        if self._photos.database.url is not None:
            return PostgresCoordination(self._photos.database)
        if self._settings.state_folder is not None:
            return FileCoordination(self._settings.state_folder)
        return NoCoordination()


def _log_failure(task: "asyncio.Task[None]") -> None:
    """A fault of the healer's own ends healing, not the router; it is told where somebody looks."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("healing ended", exc_info=error)
