"""TLS is switched on and off again, pod by pod, while Immich asks: no answer is lost between two pods."""

import json
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPException

import grpc
import pytest

from tests.helm.cluster import sandbox
from tests.helm.cluster.mesh import ROOT, VALUES, Mesh, installed, merged
from tests.helm.cluster.store import Object
from tests.helm.test_running_secured import certificate_names
from tests.waiting import PATIENCE_SECONDS

pytestmark = [
    pytest.mark.skipif(bool(sandbox.available()), reason=sandbox.available()),
]

SLOW = {"periodSeconds": 1, "timeoutSeconds": 60}  # with TLS each try starts a Python
PLAIN = merged(VALUES, {
    "auth": {"existingSecret": ""},
    "clip": {"enabled": False},
    "face": {"enabled": False},
    "defaults": {"probes": {"startup": SLOW, "readiness": SLOW, "liveness": {**SLOW, "periodSeconds": 10}}},
})  # fmt: skip
TLS = {"enabled": True, "existingSecret": "mesh-tls"}
PERMISSIVE = merged(PLAIN, {"tls": {**TLS, "mode": "permissive"}})
STRICT = merged(PLAIN, {"tls": TLS})


def certificates() -> Object:
    done = subprocess.run(
        [sandbox.VENV / "bin/python", "-m", "tests.helm.cluster.certificates", *certificate_names(PLAIN)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    metadata = {"name": "mesh-tls", "namespace": "immich"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": json.loads(done.stdout)}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with installed(tmp_path_factory.mktemp("node"), PLAIN, certificates()) as mesh:
        yield mesh


class Immich:
    """Two workers that ask for text over and over, each on a connection that it keeps."""

    def __init__(self, mesh: Mesh) -> None:
        self.wrong: list[str] = []
        self.answered = 0
        self._mesh = mesh
        self._done = threading.Event()
        self._workers = [threading.Thread(target=self._work) for _ in range(2)]

    def __enter__(self) -> "Immich":
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for worker in self._workers:
            worker.join(PATIENCE_SECONDS)

    def _work(self) -> None:
        connection = self._mesh.router()
        while not self._done.is_set():
            try:
                if self._mesh.predict("predict-ocr", connection)["ocr"]["text"]:
                    self.wrong.append("a wrong answer")
            except (AssertionError, HTTPException, OSError) as error:
                self.wrong.append(f"{type(error).__name__} {error}")
                connection.close()
                connection = self._mesh.router()
            self.answered += 1


def plain_text_is_taken(mesh: Mesh) -> bool:
    (pod,) = mesh.pods("ocr")
    with grpc.insecure_channel(f"{pod.address}:50051") as channel:
        try:
            channel.unary_unary("/immich_mesh.model.v1.ModelService/ListModels")(b"", timeout=PATIENCE_SECONDS)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            return False
        return True


STEPS: dict[str, tuple[Object, bool]] = {
    "on, permissive": (PERMISSIVE, True),
    "on, strict": (STRICT, False),
    "off, permissive": (PERMISSIVE, True),
    "off": (PLAIN, True),
}
"""What is upgraded to, in this order, and whether plain text is taken then."""


@pytest.mark.parametrize(("values", "taken"), STEPS.values(), ids=STEPS.keys())
def test_no_answer_is_lost_while_pods_of_both_kinds_run(values: Object, taken: bool, mesh: Mesh) -> None:
    """The service's pod is another one after each step; routers that may stay take the change over."""
    before = {pod.name for pod in mesh.pods("ocr")}
    with Immich(mesh) as immich:
        mesh.until(lambda: immich.answered >= 2)
        mesh.helm.upgrade(values, wait=True, timeout=int(PATIENCE_SECONDS))
        mesh.until(lambda: all(pod.exit_code is not None for pod in mesh.kubelet.pods if pod.name in before))
        seen = immich.answered
        mesh.until(lambda: immich.answered > seen + 2)
    assert immich.wrong == []
    assert plain_text_is_taken(mesh) is taken
    assert not {pod.name for pod in mesh.pods("ocr")} & before
    assert mesh.kubelet.errors == []
