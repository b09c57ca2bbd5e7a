"""The router's Prometheus metrics. Names and labels are documented in `docs/metrics.md`, and a test compares them.

Counters and histograms are fed as things happen; gauges are read from the clusters when Prometheus asks. Every router
has a registry of its own. Labels are bounded: tasks are the mesh's own words, everything else is `other`.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.domain.tasks import CLIP, FACE, OCR, Lane

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 240.0)
BYTES = (1_000, 10_000, 50_000, 100_000, 200_000, 400_000, 1_000_000, 4_000_000, 16_000_000, 67_108_864)
_PHOTOS = frozenset({CLIP, FACE, OCR, "several"})
_TASKS = frozenset({CLIP, FACE, OCR, "clip-textual", "several", "ping", "none"})


class ClusterView(Protocol):
    """What the gauges read from a cluster."""

    name: str

    def active(self, lane: Lane) -> int:
        """Requests at the endpoints."""

    def held(self, lane: Lane) -> int:
        """Requests that wait."""

    def held_bytes(self) -> int:
        """Bytes of the requests that wait."""

    def endpoint_states(self) -> Iterable[str]:
        """One word for each endpoint."""


class _ClusterGauges(Collector):
    def __init__(self) -> None:
        self.clusters: Mapping[str, ClusterView] = {}

    def collect(self) -> Iterator[Metric]:
        """Reads all clusters."""
        active = GaugeMetricFamily(
            "immich_mesh_upstream_active_requests", "Requests at endpoints.", labels=["cluster", "lane"]
        )
        held = GaugeMetricFamily("immich_mesh_upstream_held_requests", "Requests held.", labels=["cluster", "lane"])
        outstanding = GaugeMetricFamily(
            "immich_mesh_upstream_outstanding_requests", "Requests held and at endpoints.", labels=["cluster"]
        )
        size = GaugeMetricFamily("immich_mesh_upstream_held_bytes", "Bytes of the requests held.", labels=["cluster"])
        states = GaugeMetricFamily("immich_mesh_upstream_endpoints", "Endpoints by state.", labels=["cluster", "state"])
        for cluster in self.clusters.values():
            for lane in Lane:
                active.add_metric([cluster.name, lane], cluster.active(lane))
                held.add_metric([cluster.name, lane], cluster.held(lane))
            outstanding.add_metric([cluster.name], sum(cluster.active(lane) + cluster.held(lane) for lane in Lane))
            size.add_metric([cluster.name], cluster.held_bytes())
            tally = Tally(cluster.endpoint_states())
            for state in ("healthy", "unhealthy", "unknown", "ejected", "draining"):
                states.add_metric([cluster.name, state], tally[state])
        yield from (active, held, outstanding, size, states)


class RouterMetrics:
    """All of the router's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._gauges = _ClusterGauges()
        self.registry.register(self._gauges)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"immich_mesh_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"immich_mesh_{name}", text, labels, buckets=buckets, registry=self.registry)

        self.requests = counter("router_requests", "Requests answered.", "listener", "task", "code")
        self.request_seconds = histogram("router_request_seconds", "Time to answer.", SECONDS, "listener", "task")
        self.request_bytes = histogram("router_request_bytes", "Size of request bodies.", BYTES, "listener")
        self.in_flight = Gauge(
            "immich_mesh_router_in_flight_requests", "Requests being answered.", ["listener"], registry=self.registry
        )
        self.draining = Gauge("immich_mesh_router_draining", "1 while the router drains.", registry=self.registry)
        self.reloads = counter("router_config_reloads", "Reloads of the configuration.", "result")
        self.tries = counter("upstream_tries", "Tries at endpoints by outcome.", "cluster", "outcome")
        self.try_seconds = histogram("upstream_try_seconds", "Time of successful tries.", SECONDS, "cluster")
        self.retries = counter("upstream_retries", "Further tries by the failure before them.", "cluster", "reason")
        self.held_seconds = histogram(
            "upstream_held_seconds", "Time held, of requests that were.", SECONDS, "cluster", "lane"
        )
        self.rejected = counter(
            "upstream_rejected", "Requests refused because the hold queue was full.", "cluster", "lane"
        )
        self.ejections = counter("upstream_ejections", "Outlier ejections.", "cluster")
        self.breaker_openings = counter(
            "upstream_breaker_openings", "Openings of the circuit breaker.", "cluster", "lane"
        )
        self.quarantined = counter(
            "upstream_quarantined", "Requests refused because services crashed of them.", "cluster"
        )
        self.hedges = counter("upstream_hedges", "Second tries sent because the first was slow.", "cluster")
        self.shared = counter("upstream_shared", "Requests answered by an identical one's call.", "task")
        self.mirrored = counter("upstream_mirrored", "Copies sent to shadow clusters by outcome.", "cluster", "outcome")
        self.fallbacks = counter("upstream_fallbacks", "Requests answered by the last resort.", "cluster")
        # A labelled child costs a lock and two dictionary look-ups to find; the hot path keeps them.
        self._request_children = lru_cache(512)(self._find_request_children)
        self._try_children = lru_cache(256)(self._find_try_children)

    def watch(self, clusters: Mapping[str, ClusterView]) -> None:
        """Reads the gauges from these clusters from now on."""
        self._gauges.clusters = clusters

    def request_done(self, listener: str, task: str, code: int, seconds: float) -> None:
        """A request was answered."""
        total, duration = self._request_children(listener, task if task in _TASKS else "other", code)
        total.inc()
        duration.observe(seconds)

    def failed_photos(self) -> float:
        """Immich's photos that were answered with a server's error so far; Immich drops each of these jobs."""
        return sum(
            sample.value
            for metric in self.requests.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
            and sample.labels["listener"] == "immich_ml"
            and sample.labels["task"] in _PHOTOS
            and sample.labels["code"].startswith("5")
        )

    def try_done(self, cluster: str, outcome: str, seconds: float) -> None:
        """A try at an endpoint ended; `outcome` is `ok` or a kind of failure."""
        total, duration = self._try_children(cluster, outcome)
        total.inc()
        if outcome == "ok":
            duration.observe(seconds)

    def _find_request_children(self, listener: str, task: str, code: int) -> tuple[Counter, Histogram]:
        return self.requests.labels(listener, task, str(code)), self.request_seconds.labels(listener, task)

    def _find_try_children(self, cluster: str, outcome: str) -> tuple[Counter, Histogram]:
        return self.tries.labels(cluster, outcome), self.try_seconds.labels(cluster)
