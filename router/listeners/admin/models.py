"""The admin API's calls about models: what every service has, loaded and unloaded."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict

from mesh.core.errors import InvalidInputError, MeshError, ModelNotFoundError
from router.config import AdminListener
from router.dispatch.cluster_manager import ClusterManager
from router.listeners.admin.messages import admin_json, read_order
from router.upstream.models import EndpointModelStatus, ModelClient

log = structlog.get_logger()


class ModelOrder(BaseModel):
    """The body, or query, of `POST /models/unload`."""

    model_config = ConfigDict(extra="forbid")
    cluster: str
    name: str = ""
    wait: bool = True


class LoadOrder(ModelOrder):
    """The body, or query, of `POST /models/load`. `hub` is one of the listener's mirrors, or empty."""

    hub: str = ""


class ModelCalls:
    """The handlers."""

    def __init__(self, clusters: ClusterManager, settings: AdminListener) -> None:
        self._clusters = clusters
        self._settings = settings
        self._orders: set[asyncio.Task[None]] = set()

    async def listed(self, _: web.Request) -> web.Response:
        """The models at every endpoint of every gRPC cluster; a cluster that does not answer says why."""
        clients = self._clusters.models()
        lists = await asyncio.gather(*(_listed(client) for client in clients.values()))
        return admin_json({"clusters": dict(zip(clients, lists, strict=True))})

    async def load(self, request: web.Request) -> web.Response:
        """Loads a model at every endpoint of a cluster. Raises MeshError."""
        order = await read_order(request, LoadOrder, self._settings)
        # Whoever reaches this page must not be able to make the services download from just anywhere.
        if order.hub and order.hub not in self._settings.hub_mirrors:
            raise InvalidInputError(f"{order.hub} is none of this listener's hub_mirrors")
        client = self._client(order)
        return await self._carry_out(order, lambda name: client.load(name, order.hub))

    async def unload(self, request: web.Request) -> web.Response:
        """Unloads a model, or all, at every endpoint of a cluster. Raises MeshError."""
        order = await read_order(request, ModelOrder, self._settings)
        return await self._carry_out(order, self._client(order).unload)

    async def _carry_out(
        self, order: ModelOrder, act: Callable[[str], Awaitable[list[EndpointModelStatus]]]
    ) -> web.Response:
        """Does it now, or, without `wait`, begins it: a download may take longer than a page stays open."""
        if order.wait:
            return admin_json({"models": [asdict(status) for status in await act(order.name)]})

        async def quietly() -> None:
            try:
                await act(order.name)
            except MeshError as error:
                log.warning("model order failed", cluster=order.cluster, model=order.name, error=error.message)

        task = asyncio.create_task(quietly())
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)
        return admin_json({"begun": True}, 202)

    def _client(self, order: ModelOrder) -> ModelClient:
        """Raises ModelNotFoundError."""
        clients = self._clusters.models()
        if order.cluster not in clients:
            raise ModelNotFoundError(f"no cluster {order.cluster!r} has models; there are {', '.join(clients)}")
        return clients[order.cluster]


async def _listed(client: ModelClient) -> dict[str, Any]:
    try:
        return {"models": [asdict(status) for status in await client.list_models()], "error": None}
    except MeshError as error:
        return {"models": [], "error": error.message}
