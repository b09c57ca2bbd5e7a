"""templates/servicemonitors.yaml, prometheusrule.yaml, dashboard.yaml: every metric they name exists in the code."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest

from tests.helm.conftest import Render

ROOT = Path(__file__).resolve().parents[3]
NAME = re.compile(r"immich_mesh_[a-z_]+")


def declared() -> set[str]:
    """The metrics of router and services as Prometheus shows them, read from where they are declared."""
    source = (ROOT / "mesh" / "serving" / "metrics.py").read_text()
    found = set()
    for kind, name in re.findall(r'(Counter|Gauge|Histogram)\(\s*"(immich_mesh_\w+)"', source):
        found |= series(kind, name)
    source = (ROOT / "router" / "metrics.py").read_text()
    for kind, name in re.findall(r'(Gauge|GaugeMetricFamily)\(\s*"(immich_mesh_\w+)"', source):
        found |= series(kind, name)
    for kind, name in re.findall(r'\b(counter|histogram)\(\s*"(\w+)"', source):
        found |= series(kind.capitalize(), f"immich_mesh_{name}")
    return found


def series(kind: str, name: str) -> set[str]:
    endings = {"Counter": ["_total"], "Histogram": ["_bucket", "_sum", "_count"]}.get(kind, [""])
    return {name + ending for ending in endings}


def selectors(query: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and matched labels of every series that a query reads. Raises ValueError for what is no PromQL."""
    tree = promql_parser.parse(query.replace("$__rate_interval", "5m").replace("$namespace", "immich"))
    text = str(tree)
    for name, labels in re.findall(r"(immich_mesh_\w+)\{([^}]*)\}", text):
        yield name, dict(re.findall(r'(\w+)[=!~]+"([^"]*)"', labels))


def dashboard_queries() -> list[str]:
    panels = json.loads((ROOT / "helm" / "immich-mesh" / "files" / "dashboard.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


@pytest.fixture(scope="module")
def rules(renderer: Render) -> list[dict[str, object]]:
    values = {
        "enabled": True,
        "labels": {"release": "p"},
        "alertLabels": {"team": "x"},
        "heldRequests": 9,
        "slowTextQuerySeconds": 0.5,
    }
    release = renderer({"monitoring": {"prometheusRule": values}})
    (group,) = release.find("PrometheusRule", "mesh-immich-mesh")["spec"]["groups"]
    return group["rules"]


def test_metrics_are_found_in_the_code() -> None:
    found = declared()
    assert {"immich_mesh_router_requests_total", "immich_mesh_queue_length", "immich_mesh_upstream_endpoints"} <= found
    assert len(found) > 40


def test_every_metric_of_an_alert_exists(rules: list[dict[str, object]]) -> None:
    assert len(rules) >= 5
    for rule in rules:
        names = {name for name, _ in selectors(str(rule["expr"]))}
        assert names, rule
        assert names <= declared(), rule["alert"]


def test_the_dashboard_reads_metrics_that_exist_and_queries_that_parse() -> None:
    queries = dashboard_queries()
    assert len(queries) > 15
    for query in queries:
        names = {name for name, _ in selectors(query)}
        assert names, query
        assert names <= declared(), query


def test_an_unknown_metric_would_be_found() -> None:
    assert {name for name, _ in selectors('sum(rate(immich_mesh_no_such_thing{namespace="a"}[5m]))')} - declared()
    with pytest.raises(ValueError, match="expected"):
        list(selectors("sum(rate(immich_mesh_queue_length["))


def test_the_issues_alerts_are_there(rules: list[dict[str, object]]) -> None:
    names = {str(rule["alert"]) for rule in rules}
    assert {
        "ImmichMeshClusterDown",
        "ImmichMeshRequestsHeld",
        "ImmichMeshEjections",
        "ImmichMeshSlowTextQueries",
    } <= names
    by_name = {str(rule["alert"]): rule for rule in rules}
    assert str(by_name["ImmichMeshRequestsHeld"]["expr"]).endswith("> 9")
    assert str(by_name["ImmichMeshSlowTextQueries"]["expr"]).endswith("> 0.5")
    for rule in rules:
        assert {"severity", "team"} <= dict(rule["labels"]).keys()
        assert {"summary", "description"} == dict(rule["annotations"]).keys()


def test_alerts_look_at_this_release_alone(rules: list[dict[str, object]]) -> None:
    for rule in rules:
        for _, labels in selectors(str(rule["expr"])):
            assert labels["namespace"] == "immich"
            assert labels["service"] == "mesh-immich-mesh-.*"


def test_every_component_is_scraped_where_it_offers_metrics(render: Render) -> None:
    values = {
        "immich": {"url": "http://immich:2283"},
        "monitoring": {"serviceMonitor": {"enabled": True, "interval": "7s", "labels": {"release": "p"}}},
    }
    release = render(values)
    monitors = release.all("ServiceMonitor")
    assert len(monitors) == 6
    for monitor in monitors:
        assert monitor["metadata"]["labels"]["release"] == "p"
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["interval"] == "7s"
        selector = monitor["spec"]["selector"]["matchLabels"]
        chosen = [one for one in release.all("Service") if selector.items() <= one["metadata"]["labels"].items()]
        assert [one["metadata"]["name"] for one in chosen] == [monitor["metadata"]["name"]]
        assert endpoint["port"] in {port["name"] for port in chosen[0]["spec"]["ports"]}


def test_the_dashboard_is_a_config_map_for_grafanas_sidecar(render: Render) -> None:
    release = render({"monitoring": {"dashboard": {"enabled": True, "annotations": {"grafana_folder": "Immich"}}}})
    found = release.find("ConfigMap", "mesh-immich-mesh-dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "Immich"}
    assert json.loads(found["data"]["immich-mesh.json"])["title"] == "Immich Mesh"


def test_panels_do_not_overlap() -> None:
    panels = json.loads((ROOT / "helm" / "immich-mesh" / "files" / "dashboard.json").read_text())["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_nothing_is_written_unless_asked(render: Render) -> None:
    kinds = {one["kind"] for one in render().manifests}
    assert not kinds & {"ServiceMonitor", "PrometheusRule"}
