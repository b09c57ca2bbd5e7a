"""The composition root: one router process from its settings, opened and closed as a whole.

Nothing below knows this module: listeners are given the function `predict`, a status to read, and what they may set
going.
"""

import asyncio
import random
from pathlib import Path
from wsgiref.simple_server import WSGIServer

import structlog
from aiohttp import web
from prometheus_client import start_http_server

from router.config import ListenerSettings, RouterSettings
from router.dispatch.cluster_manager import ClusterManager, Opener
from router.dispatch.dispatcher import Dispatcher
from router.front_door.healing.service import Healing
from router.front_door.health.monitor import ImmichMonitor
from router.front_door.refresh.mesh_recogniser import MeshRecogniser
from router.listeners.admin.application import Admin, AdminContext
from router.listeners.immich_ml import ImmichMl
from router.listeners.mt_photos import MtPhotos
from router.listeners.server.access import AccessLog
from router.listeners.server.listener import HttpListener, ListenerContext
from router.listeners.server.recent import RecentRequests
from router.listeners.status import RouterStatus
from router.metrics import RouterMetrics
from router.reload import Reloader
from router.upstream.timing import LoopTiming
from router.upstream.transports import transport_opener

log = structlog.get_logger()


class Router:
    """The parts of one router.

    Args:
        settings: the configuration to start with.
        config_file: where a reload reads from; None when there is no file.
        opener: how to connect to a cluster; the seam to gRPC and HTTP.
    """

    def __init__(
        self, settings: RouterSettings, config_file: Path | None = None, opener: Opener = transport_opener
    ) -> None:
        timing, rng = LoopTiming(), random.Random()  # noqa: S311 - spreads load, guards nothing
        self.metrics = RouterMetrics()
        self.recent = RecentRequests()
        self.access_log = AccessLog(settings.log_format)
        self.access_log.enabled = settings.access_log
        self.clusters = ClusterManager(self.metrics, timing, rng, opener)
        self.dispatcher = Dispatcher(self.clusters, self.metrics, timing, rng)
        self.status = RouterStatus(settings, config_file, self.clusters)
        self.reloader = Reloader(self.status, self.clusters, self.access_log, self.metrics)
        self.healing = Healing(
            settings.listeners.photos,
            settings.healing,
            self.metrics.failed_photos,
            lambda: self.clusters.can_serve,
            self.metrics.registry,
        )
        self.immich = ImmichMonitor(
            settings.listeners.photos,
            settings.healing.api_key.get_secret_value() if settings.healing.api_key else None,
            settings.clip_model,
            self.metrics.registry,
        )
        self.listeners: list[HttpListener] = []
        self._metrics_server: WSGIServer | None = None

    async def start(self) -> None:
        """Connects to the clusters and opens the listeners. Raises OSError: a port is taken, a file is missing."""
        await self.clusters.apply(self.status.settings)
        try:
            self._open_metrics()
            for name, settings, app in self.applications():
                listener = HttpListener(self._context(name, settings), app)
                await listener.start()
                self.listeners.append(listener)
                log.info("listening", listener=name, address=listener.address)
            await self.healing.start()
            await self.immich.start()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Drains: Immich's queues wait, no new connections, requests in flight finish, then everything is closed."""
        await self.healing.stop()
        await self.immich.stop()
        self.drain()
        for listener in self.listeners:
            listener.close_socket()
        await asyncio.gather(*(listener.stop() for listener in self.listeners))
        self.listeners.clear()
        await self.dispatcher.close()
        await self.clusters.close()
        if self._metrics_server is not None:
            self._metrics_server.shutdown()
            self._metrics_server.server_close()

    def drain(self) -> None:
        """From now on `/ping` says 503 and connections are closed after their answer; requests are still answered."""
        self.status.draining = True
        self.metrics.draining.set(1)

    def listener(self, name: str) -> HttpListener:
        """The open listener of that name. Raises KeyError."""
        for listener in self.listeners:
            if listener.name == name:
                return listener
        raise KeyError(name)

    def applications(self) -> list[tuple[str, ListenerSettings, web.Application]]:
        """The listeners that the settings open: name, settings, handlers."""
        listeners, predict = self.status.settings.listeners, self.dispatcher.predict
        found: list[tuple[str, ListenerSettings, web.Application]] = []
        if listeners.immich_ml.enabled:
            app = ImmichMl(predict, self.status, listeners.immich_ml).application()
            found.append(("immich_ml", listeners.immich_ml, app))
        if listeners.mt_photos.enabled and listeners.mt_photos.api_key:
            app = MtPhotos(predict, self.clusters.models, self.status, listeners.mt_photos).application()
            found.append(("mt_photos", listeners.mt_photos, app))
        if listeners.admin.enabled:
            found.append(("admin", listeners.admin, Admin(self._admin_context(), listeners.admin).application()))
        if listeners.photos.enabled and listeners.photos.immich_url:
            from router.listeners.front_door import front_door_application  # search and its database come with it

            app = front_door_application(listeners.photos, MeshRecogniser(predict), self.metrics.registry)
            found.append(("photos", listeners.photos, app))
        return found

    def _open_metrics(self) -> None:
        """Prometheus' own port, for clusters where the admin listener stays private. Raises OSError."""
        settings = self.status.settings
        if settings.metrics_port is not None:
            address = settings.metrics_host
            self._metrics_server, _ = start_http_server(settings.metrics_port, address, self.metrics.registry)

    def _admin_context(self) -> AdminContext:
        return AdminContext(
            status=self.status,
            clusters=self.clusters,
            listeners=self.listeners,
            recent=self.recent,
            registry=self.metrics.registry,
            predict=self.dispatcher.predict,
            drain=self.drain,
            reload=self.reloader.reload,
            immich=self.immich,
            healing=self.healing,
        )

    def _context(self, name: str, settings: ListenerSettings) -> ListenerContext:
        return ListenerContext(
            name=name,
            settings=settings,
            metrics=self.metrics,
            drain_seconds=self.status.settings.drain_seconds,
            draining=lambda: self.status.draining,
            access_log=self.access_log,
            recent=self.recent,
        )
