"""Looks at Immich and its database every minute, keeps what was found, and says in the log what changed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import structlog
from aiohttp import ClientSession, DummyCookieJar
from prometheus_client import CollectorRegistry

from router.config.front_door import FrontDoorSettings
from router.front_door.health.check import Check
from router.front_door.health.database import DatabaseHealth
from router.front_door.health.fallbacks import Fallbacks
from router.front_door.health.immich import all_checks, probing
from router.front_door.immich.api import ImmichApi
from sql.database import Database

log = structlog.get_logger()

LOOK_SECONDS = 60.0


class ImmichMonitor:
    """The part of a router that knows how Immich is; without an address of Immich's it knows nothing.

    Args:
        photos: where Immich and its database are.
        api_key: an administrator's key; None leaves out what only an administrator may see.
        served_model: the CLIP model that answers every name of its dimension.
        registry: where the front door counts its searches.
    """

    def __init__(
        self,
        photos: FrontDoorSettings,
        api_key: str | None,
        served_model: str,
        registry: CollectorRegistry,
        *,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._photos = photos
        self._api_key = api_key
        self._served_model = served_model
        self._fallbacks = Fallbacks(registry)
        self._sleep = sleep
        self._resources = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self.checks: Sequence[Check] = ()
        self.looked_at: datetime | None = None

    async def start(self) -> None:
        """Begins to look, where there is an Immich to look at."""
        if not self._photos.immich_url:
            return
        session = await self._resources.enter_async_context(ClientSession(cookie_jar=DummyCookieJar()))
        database = None
        if self._photos.database.url is not None:
            settings = self._photos.database.model_copy(update={"pool_size": 1, "statement_timeout_ms": 30_000})
            database = await self._resources.enter_async_context(Database(settings))
        self._task = asyncio.create_task(self._run(session, DatabaseHealth(database)))
        self._task.add_done_callback(_log_failure)

    async def stop(self) -> None:
        """Ends looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._resources.aclose()

    async def _run(self, session: ClientSession, database: DatabaseHealth) -> None:
        api = ImmichApi(session, self._photos.immich_url, timeout_seconds=self._photos.api_timeout_seconds)
        while True:
            of_database, column = await database.look()
            of_immich = await all_checks(api, self._api_key, probing(session), self._served_model, column)
            self._keep([*of_immich, *of_database, self._fallbacks.look()])
            await self._sleep(LOOK_SECONDS)

    def _keep(self, checks: Sequence[Check]) -> None:
        before = {(check.subject, check.remedy) for check in self.checks if check.ok is False}
        for check in checks:
            if check.ok is False and (check.subject, check.remedy) not in before:
                log.warning("check of Immich failed", subject=check.subject, seen=check.text, remedy=check.remedy)
        after = {check.subject for check in checks if check.ok is False}
        for subject in sorted({subject for subject, _ in before} - after):
            log.info("check of Immich well again", subject=subject)
        self.checks, self.looked_at = tuple(checks), datetime.now(UTC)


def _log_failure(task: "asyncio.Task[None]") -> None:
    """A fault of the monitor's own ends looking, not the router; it is told where somebody looks."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("monitor of Immich ended", exc_info=error)
