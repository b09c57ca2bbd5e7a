"""The rendered chart runs: its Deployments and Services as containers of this machine, answering Immich's requests."""

import json
import math
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.helm.cluster import api, sandbox
from tests.helm.cluster.engine import Helm
from tests.helm.cluster.kubelet import Kubelet, node
from tests.helm.cluster.store import Object

ROOT = Path(__file__).resolve().parents[2]
REQUESTS = ROOT / "tests" / "contract" / "requests"
CLAIM = "mesh-immich-mesh-models"

pytestmark = [
    pytest.mark.skipif(bool(sandbox.available()), reason=sandbox.available()),
    pytest.mark.timeout(240),
]

SECOND = {"periodSeconds": 1, "failureThreshold": 60, "timeoutSeconds": 5}
VALUES: Object = {
    # As in a real cluster, but sooner.
    "defaults": {
        "probes": {"startup": SECOND, "readiness": {"periodSeconds": 1}, "liveness": {"periodSeconds": 5}},
        "termination": {"preStopSeconds": 2, "drainSeconds": 20},
    },
    "router": {"replicaCount": 2, "probes": {"startup": SECOND}},
    "ocr": {"config": {"threads": 1}},
    "models": {"offline": True, "persistence": {"existingClaim": CLAIM}},
    "auth": {"existingSecret": "mesh-token"},
}


@dataclass
class Mesh:
    """A running release."""

    server: api.ApiServer
    kubelet: Kubelet
    helm: Helm
    answers: dict[str, Any]

    def pods(self, component: str) -> list[Any]:
        return [
            pod for pod in self.kubelet.pods if pod.owner == f"mesh-immich-mesh-{component}" and pod.exit_code is None
        ]

    def router(self) -> HTTPConnection:
        address = self.server.call(lambda: self.kubelet.service_address("mesh-immich-mesh-router"))
        return HTTPConnection(address, 3003, timeout=60)

    def predict(self, name: str, connection: HTTPConnection | None = None) -> dict[str, Any]:
        """A recorded request, byte for byte but for its head's host."""
        head, body = (REQUESTS / f"{name}.raw").read_bytes().split(b"\r\n\r\n", 1)
        content_type = next(
            line[14:] for line in head.decode().splitlines() if line.lower().startswith("content-type: ")
        )
        return self.post(body, content_type, connection)

    def post(self, body: bytes, content_type: str, connection: HTTPConnection | None = None) -> dict[str, Any]:
        connection = connection or self.router()
        connection.request("POST", "/predict", body, {"Content-Type": content_type})
        response = connection.getresponse()
        text = response.read()
        assert response.status == 200, (response.status, text)
        answer: dict[str, Any] = json.loads(text)
        return answer

    def logs(self) -> str:
        return "\n".join(f"--- {pod.name} restarts={pod.restarts}\n{pod.output()[-3000:]}" for pod in self.kubelet.pods)


def secret(name: str, data: dict[str, bytes]) -> Object:
    import base64

    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "immich"}, "data": encoded}


def known_answers(cache: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sandbox.VENV / "bin/python", "-m", "tests.helm.cluster.known_answers", cache],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def installed(folder: Path, values: Object, *objects: Object) -> Iterator[Mesh]:
    cache = folder / "claims" / CLAIM
    cache.mkdir(parents=True)
    answers = known_answers(cache)
    with api.running() as server, node(server, folder) as kubelet:
        for one in objects:
            server.create(one)
        server.create(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": CLAIM, "namespace": "immich"},
                "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
            }
        )
        mesh = Mesh(server, kubelet, Helm(server), answers)
        try:
            mesh.helm.install(values, wait=True, timeout=90)
            yield mesh
        except BaseException:
            print(mesh.logs())
            raise


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """The chart with its defaults and a token, on models with known answers."""
    folder = tmp_path_factory.mktemp("node")
    yield from installed(folder, VALUES, secret("mesh-token", {"token": b"a-shared-token"}))


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


def test_every_pod_is_ready_without_a_restart(mesh: Mesh) -> None:
    for component, count in (("router", 2), ("ocr", 1), ("clip", 1), ("face", 1)):
        pods = mesh.pods(component)
        assert len(pods) == count
        assert all(pod.ready and pod.restarts == 0 for pod in pods), mesh.logs()


def test_the_recorded_photo_gets_its_vector(mesh: Mesh) -> None:
    answer = mesh.predict("predict-clip-visual")
    assert cosine(json.loads(answer["clip"]), mesh.answers["clip_visual"]) > 0.999
    assert (answer["imageWidth"], answer["imageHeight"]) == (800, 600)


def test_the_recorded_search_gets_its_vector(mesh: Mesh) -> None:
    answer = mesh.predict("predict-clip-textual-language")
    assert cosine(json.loads(answer["clip"]), mesh.answers["clip_textual"]) > 0.99999


def test_the_recorded_photo_is_read(mesh: Mesh) -> None:
    found = mesh.predict("predict-ocr")["ocr"]
    print(found)
    assert len(found["text"]) == len(found["boxScore"]) == len(found["textScore"]) == len(found["box"]) // 8


def test_the_recorded_photo_shows_nobody(mesh: Mesh) -> None:
    assert mesh.predict("predict-facial-recognition")["facial-recognition"] == []
