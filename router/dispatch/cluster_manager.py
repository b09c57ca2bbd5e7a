"""The clusters and routes of the current configuration, replaced together while requests are under way.

Clusters whose settings stay keep their connections and what they have learnt; calls at clusters that go are finished
there, and requests held there are routed anew.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from mesh.core.errors import UnavailableError
from router.config import ClusterSettings, Protocol, RouterSettings
from router.dispatch.routes import RouteTable
from router.metrics import RouterMetrics
from router.upstream.calls import ClusterRemovedError
from router.upstream.cluster import Cluster
from router.upstream.endpoints.membership import OpenTransport
from router.upstream.models import ModelClient
from router.upstream.timing import Timing
from router.upstream.transports import SERVICE_OF_TASK, transport_opener

Opener = Callable[[ClusterSettings, str], OpenTransport]


class ClusterManager:
    """Built empty; `apply` gives it a configuration.

    Args:
        metrics: where clusters count what happens.
        timing, rng: clock and randomness.
        opener: how to connect to a cluster, from its settings and the service whose health decides.
    """

    def __init__(
        self, metrics: RouterMetrics, timing: Timing, rng: random.Random, opener: Opener = transport_opener
    ) -> None:
        self._metrics = metrics
        self._timing = timing
        self._rng = rng
        self._opener = opener
        self._clusters: dict[str, Cluster] = {}
        self._routes: RouteTable | None = None
        self._draining: set[asyncio.Task[None]] = set()

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

    @property
    def passes_on(self) -> bool:
        """Whether any cluster is a native Immich ML server, which gets requests as they came."""
        return any(cluster.settings.protocol is Protocol.HTTP for cluster in self._clusters.values())

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name. Raises ClusterRemovedError: a new configuration has it no more."""
        found = self._clusters.get(name)
        if found is None:
            raise ClusterRemovedError
        return found

    def models(self) -> dict[str, ModelClient]:
        """The models of every gRPC cluster, by its name."""
        grpc = {name: c for name, c in self._clusters.items() if c.settings.protocol is Protocol.GRPC}
        return {name: ModelClient(cluster) for name, cluster in grpc.items()}

    async def apply(self, settings: RouterSettings) -> None:
        """Makes these settings the current ones. Raises OSError: a TLS file cannot be read; nothing is changed then."""
        routes = RouteTable(settings, self._rng)
        services = _services(routes)
        clusters, added = {}, []
        for name, cluster_settings in settings.all_clusters().items():
            current = self._clusters.get(name)
            if current is not None and current.settings == cluster_settings:
                clusters[name] = current
                continue
            opener = self._opener(cluster_settings, services.get(name, ""))
            clusters[name] = Cluster(name, cluster_settings, opener, self._metrics, self._timing, self._rng)
            added.append(clusters[name])
        await _start(added)
        removed = [cluster for name, cluster in self._clusters.items() if clusters.get(name) is not cluster]
        self._clusters, self._routes = clusters, routes
        self._metrics.watch(clusters)
        for cluster in removed:
            task = asyncio.create_task(cluster.retire())
            self._draining.add(task)
            task.add_done_callback(self._draining.discard)

    async def close(self) -> None:
        """Closes all connections."""
        for task in self._draining:
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)
        await asyncio.gather(*(cluster.close() for cluster in self._clusters.values()))


async def _start(clusters: list[Cluster]) -> None:
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
