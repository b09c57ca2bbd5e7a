"""The mesh as the router sees it: clusters and routes of the current configuration, and the answer to one task.

`apply` replaces the configuration while requests are under way: clusters whose settings stay keep their connections and
what they have learnt; calls at clusters that go are finished there, and requests held there are routed anew.
"""

import asyncio
import random
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import structlog

from mesh.core.context import REQUEST_ID_HEADER
from mesh.core.errors import DimensionMismatchError, InvalidInputError, UnavailableError
from mesh.core.tracing import span
from router.config import Protocol, RouterSettings
from router.dispatch.entries import write_entries
from router.dispatch.hedge import hedged
from router.dispatch.mirror import Mirror
from router.dispatch.routes import Destination, RouteTable
from router.dispatch.single_flight import SingleFlight
from router.domain.requests import PredictRequest
from router.domain.results import ClipImageResult, ClipTextResult, Result
from router.domain.tasks import ClipTextual, ClipVisual, FaceRecognition, ForeignTask, Task, TextRecognition, needs_text
from router.metrics import RouterMetrics
from router.upstream.calls import CallStats, ClusterRemovedError, Content, Lane
from router.upstream.clients import CallContext, ClipClient, FaceClient, OcrClient
from router.upstream.cluster import Cluster
from router.upstream.http_cluster import NativeClient, predict_message
from router.upstream.models import ModelClient
from router.upstream.opening import SERVICE_OF_TASK, transport_opener
from router.upstream.timing import LoopTiming, Timing

log = structlog.get_logger()


class Mesh:
    """Clusters and routes. Built empty; `apply` gives it a configuration."""

    def __init__(self, metrics: RouterMetrics, timing: Timing | None = None, rng: random.Random | None = None) -> None:
        self._metrics = metrics
        self._timing = timing or LoopTiming()
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._clusters: dict[str, Cluster] = {}
        self._routes: RouteTable | None = None
        self._flights = SingleFlight(self._timing)
        self._mirror = Mirror(metrics, self._rng)
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def clusters(self) -> Mapping[str, Cluster]:
        """The clusters by name."""
        return MappingProxyType(self._clusters)

    @property
    def routes(self) -> RouteTable:
        """The routes. Raises UnavailableError before a configuration was applied."""
        if self._routes is None:
            raise UnavailableError("the router is still starting")
        return self._routes

    @property
    def can_serve(self) -> bool:
        """Whether any cluster could answer anything."""
        return any(cluster.can_serve for cluster in self._clusters.values())

    def models(self) -> dict[str, ModelClient]:
        """The models of every gRPC cluster, by its name."""
        grpc = {name: c for name, c in self._clusters.items() if c.settings.protocol is Protocol.GRPC}
        return {name: ModelClient(cluster) for name, cluster in grpc.items()}

    async def apply(self, settings: RouterSettings) -> None:
        """Makes these settings the current ones. Raises OSError: a TLS file cannot be read; nothing is changed then."""
        routes = RouteTable(settings, self._rng)
        wanted = settings.all_clusters()
        services = _services(routes)
        clusters, fresh = {}, []
        for name, cluster_settings in wanted.items():
            current = self._clusters.get(name)
            if current is not None and current.settings == cluster_settings:
                clusters[name] = current
                continue
            opener = transport_opener(cluster_settings, services.get(name, ""))
            clusters[name] = Cluster(name, cluster_settings, opener, self._metrics, self._timing, self._rng)
            fresh.append(clusters[name])
        await self._start(fresh)
        old = [cluster for name, cluster in self._clusters.items() if clusters.get(name) is not cluster]
        self._clusters, self._routes = clusters, routes
        self._metrics.watch(clusters)
        for cluster in old:
            task = asyncio.create_task(cluster.retire())
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Closes all connections."""
        await self._mirror.close()
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await asyncio.gather(*(cluster.close() for cluster in self._clusters.values()))

    async def answer(self, task: Task, request: PredictRequest, deadline: float, trail: CallStats) -> Result:
        """The answer to one task of a request, until `deadline` (on the mesh's clock). Raises MeshError."""
        content = request.content(task)
        while True:
            destination = self.routes.find(task)
            # The dialect and the name asked for change how an answer is worded, not the answer.
            asked = (destination.cluster, destination.served_model, request.passed_on, replace(task, model_name=""))

            def start(destination: Destination = destination) -> Coroutine[Any, Any, Result]:
                return self._serve(destination, task, request, content, deadline, trail)

            try:
                result = await self._flights.run(asked, content, deadline, trail, start)
            except ClusterRemovedError:
                continue
            if trail.shared:
                self._metrics.shared.labels(task.task).inc()
            return _as_promised(result, task, destination)

    async def _serve(
        self,
        destination: Destination,
        task: Task,
        request: PredictRequest,
        content: Content,
        deadline: float,
        trail: CallStats,
    ) -> Result:
        route = destination.route
        context = CallContext(deadline, ((REQUEST_ID_HEADER, request.request_id),), route.retry, trail=trail)
        if destination.fallback:
            context = replace(context, hold_until=self._timing.now() + route.fallback_after_seconds)
        try:
            result = await self._send_hedged(destination, task, request, content, context)
        except UnavailableError as error:
            if not destination.fallback or self._clusters[destination.cluster].can_serve:
                raise
            log.warning("a cluster stays down: last resort", cluster=destination.cluster, error=error.message)
            self._metrics.fallbacks.labels(destination.fallback).inc()
            resort = replace(destination, cluster=destination.fallback)
            return await self._send(resort, task, request, content, replace(context, hold_until=None))
        if route.mirror is not None:
            mirror = route.mirror
            shadow = replace(destination, cluster=mirror.cluster)
            quiet = CallContext(deadline, context.headers, route.retry, hold=False)
            self._mirror.copy(mirror, result, lambda: self._send(shadow, task, request, content, quiet))
        return result

    async def _send_hedged(
        self, destination: Destination, task: Task, request: PredictRequest, content: Content, context: CallContext
    ) -> Result:
        first = self._send(destination, task, request, content, context)
        if destination.route.hedge_ms is None:
            return await first

        def second() -> Coroutine[Any, Any, Result]:
            self._metrics.hedges.labels(destination.cluster).inc()
            elsewhere = replace(context, avoid=frozenset({context.trail.endpoint}), trail=CallStats())
            return self._send(destination, task, request, content, elsewhere)

        return await hedged(first, destination.route.hedge_ms / 1000, second)

    async def _send(
        self, destination: Destination, task: Task, request: PredictRequest, content: Content, context: CallContext
    ) -> Result:
        cluster = self._clusters.get(destination.cluster)
        if cluster is None:
            raise ClusterRemovedError
        with span("upstream", cluster=destination.cluster, task=task.task):
            if cluster.settings.protocol is Protocol.HTTP:
                return await self._pass_on(cluster, [task], request, content, context)
            model = destination.served_model
            match task:
                case ClipVisual():
                    return await ClipClient(cluster).encode_image(content, model, destination.served_dimension, context)
                case ClipTextual():
                    clip, length = ClipClient(cluster), destination.served_dimension
                    return await clip.encode_text(content, model, task.language, length, context)
                case FaceRecognition():
                    faces, length = FaceClient(cluster), destination.served_dimension
                    return await faces.detect(content, task, model, length, context)
                case TextRecognition():
                    return await OcrClient(cluster).recognize(content, task, model, context)
                case ForeignTask():
                    raise AssertionError("routes send foreign tasks to http clusters only")

    async def _pass_on(
        self, cluster: Cluster, tasks: list[Task], request: PredictRequest, content: Content, context: CallContext
    ) -> Result:
        if request.passed_on:
            raise InvalidInputError(
                f"cluster {cluster.name} leads back to this router: set ROUTER_IMMICH_API to another server"
            )
        if request.original is not None and len(request.tasks) == len(tasks):
            message = request.original
        else:
            text = request.text if any(needs_text(task) for task in tasks) else None
            image = request.image if any(not needs_text(task) for task in tasks) else None
            message = predict_message(write_entries(tasks), image, text)
        lane = Lane.TEXT if needs_text(tasks[0]) else Lane.IMAGE
        return await NativeClient(cluster).predict(message, content, lane, context)

    async def _start(self, clusters: list[Cluster]) -> None:
        try:
            await asyncio.gather(*(cluster.start() for cluster in clusters))
        except BaseException:
            await asyncio.gather(*(cluster.close() for cluster in clusters))
            raise


def _services(routes: RouteTable) -> dict[str, str]:
    """The gRPC service that each cluster's health is asked for: that of the task it gets."""
    services: dict[str, str] = {}
    for route in routes.routes:
        targets = [target.cluster for target in route.targets] + ([route.mirror.cluster] if route.mirror else [])
        for cluster in targets:
            services.setdefault(cluster, SERVICE_OF_TASK.get(route.task, ""))
    return services


def _as_promised(result: Result, task: Task, destination: Destination) -> Result:
    """The result, unless its vector has another length than Immich expects. Raises DimensionMismatchError."""
    if destination.asked_dimension is None or not isinstance(result, ClipImageResult | ClipTextResult):
        return result
    if len(result.embedding) != destination.asked_dimension:
        raise DimensionMismatchError(
            f"Immich is set to the CLIP model {task.model_name} with {destination.asked_dimension} dimensions, but"
            f" {result.model_name or 'the service'} gives {len(result.embedding)}:"
            " set ROUTER_CLIP_MODEL and Immich to models of one dimension"
        )
    return result
