"""Routers that watch EndpointSlices: told of pods at once, with leave for that and nothing else."""

import threading
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any

import pytest

from tests.helm.cluster import sandbox
from tests.helm.cluster.mesh import VALUES, Mesh, installed, merged
from tests.waiting import PATIENCE_SECONDS

pytestmark = [
    pytest.mark.skipif(bool(sandbox.available()), reason=sandbox.available()),
]

WATCHING = merged(VALUES, {
    "discovery": "endpointSlices",
    "auth": {"existingSecret": ""},
    "secondRouter": {"enabled": False},
    "clip": {"enabled": False},
    "face": {"enabled": False},
})  # fmt: skip

ASK = """
import ssl, sys, urllib.error, urllib.request
account = "/var/run/secrets/kubernetes.io/serviceaccount"
token = open(account + "/token").read()
context = ssl.create_default_context(cafile=account + "/ca.crt")
asked = urllib.request.Request("https://kubernetes.default.svc:6443" + sys.argv[1])
asked.add_header("Authorization", "Bearer " + token)
try:
    sys.exit(0 if urllib.request.urlopen(asked, context=context).status == 200 else 1)
except urllib.error.HTTPError as error:
    sys.exit(3 if error.code == 403 else 4)
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with installed(tmp_path_factory.mktemp("node"), WATCHING) as mesh:
        yield mesh


def router_says(mesh: Mesh, condition: str) -> bool:
    """A condition on `found`, the endpoints that the router's admin API shows for OCR."""
    code = (
        "import json, sys, urllib.request as r\n"
        "state = json.load(r.urlopen('http://127.0.0.1:9901/clusters'))\n"
        "found = [e for c in state['clusters'] if c['name'] == 'ocr' for e in c['endpoints']]\n"
        f"sys.exit(0 if {condition} else 1)"
    )
    (pod,) = mesh.pods("router")
    return mesh.run(pod, ["python", "-c", code]) == 0


def test_a_request_finds_the_pod_of_the_slice(mesh: Mesh) -> None:
    assert mesh.predict("predict-ocr")["ocr"]["text"] == []
    (pod,) = mesh.pods("ocr")
    assert router_says(mesh, f"[e['address'] for e in found] == ['{pod.address}:50051']")


def test_more_and_fewer_pods_are_heard_of_and_no_answer_is_lost(mesh: Mesh) -> None:
    done = threading.Event()
    wrong: list[str] = []

    def ask() -> None:
        connection = mesh.router()
        while not done.is_set():
            try:
                answer: dict[str, Any] = mesh.predict("predict-ocr", connection)
                assert answer["ocr"]["text"] == []
            except (AssertionError, HTTPException, OSError) as error:
                wrong.append(f"{type(error).__name__} {error}")

    worker = threading.Thread(target=ask)
    worker.start()
    try:
        for count in (2, 1):
            mesh.helm.upgrade(merged(WATCHING, {"ocr": {"replicaCount": count}}), wait=True, timeout=600)
            mesh.until(lambda count=count: router_says(mesh, f"len(found) == {count}"))
    finally:
        done.set()
        worker.join(PATIENCE_SECONDS)
    assert wrong == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/apis/discovery.k8s.io/v1/namespaces/immich/endpointslices", 0),
        ("/apis/discovery.k8s.io/v1/namespaces/other/endpointslices", 3),
        ("/api/v1/namespaces/immich/secrets", 3),
        ("/apis/apps/v1/namespaces/immich/deployments", 3),
    ],
)
def test_the_router_may_look_at_slices_of_its_namespace_alone(path: str, code: int, mesh: Mesh) -> None:
    (pod,) = mesh.pods("router")
    assert mesh.run(pod, ["python", "-c", ASK, path]) == code


def test_services_have_no_account(mesh: Mesh) -> None:
    pod = mesh.pods("ocr")[0]  # a second one may be on its way out
    assert mesh.run(pod, ["sh", "-c", "test -e /var/run/secrets/kubernetes.io/serviceaccount/token"]) != 0
    assert mesh.kubelet.errors == []
