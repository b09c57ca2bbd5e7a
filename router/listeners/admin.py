"""The admin page and API, with Envoy's paths where Envoy has them. No key: it listens on loopback or a pod's network.

What it shows never holds a secret or a payload. What it changes is asked for by POST, and only by its own page or by a
program (see `same_site`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import orjson
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel, ConfigDict, ValidationError

from mesh.core import logs
from mesh.core.errors import InvalidInputError, MeshError, ModelNotFoundError
from mesh.core.version import mesh_version
from router.config import AdminListener
from router.config.file import config_dump
from router.dispatch.cluster_manager import ClusterManager
from router.domain.requests import Predict
from router.gateway.healing.service import Healing
from router.gateway.health.monitor import ImmichMonitor
from router.listeners.admin_views import check_line, cluster_view, immich_view, listener_view, stats
from router.listeners.immich_ml import ImmichMl
from router.listeners.pages import add_page, add_shared
from router.listeners.same_site import SameSite
from router.listeners.server.bodies import read_small_body
from router.listeners.server.listener import HttpListener
from router.listeners.server.messages import json_response
from router.listeners.server.recent import LastCall, RecentRequests
from router.listeners.status import ReloadReport, RouterStatus
from router.upstream.models import ModelClient, ModelStatus

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Asked = TypeVar("Asked", bound=BaseModel)


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


class ModelOrder(BaseModel):
    """The body, or query, of `POST /models/load` and `/models/unload`."""

    model_config = ConfigDict(extra="forbid")
    cluster: str
    name: str = ""
    wait: bool = True


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
        self._orders: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        """The routes of this API."""

        @web.middleware
        async def same_site(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._same_site.check(request)
            return await handler(request)

        app = web.Application(middlewares=[same_site])
        add_page(app, "/", "admin/index.html")
        for name in ("style.css", "console.js", "connected.js", "data.js", "views.js", "photo.js"):
            add_page(app, f"/{name}", f"admin/{name}")
        add_shared(app)
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
            ("/models", self.models),
        ):
            app.router.add_get(path, get)
        photos = ImmichMl(self._context.predict, self._status, self._status.settings.listeners.immich_ml)
        for path, post in (
            ("/logging", self.set_logging),
            ("/drain", self.drain),
            ("/reload", self.reload),
            ("/models/load", self.load_model),
            ("/models/unload", self.unload_model),
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
        return _json(immich_view(self._context.immich, self._context.healing))

    async def info(self, _: web.Request) -> web.Response:
        """Version, state, and the last reload."""
        status, reload = self._status, self._status.last_reload
        return _json(
            {
                "version": mesh_version(),
                "started_at": status.started_at,
                "ready": status.ready,
                "draining": status.draining,
                "config_file": str(status.config_file) if status.config_file else None,
                "last_reload": _reload_view(reload) if reload else None,
                "immich_ml": self._address_of("immich_ml"),
                "photos": self._address_of("photos"),
                "last_call": _last_call(self._context.recent.last_calls.get("immich_ml")),
            }
        )

    async def clusters(self, _: web.Request) -> web.Response:
        """Clusters and endpoints: state, what is under way, what is held."""
        return _json({"clusters": [cluster_view(cluster) for cluster in self._context.clusters.clusters.values()]})

    async def listeners(self, _: web.Request) -> web.Response:
        """Listeners and their connections."""
        return _json({"listeners": [listener_view(listener) for listener in self._context.listeners]})

    async def routes(self, _: web.Request) -> web.Response:
        """Routes in the order in which they are tried."""
        return _json({"routes": config_dump(self._status.settings)["routes"]})

    async def config_dump(self, _: web.Request) -> web.Response:
        """The configuration in use, secrets masked."""
        return _json(config_dump(self._status.settings))

    async def stats(self, request: web.Request) -> web.Response:
        """Every metric's value by name; `?filter=text` leaves those whose name contains it."""
        wanted = request.query.get("filter", "")
        found = stats(self._context.registry)
        return _json({name: value for name, value in found.items() if wanted in name})

    async def prometheus(self, _: web.Request) -> web.Response:
        """The metrics for Prometheus."""
        body = generate_latest(self._context.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def requests(self, _: web.Request) -> web.Response:
        """The last requests answered, the newest first."""
        return _json({"requests": [asdict(request) for request in self._context.recent.newest_first()]})

    async def logging(self, _: web.Request) -> web.Response:
        """The lowest level that is logged."""
        return _json({"level": self._level})

    async def models(self, _: web.Request) -> web.Response:
        """The models at every endpoint of every gRPC cluster; a cluster that does not answer says why."""
        clients = self._context.clusters.models()
        lists = await asyncio.gather(*(_listed(client) for client in clients.values()))
        return _json({"clusters": dict(zip(clients, lists, strict=True))})

    # What is to be.

    async def set_logging(self, request: web.Request) -> web.Response:
        """Changes the log level, until the next restart. Raises InvalidInputError."""
        level = (await self._asked(request, LevelOrder)).level
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
        return _json({"draining": True})

    async def reload(self, _: web.Request) -> web.Response:
        """Reads the configuration file again. 422 with the problems when it is wrong; the old one then stays."""
        report = await self._context.reload()
        return _json(_reload_view(report), 422 if report.problems else 200)

    async def load_model(self, request: web.Request) -> web.Response:
        """Loads a model at every endpoint of a cluster. Raises MeshError."""
        order = await self._asked(request, ModelOrder)
        return await self._order(order, self._client(order).load)

    async def unload_model(self, request: web.Request) -> web.Response:
        """Unloads a model, or all, at every endpoint of a cluster. Raises MeshError."""
        order = await self._asked(request, ModelOrder)
        return await self._order(order, self._client(order).unload)

    async def _order(self, order: ModelOrder, act: Callable[[str], Awaitable[list[ModelStatus]]]) -> web.Response:
        """Does it now, or, without `wait`, begins it: a download may take longer than a page stays open."""
        if order.wait:
            return _json({"models": [asdict(status) for status in await act(order.name)]})

        async def quietly() -> None:
            try:
                await act(order.name)
            except MeshError as error:
                log.warning("model order failed", cluster=order.cluster, model=order.name, error=error.message)

        task = asyncio.create_task(quietly())
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)
        return _json({"begun": True}, 202)

    def _client(self, order: ModelOrder) -> ModelClient:
        """Raises ModelNotFoundError."""
        clients = self._context.clusters.models()
        if order.cluster not in clients:
            raise ModelNotFoundError(f"no cluster {order.cluster!r} has models; there are {', '.join(clients)}")
        return clients[order.cluster]

    async def _asked(self, request: web.Request, kind: type[Asked]) -> Asked:
        """What the JSON body, or else the query, asks for. Raises InvalidInputError."""
        body = await read_small_body(request, self._settings)
        try:
            return kind.model_validate_json(body) if body else kind.model_validate(dict(request.query))
        except ValidationError as error:
            places = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise InvalidInputError(f"send {', '.join(kind.model_fields)} as JSON or query: {places}") from None

    def _address_of(self, name: str) -> str | None:
        return next((listener.address for listener in self._context.listeners if listener.name == name), None)


async def _listed(client: ModelClient) -> dict[str, Any]:
    try:
        return {"models": [asdict(status) for status in await client.list_models()], "error": None}
    except MeshError as error:
        return {"models": [], "error": error.message}


def _last_call(call: LastCall | None) -> dict[str, Any] | None:
    return asdict(call) if call else None


def _reload_view(report: ReloadReport) -> dict[str, Any]:
    return {"at": report.at, "problems": list(report.problems), "restart_needed": list(report.restart_needed)}


def _json(value: Any, status: int = 200) -> web.Response:
    response = json_response(orjson.dumps(value, option=orjson.OPT_INDENT_2), status)
    response.headers["Cache-Control"] = "no-store"
    return response
