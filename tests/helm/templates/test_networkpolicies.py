"""templates/networkpolicies.yaml: who reaches whom, decided as a network plug-in decides."""

import pytest

from tests.helm.cluster.engine import Release
from tests.helm.cluster.selectors import selects
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
