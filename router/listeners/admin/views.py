"""What the admin API shows, as plain data."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from prometheus_client import CollectorRegistry

from router.domain.tasks import Lane
from router.front_door.healing.service import Healing
from router.front_door.health.check import Check
from router.front_door.health.monitor import ImmichMonitor
from router.listeners.server.listener import HttpListener
from router.upstream.cluster import Cluster
from router.upstream.endpoints.endpoint import Endpoint


def cluster_view(cluster: Cluster) -> dict[str, Any]:
    """One cluster with its endpoints, and what is under way and held there."""
    return {
        "name": cluster.name,
        "protocol": cluster.settings.protocol,
        "balancer": cluster.settings.balancer,
        "can_serve": cluster.can_serve,
        "active": {lane.value: cluster.active(lane) for lane in Lane},
        "held": {lane.value: cluster.held(lane) for lane in Lane},
        "held_bytes": cluster.held_bytes(),
        "longest_wait_seconds": round(cluster.longest_wait_seconds(), 1),
        "limits": cluster.settings.circuit_breakers.model_dump(),
        "endpoints": [endpoint_view(endpoint) for endpoint in cluster.endpoints],
    }


def endpoint_view(endpoint: Endpoint) -> dict[str, Any]:
    """One endpoint. `limit` is what it was found to take at a time, null for no limit."""
    return {
        "address": endpoint.address,
        "zone": endpoint.zone,
        "state": endpoint.state,
        "detail": endpoint.health_detail,
        "active": endpoint.active,
        "requests": endpoint.total,
        "failures": endpoint.failures,
        "limit": None if math.isinf(endpoint.limit) else math.floor(endpoint.limit),
    }


def listener_view(listener: HttpListener) -> dict[str, Any]:
    """One listener."""
    return {
        "name": listener.name,
        "address": listener.address,
        "open": listener.is_open,
        "connections": listener.connections,
        "max_connections": listener.settings.max_connections,
    }


MARKS = {True: "ok  ", False: "BAD ", None: "?   "}


def check_line(check: Check) -> str:
    """One check of Immich's as a line."""
    return f"{MARKS[check.ok]} {check.subject}: {check.text}" + (f" -> {check.remedy}" if check.remedy else "") + "\n"


def immich_view(monitor: ImmichMonitor, healing: Healing) -> dict[str, Any]:
    """How Immich is, and what self-healing does; `off` says why it does nothing."""
    status = healing.status
    shown = asdict(status) | {"reason": status.reason} if status else {}
    return {
        "looked_at": monitor.looked_at,
        "checks": [asdict(check) for check in monitor.checks],
        "healing": {"off": healing.off or None, **shown},
    }


def stats(registry: CollectorRegistry) -> dict[str, float]:
    """Every sample by its Prometheus name with labels, e.g. `immich_mesh_..._total{cluster="ocr"}`."""
    return dict(_samples(registry))


def _samples(registry: CollectorRegistry) -> Iterator[tuple[str, float]]:
    for metric in registry.collect():
        for sample in metric.samples:
            if not sample.name.endswith("_created"):
                yield sample.name + _labels(sample.labels.items()), sample.value


def _labels(pairs: Iterable[tuple[str, str]]) -> str:
    text = ",".join(f'{name}="{value}"' for name, value in pairs)
    return f"{{{text}}}" if text else ""
