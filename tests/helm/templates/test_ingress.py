"""templates/ingress.yaml and templates/httproute.yaml: only the changed paths go to the front door."""

import re
from pathlib import Path

from tests.helm.conftest import Render

DOOR_SOURCE = Path(__file__).resolve().parents[3] / "router" / "front_door" / "door.py"
CHANGED = {"/api/search/smart", "/api/search/metadata", "/api/search/ocr", "/api/assets/jobs", "/mesh"}
IMMICH = {"immich": {"url": "http://immich:2283"}}


def test_the_paths_are_those_that_the_front_door_changes() -> None:
    paths = set(re.findall(r'\("(?:GET|POST)", "(/[^"]+)"\)', DOOR_SOURCE.read_text()))
    assert len(paths) >= 4
    covered = {path for path in paths if path in CHANGED or path.startswith("/mesh/")}
    assert covered == paths
    assert {path for path in CHANGED if path != "/mesh"} <= paths


def test_an_ingress_sends_changed_paths_here_and_the_rest_to_immich(render: Render) -> None:
    tls = [{"hosts": ["photos.example.com"], "secretName": "tls"}]
    ingress = {
        "enabled": True,
        "className": "nginx",
        "host": "photos.example.com",
        "annotations": {"a": "b"},
        "tls": tls,
    }
    release = render({**IMMICH, "ingress": {**ingress, "immich": {"serviceName": "immich-server", "servicePort": 80}}})
    (found,) = release.all("Ingress")
    assert found["metadata"]["annotations"] == {"a": "b"}
    assert found["spec"]["ingressClassName"] == "nginx"
    assert found["spec"]["tls"] == tls
    (rule,) = found["spec"]["rules"]
    assert rule["host"] == "photos.example.com"
    backends = {one["path"]: one["backend"]["service"] for one in rule["http"]["paths"]}
    door = {"name": "mesh-immich-mesh-front-door", "port": {"name": "photos"}}
    assert {path for path, backend in backends.items() if backend == door} == CHANGED
    assert backends["/"] == {"name": "immich-server", "port": {"number": 80}}
    types = {one["path"]: one["pathType"] for one in rule["http"]["paths"]}
    assert types["/api/search/smart"] == "Exact"
    assert types["/mesh"] == "Prefix"


def test_an_ingress_can_leave_the_rest_alone(render: Render) -> None:
    (found,) = render({**IMMICH, "ingress": {"enabled": True, "host": "a.example"}}).all("Ingress")
    assert {one["path"] for one in found["spec"]["rules"][0]["http"]["paths"]} == CHANGED


def test_a_gateway_route_does_the_same(render: Render) -> None:
    gateway = {
        "enabled": True,
        "parentRefs": [{"name": "public"}],
        "hostnames": ["photos.example.com"],
        "immich": {"serviceName": "immich-server", "serviceNamespace": "photos", "servicePort": 80},
    }
    (found,) = render({**IMMICH, "gateway": gateway}).all("HTTPRoute")
    assert found["spec"]["parentRefs"] == [{"name": "public"}]
    assert found["spec"]["hostnames"] == ["photos.example.com"]
    changed, rest = found["spec"]["rules"]
    assert {match["path"]["value"] for match in changed["matches"]} == CHANGED
    assert changed["backendRefs"] == [{"name": "mesh-immich-mesh-front-door", "port": 2283}]
    assert rest["backendRefs"] == [{"name": "immich-server", "namespace": "photos", "port": 80}]
    bare = {"enabled": True, "parentRefs": [{"name": "public"}]}
    (found,) = render({**IMMICH, "gateway": bare}).all("HTTPRoute")
    assert len(found["spec"]["rules"]) == 1
