"""A release of the chart on a node of this machine: what the running tests have in common."""

import asyncio
import base64
import json
import math
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.helm.cluster import api, sandbox
from tests.helm.cluster.engine import Helm
from tests.helm.cluster.kubelet import Kubelet, node
from tests.helm.cluster.store import Object
from tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[3]
REQUESTS = ROOT / "tests" / "contract" / "requests"
CLAIM = "mesh-immich-mesh-models"

ROUTERS = ("router", "router-2")
COMPONENTS = (*ROUTERS, "ocr", "clip", "face")

SECOND = {"periodSeconds": 1, "failureThreshold": int(PATIENCE_SECONDS), "timeoutSeconds": 5}
VALUES: Object = {
    # As in a real cluster, but sooner; and without measuring what is the fastest on this processor.
    "defaults": {
        "device": "cpu",
        "probes": {"startup": SECOND, "readiness": {"periodSeconds": 1}, "liveness": {"periodSeconds": 5}},
        "termination": {"preStopSeconds": 2, "drainSeconds": 20},
    },
    "router": {"probes": {"startup": SECOND}},
    "ocr": {"config": {"threads": 1}},
    "models": {"persistence": {"existingClaim": CLAIM}},
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

    def router(self, component: str = "router") -> HTTPConnection:
        address = self.server.call(lambda: self.kubelet.service_address(f"mesh-immich-mesh-{component}"))
        return HTTPConnection(address, 3003, timeout=PATIENCE_SECONDS)

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

    def predict_as_immich(self, name: str) -> dict[str, Any]:
        """What Immich does with a job: each URL is tried once, in order; when the last one fails the job is dropped."""
        for component in ROUTERS[:-1]:
            try:
                return self.predict(name, self.router(component))
            except (AssertionError, HTTPException, OSError):
                continue
        return self.predict(name, self.router(ROUTERS[-1]))

    def run(self, pod: Any, words: list[str]) -> int:
        """A command inside a pod; its exit code."""
        return asyncio.run_coroutine_threadsafe(pod.execute(words), self.server.loop).result(30)

    def until(self, holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        """Waits for something that other processes bring about."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, self.logs()
            time.sleep(0.2)

    def logs(self) -> str:
        return "\n".join(f"--- {pod.name} restarts={pod.restarts}\n{pod.output()[-3000:]}" for pod in self.kubelet.pods)


def secret(name: str, data: dict[str, bytes]) -> Object:
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


@contextmanager
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
            mesh.helm.install(values, wait=True, timeout=int(PATIENCE_SECONDS))
            yield mesh
        except BaseException:
            print(mesh.logs())
            raise


def recorded_form(name: str, photo: bytes) -> tuple[bytes, str]:
    """A recorded request's form with another photo; body and content type."""
    head, body = (REQUESTS / f"{name}.raw").read_bytes().split(b"\r\n\r\n", 1)
    content_type = next(line[14:] for line in head.decode().splitlines() if line.lower().startswith("content-type: "))
    start, end = body.index(b"\xff\xd8\xff"), body.rindex(b"\xff\xd9") + 2
    return body[:start] + photo + body[end:], content_type


def merged(values: Object, more: Object) -> Object:
    """Values over values."""
    found = dict(values)
    for name, value in more.items():
        found[name] = merged(found.get(name, {}), value) if isinstance(value, dict) else value
    return found


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))
