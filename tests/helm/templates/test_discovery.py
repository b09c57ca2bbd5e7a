"""templates/discovery.yaml, and what watching EndpointSlices changes elsewhere."""

from typing import Any

from tests.helm.conftest import Render
from tests.helm.templates.test_router_config import config, variables

WATCHING = {"discovery": "endpointSlices", "immich": {"url": "http://immich:2283"}}
ROUTERS = {"router", "router-2", "front-door"}


def pod(release: Any, slug: str) -> dict[str, Any]:
    return release.find("Deployment", f"mesh-immich-mesh-{slug}")["spec"]["template"]["spec"]


def test_the_role_allows_to_list_and_watch_endpoint_slices_and_nothing_else(render: Render) -> None:
    release = render(WATCHING)
    (role,) = release.all("Role")
    assert role["rules"] == [
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}
    ]
    (binding,) = release.all("RoleBinding")
    assert {one["name"] for one in binding["subjects"]} == {f"mesh-immich-mesh-{slug}" for slug in ROUTERS}
    assert not release.all("ClusterRole")


def test_only_the_routers_have_a_token(render: Render) -> None:
    release = render(WATCHING)
    for slug in (*ROUTERS, "ocr", "clip", "face"):
        assert pod(release, slug)["automountServiceAccountToken"] is (slug in ROUTERS), slug


def test_the_routers_watch_and_reach_the_api_server(render: Render) -> None:
    release = render(WATCHING)
    assert config(release)["ocr_endpoints"] == ["kubernetes:///mesh-immich-mesh-ocr.immich:50051"]
    zone = {"fieldRef": {"fieldPath": "metadata.labels['topology.kubernetes.io/zone']"}}
    assert variables(release, "router")["ROUTER_ZONE"] == zone
    policy = release.find("NetworkPolicy", "mesh-immich-mesh-router")
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert {443, 6443} <= ports


def test_by_dns_nobody_has_a_role_or_a_token(render: Render) -> None:
    release = render()
    assert release.all("Role") == release.all("RoleBinding") == []
    assert pod(release, "router")["automountServiceAccountToken"] is False
    assert "ROUTER_ZONE" not in variables(release, "router")
    policy = release.find("NetworkPolicy", "mesh-immich-mesh-router")
    assert 6443 not in {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
