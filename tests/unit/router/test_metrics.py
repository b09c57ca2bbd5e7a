"""Metrics: every name and label is in docs/metrics.md, and nothing else is."""

import re
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

import mesh.serving.metrics
from router.domain.tasks import Lane
from router.metrics import RouterMetrics

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"


class View:
    """A cluster with something of everything."""

    name = "ocr"

    def active(self, lane: Lane) -> int:
        return 3 if lane is Lane.IMAGE else 0

    def held(self, lane: Lane) -> int:
        return 2 if lane is Lane.TEXT else 0

    def held_bytes(self) -> int:
        return 100

    def endpoint_states(self) -> list[str]:
        return ["healthy", "healthy", "ejected"]


def documented(part: str) -> dict[str, tuple[str, frozenset[str]]]:
    section = DOCS.read_text("utf-8").partition(f"## {part}")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*)\|", section, re.MULTILINE)
    return {name: (kind, frozenset(labels.replace(" ", "").split(",")) - {""}) for name, kind, labels in rows}


def registered(registry: CollectorRegistry) -> dict[str, tuple[str, frozenset[str]]]:
    found = {}
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = getattr(registry._names_to_collectors.get(name), "_labelnames", None)
        if labels is None:
            labels = family.samples[0].labels.keys()
        found[name] = (family.type, frozenset(labels))
    return found


def test_the_routers_names_types_and_labels_are_as_documented() -> None:
    metrics = RouterMetrics()
    metrics.watch({"ocr": View()})
    assert registered(metrics.registry) == documented("Router")


def test_the_services_names_types_and_labels_are_as_documented() -> None:
    assert mesh.serving.metrics.REQUESTS is not None
    ours = {name: labels for name, labels in registered(REGISTRY).items() if name.startswith("immich_mesh_")}
    assert ours == documented("Services")


def test_gauges_are_read_from_the_clusters() -> None:
    metrics = RouterMetrics()
    metrics.watch({"ocr": View()})
    text = generate_latest(metrics.registry).decode()
    assert 'immich_mesh_upstream_active_requests{cluster="ocr",lane="image"} 3.0' in text
    assert 'immich_mesh_upstream_held_requests{cluster="ocr",lane="text"} 2.0' in text
    assert 'immich_mesh_upstream_outstanding_requests{cluster="ocr"} 5.0' in text
    assert 'immich_mesh_upstream_held_bytes{cluster="ocr"} 100.0' in text
    assert 'immich_mesh_upstream_endpoints{cluster="ocr",state="healthy"} 2.0' in text
    assert 'immich_mesh_upstream_endpoints{cluster="ocr",state="ejected"} 1.0' in text


def test_labels_stay_bounded_whatever_clients_ask_for() -> None:
    metrics = RouterMetrics()
    for number in range(1000):
        metrics.request_done("immich_ml", f"task{number}", 200, 0.1)
    labels = {"listener": "immich_ml", "task": "other", "code": "200"}
    assert metrics.registry.get_sample_value("immich_mesh_router_requests_total", labels) == 1000
