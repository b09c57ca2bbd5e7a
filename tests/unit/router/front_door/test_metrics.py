"""The front door's metrics are those of docs/metrics.md."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from router.front_door.healing.metrics import HealingMetrics
from router.front_door.metrics import FrontDoorMetrics

DOCS = Path(__file__).parents[4] / "docs" / "metrics.md"


def test_healings_too() -> None:
    registry = CollectorRegistry()
    HealingMetrics(registry).starts.labels("ocr", "started").inc()
    kinds = {
        (f"{family.name}_total" if family.type == "counter" else family.name, family.type)
        for family in registry.collect()
    }
    section = DOCS.read_text(encoding="utf-8").partition("## Self-healing")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", section, re.MULTILINE)
    assert kinds == set(rows)


def test_names_types_and_labels_are_as_documented() -> None:
    registry = CollectorRegistry()
    metrics = FrontDoorMetrics(registry)
    metrics.searched("native; reason=no-database", 0.01)
    metrics.refreshed("ok")
    found = set()
    for family in registry.collect():
        labels = frozenset(family.samples[0].labels) - {"le"}
        found.add((f"{family.name}_total" if family.type == "counter" else family.name, family.type, labels))
    section = DOCS.read_text(encoding="utf-8").partition("## Photo front door")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*)\|", section, re.MULTILINE)
    assert found == {(name, kind, frozenset(labels.replace(" ", "").split(","))) for name, kind, labels in rows}
