"""Writes the chart's Grafana dashboard, `files/dashboard.json`, from the short description below.

python -m helm.generate.dashboard            # write it
python -m helm.generate.dashboard --check    # exit 1 when it is out of date
"""

import json
import sys
from dataclasses import dataclass
from typing import Any

from helm.generate.files import ROOT, write_or_check

TARGET = ROOT / "helm" / "immich-mesh" / "files" / "dashboard.json"

HERE = 'namespace="$namespace"'
RATE = "$__rate_interval"
WIDTH, HEIGHT = 8, 8


@dataclass(frozen=True)
class Panel:
    """One time series panel: a title, a unit of Grafana's, and (query, legend) pairs."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]


def quantile(share: float, metric: str, by: str, where: str = HERE) -> str:
    """A quantile of a histogram over time."""
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket{{{where}}}[{RATE}])))"


def rate(metric: str, by: str, where: str = HERE) -> str:
    """A counter per second."""
    return f"sum by ({by}) (rate({metric}{{{where}}}[{RATE}]))"


MEAN_BATCH = " / ".join(rate(f"immich_mesh_batch_size_{part}", "model, part") for part in ("sum", "count"))

ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "What Immich sees",
        (
            Panel(
                "Requests", "reqps", ((rate("immich_mesh_router_requests_total", "task, code"), "{{task}} {{code}}"),)
            ),
            Panel(
                "Time to answer, 95th percentile",
                "s",
                ((quantile(0.95, "immich_mesh_router_request_seconds", "task"), "{{task}}"),),
            ),
            Panel(
                "Text queries",
                "s",
                tuple(
                    (
                        quantile(share, "immich_mesh_router_request_seconds", "task", f'{HERE},task="clip-textual"'),
                        f"p{round(share * 100)}",
                    )
                    for share in (0.5, 0.95, 0.99)
                ),
            ),
        ),
    ),
    (
        "Router",
        (
            Panel(
                "Outstanding requests, and those held",
                "short",
                (
                    (f"sum by (cluster) (immich_mesh_upstream_outstanding_requests{{{HERE}}})", "{{cluster}}"),
                    (
                        f"sum by (cluster, lane) (immich_mesh_upstream_held_requests{{{HERE}}})",
                        "held {{cluster}} {{lane}}",
                    ),
                ),
            ),
            Panel(
                "Time held, 95th percentile",
                "s",
                ((quantile(0.95, "immich_mesh_upstream_held_seconds", "cluster"), "{{cluster}}"),),
            ),
            Panel(
                "Endpoints",
                "short",
                ((f"max by (cluster, state) (immich_mesh_upstream_endpoints{{{HERE}}})", "{{cluster}} {{state}}"),),
            ),
            Panel(
                "Tries",
                "reqps",
                ((rate("immich_mesh_upstream_tries_total", "cluster, outcome"), "{{cluster}} {{outcome}}"),),
            ),
            Panel(
                "Retries, ejections, breakers",
                "ops",
                (
                    (rate("immich_mesh_upstream_retries_total", "cluster, reason"), "retry {{cluster}} {{reason}}"),
                    (rate("immich_mesh_upstream_ejections_total", "cluster"), "ejection {{cluster}}"),
                    (rate("immich_mesh_upstream_breaker_openings_total", "cluster"), "breaker {{cluster}}"),
                ),
            ),
            Panel(
                "Refused",
                "ops",
                (
                    (rate("immich_mesh_upstream_rejected_total", "cluster"), "queue full {{cluster}}"),
                    (rate("immich_mesh_upstream_quarantined_total", "cluster"), "quarantine {{cluster}}"),
                ),
            ),
        ),
    ),
    (
        "Services",
        (
            Panel(
                "Inputs waiting",
                "short",
                ((f"sum by (model, part) (immich_mesh_queue_length{{{HERE}}})", "{{model}} {{part}}"),),
            ),
            Panel(
                "Time in queue, 95th percentile",
                "s",
                ((quantile(0.95, "immich_mesh_queue_seconds", "model, part"), "{{model}} {{part}}"),),
            ),
            Panel(
                "Inference, 95th percentile",
                "s",
                ((quantile(0.95, "immich_mesh_inference_seconds", "model, part"), "{{model}} {{part}}"),),
            ),
            Panel("Mean batch", "short", ((MEAN_BATCH, "{{model}} {{part}}"),)),
            Panel(
                "Memory of models",
                "bytes",
                ((f"sum by (model, part) (immich_mesh_model_memory_bytes{{{HERE}}})", "{{model}} {{part}}"),),
            ),
            Panel(
                "Downloads",
                "percentunit",
                ((f"max by (model) (immich_mesh_model_download_ratio{{{HERE}}})", "{{model}}"),),
            ),
        ),
    ),
)


def build() -> str:
    """The dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "panels": [],
                "gridPos": _place(0, top, 24, 1),
            }
        )
        top += 1
        for index, panel in enumerate(row):
            panels.append(
                _panel(len(panels) + 1, panel, _place(index % 3 * WIDTH, top + index // 3 * HEIGHT, WIDTH, HEIGHT))
            )
        top += -(-len(row) // 3) * HEIGHT
    dashboard = {
        "uid": "immich-mesh",
        "title": "Immich Mesh",
        "tags": ["immich"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_source(), _namespace()]},
        "panels": panels,
    }
    return json.dumps(dashboard, indent=2) + "\n"


def _place(left: int, top: int, width: int, height: int) -> dict[str, int]:
    return {"x": left, "y": top, "w": width, "h": height}


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }


def _source() -> dict[str, Any]:
    return {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _namespace() -> dict[str, Any]:
    query = "label_values(immich_mesh_router_draining, namespace)"
    return {
        "name": "namespace",
        "type": "query",
        "label": "Namespace",
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "query": {"query": query, "refId": "namespaces"},
        "refresh": 2,
    }


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, TARGET, build))
