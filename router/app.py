"""The router: its configuration, the mesh behind it, and its listeners in front."""

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIServer

import structlog
from aiohttp import web
from prometheus_client import start_http_server

from mesh.core.logs import set_level
from router.config import ListenerSettings, RouterSettings
from router.config.file import ConfigError, config_dump, load
from router.dispatch.fan_out import fan_out
from router.dispatch.mesh import Mesh
from router.domain.requests import PredictRequest
from router.domain.results import Result
from router.gateway.refresh.mesh_recogniser import MeshRecogniser
from router.listeners.access import AccessLog
from router.listeners.admin import Admin
from router.listeners.http import HttpListener, ListenerContext
from router.listeners.immich_ml import ImmichMl
from router.listeners.mt_photos import MtPhotos
from router.listeners.photos import photos_application
from router.listeners.recent import RecentRequests
from router.metrics import RouterMetrics

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What came of the last reload. `problems` is empty when it succeeded."""

    at: datetime
    problems: tuple[str, ...]
    restart_needed: tuple[str, ...] = ()


class Router:
    """One router process.

    Args:
        settings: the configuration to start with.
        config_file: where a reload reads from; None when there is no file.
    """

    def __init__(self, settings: RouterSettings, config_file: Path | None = None) -> None:
        self.settings = settings
        self.config_file = config_file
        self.metrics = RouterMetrics()
        self.recent = RecentRequests()
        self.access_log = AccessLog(settings.log_format)
        self.access_log.enabled = settings.access_log
        self.mesh = Mesh(self.metrics)
        self.draining = False
        self.started_at = datetime.now(UTC)
        self.last_reload: ReloadReport | None = None
        self.listeners: list[HttpListener] = []
        self._metrics_server: WSGIServer | None = None

    @property
    def can_serve(self) -> bool:
        """Whether any cluster could answer anything."""
        return self.mesh.can_serve

    @property
    def ready(self) -> bool:
        """Whether this router should be sent requests."""
        return not self.draining and (self.can_serve or self._is_front_door_alone)

    @property
    def _is_front_door_alone(self) -> bool:
        """Whether only the photo front door is open, which passes Immich's traffic on whatever the clusters do."""
        listeners = self.settings.listeners
        recognises = listeners.immich_ml.enabled or (listeners.mt_photos.enabled and listeners.mt_photos.api_key)
        return bool(listeners.photos.enabled and listeners.photos.immich_url and not recognises)

    async def start(self) -> None:
        """Connects to the clusters and opens the listeners. Raises OSError: a port is taken, a file is missing."""
        await self.mesh.apply(self.settings)
        try:
            self._open_metrics()
            for name, settings, app in self._applications():
                listener = HttpListener(self._context(name, settings), app)
                await listener.start()
                self.listeners.append(listener)
                log.info("listening", listener=name, address=listener.address)
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Drains: no new connections, requests in flight finish, then everything is closed."""
        self.drain()
        for listener in self.listeners:
            listener.close_socket()
        await asyncio.gather(*(listener.stop() for listener in self.listeners))
        self.listeners.clear()
        await self.mesh.close()
        if self._metrics_server is not None:
            self._metrics_server.shutdown()
            self._metrics_server.server_close()

    def drain(self) -> None:
        """From now on `/ping` says 503 and connections are closed after their answer; requests are still answered."""
        self.draining = True
        self.metrics.draining.set(1)

    async def predict(self, request: PredictRequest) -> list[Result]:
        """The answers to the request's tasks, in their order. Raises MeshError."""
        return await fan_out(self.mesh, request)

    async def reload(self) -> ReloadReport:
        """Reads the file again. A bad one changes nothing and is reported."""
        problems: Sequence[str] = ()
        restart: tuple[str, ...] = ()
        try:
            settings = await asyncio.to_thread(load, self.config_file)
            await self.mesh.apply(settings)
            restart = tuple(_fixed_changes(self.settings, settings))
            self.settings = settings
            self.access_log.enabled = settings.access_log
            set_level(settings.log_level)
        except ConfigError as error:
            problems = error.problems
        except OSError as error:
            problems = [str(error)]
        report = self.last_reload = ReloadReport(datetime.now(UTC), tuple(problems), restart)
        self.metrics.reloads.labels("failed" if problems else "ok").inc()
        if problems:
            log.error("configuration not reloaded, the old one stays", problems=list(problems))
        else:
            log.info("configuration reloaded", restart_needed=list(restart))
        return report

    def config_dump(self) -> dict[str, Any]:
        """The configuration in use, secrets masked."""
        return config_dump(self.settings)

    def listener(self, name: str) -> HttpListener:
        """The open listener of that name. Raises KeyError."""
        return next((found for found in self.listeners if found.name == name), None) or _missing(name)

    def _open_metrics(self) -> None:
        """Prometheus' own port, for clusters where the admin listener stays private. Raises OSError."""
        if self.settings.metrics_port is not None:
            address = self.settings.metrics_host
            self._metrics_server, _ = start_http_server(self.settings.metrics_port, address, self.metrics.registry)

    def _applications(self) -> list[tuple[str, ListenerSettings, web.Application]]:
        listeners = self.settings.listeners
        found: list[tuple[str, ListenerSettings, web.Application]] = []
        if listeners.immich_ml.enabled:
            app = ImmichMl(self, listeners.immich_ml).application()
            found.append(("immich_ml", listeners.immich_ml, app))
        if listeners.mt_photos.enabled and listeners.mt_photos.api_key:
            app = MtPhotos(self, listeners.mt_photos).application()
            found.append(("mt_photos", listeners.mt_photos, app))
        if listeners.admin.enabled:
            app = Admin(self, listeners.admin).application()
            found.append(("admin", listeners.admin, app))
        if listeners.photos.enabled and listeners.photos.immich_url:
            app = photos_application(listeners.photos, MeshRecogniser(self.predict), self.metrics.registry)
            found.append(("photos", listeners.photos, app))
        return found

    def _context(self, name: str, settings: ListenerSettings) -> ListenerContext:
        return ListenerContext(
            name=name,
            settings=settings,
            metrics=self.metrics,
            drain_seconds=self.settings.drain_seconds,
            draining=lambda: self.draining,
            access_log=self.access_log,
            recent=self.recent,
        )


def _missing(name: str) -> HttpListener:
    raise KeyError(name)


# What a reload cannot change while sockets are open.
_FIXED = ("listeners", "metrics_host", "metrics_port", "log_format")


def _fixed_changes(old: RouterSettings, new: RouterSettings) -> list[str]:
    return [name for name in _FIXED if getattr(old, name) != getattr(new, name)]


async def serve(router: Router) -> None:
    """Runs until SIGTERM or SIGINT; reloads on SIGHUP or when the file changes. Raises OSError when it cannot start."""
    loop = asyncio.get_running_loop()
    stop, reload = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    await router.start()
    tasks = [asyncio.create_task(_reload_when(router, reload)), asyncio.create_task(_watch(router, reload))]
    try:
        await stop.wait()
        log.info("stopping: requests in flight may finish", seconds=router.settings.drain_seconds)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await router.stop()


async def _reload_when(router: Router, reload: asyncio.Event) -> None:
    while True:
        await reload.wait()
        reload.clear()
        await router.reload()


async def _watch(router: Router, reload: asyncio.Event) -> None:
    """Looks at the file now and then: a ConfigMap changes by a new link, which no file watcher of one inode sees."""
    if router.config_file is None:
        return
    seen = _fingerprint(router.config_file)
    while True:
        await asyncio.sleep(router.settings.reload_interval_seconds)
        now = await asyncio.to_thread(_fingerprint, router.config_file)
        if now != seen:
            seen = now
            reload.set()


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
