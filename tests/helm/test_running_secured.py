"""The rendered chart runs with TLS both ways, and with the photo front door before an Immich."""

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest

from tests.helm.cluster import api, sandbox
from tests.helm.cluster.engine import Helm
from tests.helm.cluster.mesh import ROOT, VALUES, Mesh, cosine, installed, merged
from tests.helm.cluster.store import Object

pytestmark = [
    pytest.mark.skipif(bool(sandbox.available()), reason=sandbox.available()),
]


class Immich(BaseHTTPRequestHandler):
    """An Immich that echoes what it is asked."""

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "cookie": self.headers.get("Cookie", "")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


@dataclass
class Secured:
    """The release and the Secret its pods mount."""

    mesh: Mesh
    secret: Object


def certificate_names(values: Object) -> list[str]:
    """What the chart would ask cert-manager for."""
    asked = merged(values, {"tls": {"enabled": True, "certManager": {"enabled": True, "issuerRef": {"name": "ca"}}}})
    with api.running() as server:
        names: list[str] = Helm(server).install(asked).find("Certificate", "mesh-immich-mesh-tls")["spec"]["dnsNames"]
    return names


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    immich = ThreadingHTTPServer(("0.0.0.0", 0), Immich)
    threading.Thread(target=immich.serve_forever, daemon=True).start()
    url = f"http://{sandbox.NETWORK}.0.1:{immich.server_address[1]}"
    slow = {"periodSeconds": 2, "timeoutSeconds": 60}  # each try starts a Python, on a machine that may be busy
    values = merged(VALUES, {
        "auth": {"existingSecret": ""},
        "immich": {"url": url},
        "secondRouter": {"enabled": False},
        "frontDoor": {"probes": {"startup": {"periodSeconds": 1, "failureThreshold": 60}}},
        "defaults": {"probes": {"startup": slow, "readiness": slow, "liveness": {**slow, "periodSeconds": 10}}},
    })  # fmt: skip
    done = subprocess.run(
        [sandbox.VENV / "bin/python", "-m", "tests.helm.cluster.certificates", *certificate_names(values)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    metadata = {"name": "mesh-tls", "namespace": "immich"}
    secret: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": json.loads(done.stdout)}
    values = merged(values, {"tls": {"enabled": True, "existingSecret": "mesh-tls"}})
    with installed(tmp_path_factory.mktemp("node"), values, secret) as mesh:
        yield Secured(mesh, secret)
    immich.shutdown()


def test_requests_go_through_tls(secured: Secured) -> None:
    answer = secured.mesh.predict("predict-clip-visual")
    assert cosine(json.loads(answer["clip"]), secured.mesh.answers["clip_visual"]) > 0.999
    assert secured.mesh.predict("predict-facial-recognition")["facial-recognition"] == []


def test_services_take_no_plain_text_and_no_stranger(secured: Secured) -> None:
    address = f"{secured.mesh.pods('clip')[0].address}:50052"
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/immich_mesh.model.v1.ModelService/ListModels")(b"", timeout=5)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_pods_ask_themselves_since_the_kubelet_speaks_no_tls(secured: Secured) -> None:
    pod = secured.mesh.pods("ocr")[0]
    assert "exec" in pod.container["readinessProbe"]
    assert pod.ready
    assert secured.mesh.run(pod, ["python", "-m", "mesh.core.healthcheck", "50051", "no.such.Service"]) == 1


def test_the_front_door_passes_immich_through(secured: Secured) -> None:
    mesh = secured.mesh
    address = mesh.server.call(lambda: mesh.kubelet.service_address("mesh-immich-mesh-front-door"))
    connection = HTTPConnection(address, 2283, timeout=20)
    connection.request("GET", "/api/albums?shared=true", headers={"Cookie": "immich_access_token=x"})
    answer = json.loads(connection.getresponse().read())
    assert answer == {"path": "/api/albums?shared=true", "cookie": "immich_access_token=x"}


def test_the_front_door_is_no_machine_learning_server(secured: Secured) -> None:
    pod = secured.mesh.pods("front-door")[0]
    with pytest.raises(OSError, match="refused"):
        HTTPConnection(pod.address, 3003, timeout=5).connect()


def test_every_pod_runs_without_a_restart(secured: Secured) -> None:
    assert secured.mesh.kubelet.errors == []
    for component in ("router", "front-door", "ocr", "clip", "face"):
        assert [pod.restarts for pod in secured.mesh.pods(component)] == [0], secured.mesh.logs()
