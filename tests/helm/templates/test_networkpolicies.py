"""templates/networkpolicies.yaml: who reaches whom, decided as a network plug-in decides."""

import pytest

from tests.helm.cluster.engine import Release
from tests.helm.cluster.selectors import selects
from tests.helm.cluster.store import Object
from tests.helm.conftest import Render

VALUES = {"immich": {"url": "http://immich:2283"}}
SLUGS = ("router", "router-2", "front-door", "ocr", "clip", "face")


def allowed(release: Release, target: str, port: str, labels: dict[str, str], namespace: str) -> bool:
    """Whether a pod with these labels, in that namespace, reaches a port of the component."""
    rules = release.find("NetworkPolicy", f"mesh-immich-mesh-{target}")["spec"]["ingress"]
    for rule in rules:
        if port not in {one["port"] for one in rule["ports"]}:
            continue
        for peer in rule["from"]:
            if "namespaceSelector" in peer:
                right_namespace = selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace})
            else:
                right_namespace = namespace == "immich"
            if right_namespace and selects(peer.get("podSelector", {}), labels):
                return True
    return False


def labels_of(release: Release, slug: str) -> dict[str, str]:
    labels: dict[str, str] = release.find("Deployment", f"mesh-immich-mesh-{slug}")["spec"]["template"]["metadata"][
        "labels"
    ]
    return labels


@pytest.fixture(scope="module")
def release(renderer: Render) -> Release:
    return renderer(VALUES)


def test_every_component_is_covered(release: Release) -> None:
    for slug in SLUGS:
        selector = release.find("NetworkPolicy", f"mesh-immich-mesh-{slug}")["spec"]["podSelector"]
        assert [other for other in SLUGS if selects(selector, labels_of(release, other))] == [slug]


@pytest.mark.parametrize("target", ["ocr", "clip", "face"])
def test_only_routers_reach_services(target: str, release: Release) -> None:
    reach = {slug for slug in SLUGS if allowed(release, target, "grpc", labels_of(release, slug), "immich")}
    assert reach == {"router", "router-2", "front-door"}
    assert not allowed(release, target, "grpc", {"app": "immich"}, "immich")


@pytest.mark.parametrize("router", ["router", "router-2"])
def test_only_immichs_namespaces_reach_a_router(router: str, release: Release) -> None:
    assert allowed(release, router, "immich-ml", {"app": "immich-server"}, "immich")
    assert not allowed(release, router, "immich-ml", {"app": "immich-server"}, "elsewhere")


def test_helm_test_reaches_the_router(release: Release) -> None:
    pod = next(one for one in release.hooks if one["kind"] == "Pod")
    assert allowed(release, "router", "immich-ml", pod["metadata"]["labels"], "immich")


def test_nobody_reaches_the_admin_port(release: Release) -> None:
    for slug in ("router", "front-door"):
        ports = {
            one["port"]
            for rule in release.find("NetworkPolicy", f"mesh-immich-mesh-{slug}")["spec"]["ingress"]
            for one in rule["ports"]
        }
        assert ports <= {"immich-ml", "mt-photos", "photos", "metrics"}


def test_every_named_port_exists(release: Release) -> None:
    for slug in SLUGS:
        pod = release.find("Deployment", f"mesh-immich-mesh-{slug}")["spec"]["template"]["spec"]
        offered = {port["name"] for port in pod["containers"][0]["ports"]}
        rules = release.find("NetworkPolicy", f"mesh-immich-mesh-{slug}")["spec"]["ingress"]
        assert {port["port"] for rule in rules for port in rule["ports"]} <= offered


def test_peers_are_the_users(render: Render) -> None:
    office = {"ipBlock": {"cidr": "192.168.0.0/16"}}
    ingress = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    release = render({**VALUES, "networkPolicy": {"clients": [office], "ingress": [ingress], "metrics": []}})
    router = release.find("NetworkPolicy", "mesh-immich-mesh-router")["spec"]["ingress"]
    assert router[0]["from"][1:] == [office]
    assert len(router) == 1
    assert ingress in release.find("NetworkPolicy", "mesh-immich-mesh-front-door")["spec"]["ingress"][0]["from"]
    assert not allowed(release, "router", "metrics", {}, "monitoring")


def test_they_can_be_left_out(render: Render) -> None:
    assert render({"networkPolicy": {"enabled": False}}).all("NetworkPolicy") == []


@pytest.mark.parametrize("router", ["router", "router-2"])
def test_networks_outside_are_let_in_by_name(router: str, render: Render) -> None:
    release = render({
        "router": {"service": {"type": "NodePort"}},
        "networkPolicy": {"externalClients": ["192.168.0.0/16", "fd00::/8"]},
    })  # fmt: skip
    rules = release.find("NetworkPolicy", f"mesh-immich-mesh-{router}")["spec"]["ingress"]
    blocks = [peer["ipBlock"]["cidr"] for peer in rules[0]["from"] if "ipBlock" in peer]
    assert blocks == ["192.168.0.0/16", "fd00::/8"]


DNS = {("UDP", 53), ("TCP", 53)}
EGRESS: dict[str, tuple[Object, dict[str, set[int]]]] = {
    "defaults": (
        {},
        {"router": set(), "ocr": {443}, "clip": {443}, "face": {443}, "models": {443}, "database": {5432}},
    ),
    "the front door": (
        {
            "immich": {"url": "http://immich:8080"},
            "database": {"existingSecret": "db"},
            "networkPolicy": {"egress": {"databasePort": 6432}},
        },
        {"front-door": {8080, 6432}, "router": {8080, 6432}, "database": {6432}, "ocr": {443}},
    ),
    "offline": ({"models": {"offline": True}}, {"router": set(), "ocr": set(), "models": set()}),
    "a mirror": ({"models": {"hubEndpoint": "http://mirror:8081"}}, {"clip": {443, 8081}}),
    "a collector": (
        {"tracing": {"otlpEndpoint": "http://otel:4317"}},
        {"router": {4317}, "face": {443, 4317}},
    ),
    "services elsewhere": (
        {
            "router": {
                "config": {
                    "ocr_endpoints": ["gpu-box:50061"],
                    "immich_api": "http://immich-ml:3003",
                    "clusters": {"more": {"protocol": "http", "endpoints": ["https://ml.example.com"]}},
                }
            }
        },
        {"router": {50061, 3003, 443}, "router-2": {50061, 3003, 443}, "ocr": {443}},
    ),
}


@pytest.mark.parametrize(("values", "expected"), EGRESS.values(), ids=EGRESS.keys())
def test_pods_reach_only_what_they_need(values: Object, expected: dict[str, set[int]], render: Render) -> None:
    release = render(values)
    for slug, ports in expected.items():
        spec = release.find("NetworkPolicy", f"mesh-immich-mesh-{slug}")["spec"]
        assert "Egress" in spec["policyTypes"]
        anywhere = [rule for rule in spec["egress"] if "to" not in rule]
        found = {(one["protocol"], one["port"]) for rule in anywhere for one in rule["ports"]}
        assert found == DNS | {("TCP", port) for port in ports}, slug


def test_only_routers_reach_services_from_their_side_too(release: Release) -> None:
    reach = {}
    for slug in SLUGS:
        rules = release.find("NetworkPolicy", f"mesh-immich-mesh-{slug}")["spec"]["egress"]
        peers = [peer["podSelector"] for rule in rules for peer in rule.get("to", ())]
        reach[slug] = {other for other in SLUGS for peer in peers if selects(peer, labels_of(release, other))}
    services = {"ocr", "clip", "face"}
    assert reach == {slug: set() if slug in services else services for slug in SLUGS}


def test_the_way_out_can_be_widened_or_left_open(render: Render) -> None:
    proxy = {"to": [{"ipBlock": {"cidr": "10.0.0.7/32"}}], "ports": [{"port": 3128}]}
    release = render({"networkPolicy": {"egress": {"extra": [proxy]}}})
    for slug in ("router", "clip", "models"):
        assert proxy in release.find("NetworkPolicy", f"mesh-immich-mesh-{slug}")["spec"]["egress"]
    open_ones = render({"networkPolicy": {"egress": {"enabled": False}}}).all("NetworkPolicy")
    assert all(one["spec"]["policyTypes"] == ["Ingress"] for one in open_ones)


def test_nobody_calls_a_job(release: Release) -> None:
    for name in ("models", "database"):
        assert "ingress" not in release.find("NetworkPolicy", f"mesh-immich-mesh-{name}")["spec"]
