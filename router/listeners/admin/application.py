"""The admin page and API, with Envoy's paths where Envoy has them. No key: it listens on loopback or a pod's network.

What it shows never holds a secret or a payload. What it changes is asked for by POST, and only by its own page or by a
program (see `same_site`).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel, ConfigDict

from mesh.core import logs
from mesh.core.errors import InvalidInputError
from mesh.core.version import mesh_version
from router.config import AdminListener
from router.config.file import config_dump
from router.dispatch.cluster_manager import ClusterManager
from router.domain.requests import Predict
from router.front_door.healing.service import Healing
from router.front_door.health.monitor import ImmichMonitor
from router.listeners.admin.jobs import JobCalls
from router.listeners.admin.messages import admin_json, read_order
from router.listeners.admin.models import ModelCalls
from router.listeners.admin.views import check_line, cluster_view, immich_view, listener_view, stats
from router.listeners.immich_ml import ImmichMl
from router.listeners.pages import add_page, add_shared
from router.listeners.same_site import SameSite
from router.listeners.server.listener import HttpListener
from router.listeners.server.recent import LastCall, RecentRequests
from router.listeners.status import ReloadReport, RouterStatus

log = structlog.get_logger()

PAGE_FILES = (
    "style.css",
    "console.js",
    "charts.js",
    "connected.js",
    "data.js",
    "downloads.js",
    "format.js",
    "jobs.js",
    "mesh.js",
    "photo.js",
    "phrases.js",
)
"""Files of `router/console/admin/` beside its index."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class AdminContext:
    """What the admin API shows, and what it can set going.

    Attributes:
        status, clusters, listeners, recent, registry: read, never changed.
        predict: answers the page's own test photo.
        drain: sends new requests elsewhere.
        reload: reads the configuration file again.
        immich, healing: how Immich is, and what is done about what it dropped.
    """

    status: RouterStatus
    clusters: ClusterManager
    listeners: Sequence[HttpListener]
    recent: RecentRequests
    registry: CollectorRegistry
    predict: Predict
    drain: Callable[[], None]
    reload: Callable[[], Awaitable[ReloadReport]]
    immich: ImmichMonitor
    healing: Healing


class LevelOrder(BaseModel):
    """The body, or query, of `POST /logging`."""

    model_config = ConfigDict(extra="forbid")
    level: str


class Admin:
    """The handlers."""

    def __init__(self, context: AdminContext, settings: AdminListener) -> None:
        self._context = context
        self._status = context.status
        self._settings = settings
        self._same_site = SameSite(settings.names)
        self._level = context.status.settings.log_level

    def application(self) -> web.Application:
        """The routes of this API."""

        @web.middleware
        async def same_site(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._same_site.check(request)
            return await handler(request)

        app = web.Application(middlewares=[same_site])
        add_page(app, "/", "admin/index.html")
        for name in PAGE_FILES:
            add_page(app, f"/{name}", f"admin/{name}")
        add_shared(app)
        models = ModelCalls(self._context.clusters, self._settings)
        jobs = JobCalls(self._context.healing, self._settings)
        for path, get in (
            ("/ready", self.ready),
            ("/info", self.info),
            ("/immich", self.immich),
            ("/clusters", self.clusters),
            ("/listeners", self.listeners),
            ("/routes", self.routes),
            ("/config_dump", self.config_dump),
            ("/stats", self.stats),
            ("/stats/prometheus", self.prometheus),
            ("/requests", self.requests),
            ("/logging", self.logging),
            ("/models", models.listed),
            ("/jobs", jobs.listed),
        ):
            app.router.add_get(path, get)
        settings = self._status.settings.listeners.immich_ml
        photos = ImmichMl(self._context.predict, self._status, settings, timed=True)
        for path, post in (
            ("/logging", self.set_logging),
            ("/drain", self.drain),
            ("/reload", self.reload),
            ("/models/load", models.load),
            ("/models/unload", models.unload),
            ("/jobs/pause", jobs.pause),
            ("/jobs/resume", jobs.resume),
            ("/jobs/start", jobs.start),
            ("/predict", photos.predict),
        ):
            app.router.add_post(path, post)
        return app

    # What is.

    async def ready(self, request: web.Request) -> web.Response:
        """200 `LIVE` when this router should be sent requests, else 503 and why.

        With `?verbose` also how Immich is, one line for each check; that never decides, since requests are served.
        """
        ready = self._status.ready
        text = "LIVE\n" if ready else "DRAINING\n" if self._status.draining else "NO_SERVICE_READY\n"
        if "verbose" in request.query:
            text += "".join(map(check_line, self._context.immich.checks))
        return web.Response(text=text, status=200 if ready else 503)

    async def immich(self, _: web.Request) -> web.Response:
        """How Immich and its database are, and what self-healing does."""
        return admin_json(immich_view(self._context.immich, self._context.healing))

    async def info(self, _: web.Request) -> web.Response:
        """Version, state, and the last reload."""
        status, reload = self._status, self._status.last_reload
        ml = status.settings.listeners.immich_ml
        return admin_json(
            {
                "version": mesh_version(),
                "started_at": status.started_at,
                "ready": status.ready,
                "draining": status.draining,
                "config_file": str(status.config_file) if status.config_file else None,
                "last_reload": _reload_view(reload) if reload else None,
                "immich_ml": self._address_of("immich_ml"),
                "immich_ml_urls": list(ml.urls),
                "hub_mirrors": list(self._settings.hub_mirrors),
                "immich_ml_path": ml.path is not None,
                "photos": self._address_of("photos"),
                "last_call": _last_call(self._context.recent.last_calls.get("immich_ml")),
            }
        )

    async def clusters(self, _: web.Request) -> web.Response:
        """Clusters and endpoints: state, what is under way, what is held."""
        return admin_json({"clusters": [cluster_view(cluster) for cluster in self._context.clusters.clusters.values()]})

    async def listeners(self, _: web.Request) -> web.Response:
        """Listeners and their connections."""
        return admin_json({"listeners": [listener_view(listener) for listener in self._context.listeners]})

    async def routes(self, _: web.Request) -> web.Response:
        """Routes in the order in which they are tried."""
        return admin_json({"routes": config_dump(self._status.settings)["routes"]})

    async def config_dump(self, _: web.Request) -> web.Response:
        """The configuration in use, secrets masked."""
        return admin_json(config_dump(self._status.settings))

    async def stats(self, request: web.Request) -> web.Response:
        """Every metric's value by name; `?filter=text` leaves those whose name contains it."""
        wanted = request.query.get("filter", "")
        found = stats(self._context.registry)
        return admin_json({name: value for name, value in found.items() if wanted in name})

    async def prometheus(self, _: web.Request) -> web.Response:
        """The metrics for Prometheus."""
        body = generate_latest(self._context.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def requests(self, _: web.Request) -> web.Response:
        """The last requests answered, the newest first."""
        return admin_json({"requests": [asdict(request) for request in self._context.recent.newest_first()]})

    async def logging(self, _: web.Request) -> web.Response:
        """The lowest level that is logged."""
        return admin_json({"level": self._level})

    # What is to be.

    async def set_logging(self, request: web.Request) -> web.Response:
        """Changes the log level, until the next restart. Raises InvalidInputError."""
        level = (await read_order(request, LevelOrder, self._settings)).level
        try:
            logs.set_level(level)
        except ValueError as error:
            raise InvalidInputError(str(error)) from None
        self._level = level.upper()
        log.info("log level changed", level=self._level)
        return await self.logging(request)

    async def drain(self, _: web.Request) -> web.Response:
        """Makes `/ping` say 503 until a restart, so that Immich uses another router; what comes is still answered."""
        self._context.drain()
        log.info("draining: asked for by the admin API")
        return admin_json({"draining": True})

    async def reload(self, _: web.Request) -> web.Response:
        """Reads the configuration file again. 422 with the problems when it is wrong; the old one then stays."""
        report = await self._context.reload()
        return admin_json(_reload_view(report), 422 if report.problems else 200)

    def _address_of(self, name: str) -> str | None:
        return next((listener.address for listener in self._context.listeners if listener.name == name), None)


def _last_call(call: LastCall | None) -> dict[str, Any] | None:
    return asdict(call) if call else None


def _reload_view(report: ReloadReport) -> dict[str, Any]:
    return {"at": report.at, "problems": list(report.problems), "restart_needed": list(report.restart_needed)}
