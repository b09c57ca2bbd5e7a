"""Pods as they are needed, down to none: real metrics of real processes, read and judged as KEDA does it."""

import itertools
import threading
from collections.abc import Iterator
from http.client import HTTPException

import pytest

from tests.helm.cluster import sandbox
from tests.helm.cluster.keda import Keda
from tests.helm.cluster.mesh import VALUES, Mesh, installed, merged, recorded_form
from tests.helm.conftest import CHART
from tests.waiting import PATIENCE_SECONDS

pytestmark = [
    pytest.mark.skipif(bool(sandbox.available()), reason=sandbox.available()),
]

OCR = "mesh-immich-mesh-ocr"
PHOTO = CHART / "files" / "photo.png"
SCALING = {
    "enabled": True, "minReplicas": 0, "maxReplicas": 2, "targetCPUUtilizationPercentage": 0, "targetQueueLength": 2,
    "keda": {"enabled": True, "cooldownPeriod": 5},
}  # fmt: skip
VALUES_TO_NOTHING = merged(VALUES, {
    "auth": {"existingSecret": ""},
    "secondRouter": {"enabled": False},
    "clip": {"enabled": False},
    "face": {"enabled": False},
    "ocr": {"autoscaling": SCALING},
})  # fmt: skip


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with installed(tmp_path_factory.mktemp("node"), VALUES_TO_NOTHING) as mesh:
        yield mesh


@pytest.fixture(scope="module")
def keda(mesh: Mesh) -> Iterator[Keda]:
    found = Keda(mesh.kubelet, mesh.server)
    mesh.server.call(found.start)
    yield found
    mesh.server.call(found.stop)


def test_who_is_not_asked_goes_to_the_last_pod(keda: Keda, mesh: Mesh) -> None:
    mesh.until(lambda: not mesh.pods("ocr"))
    assert keda.decisions == [(OCR, 0)]


def test_a_request_wakes_the_first_pod_and_is_answered_by_it(keda: Keda, mesh: Mesh) -> None:
    assert mesh.predict("predict-ocr")["ocr"]["text"] == []
    assert keda.decisions[1:] == [(OCR, 1)]
    assert len(mesh.pods("ocr")) == 1


def test_a_crowd_gets_more_pods_and_no_request_is_lost(keda: Keda, mesh: Mesh) -> None:
    wrong: list[str] = []
    done = threading.Event()
    numbers = itertools.count()

    def ask() -> None:
        connection = mesh.router()
        while not done.is_set():
            different = PHOTO.read_bytes() + str(next(numbers)).encode()  # equal photos are read once for all who ask
            try:
                if mesh.post(*recorded_form("predict-ocr", different), connection)["ocr"]["text"] != [
                    "IMMICH MESH 2026"
                ]:
                    wrong.append("a wrong answer")
            except (AssertionError, HTTPException, OSError) as error:
                wrong.append(f"{type(error).__name__} {error}")

    workers = [threading.Thread(target=ask) for _ in range(8)]
    for worker in workers:
        worker.start()
    try:
        mesh.until(lambda: (OCR, 2) in keda.decisions)
        mesh.until(lambda: [pod.ready for pod in mesh.pods("ocr")] == [True, True])
    finally:
        done.set()
        for worker in workers:
            worker.join(PATIENCE_SECONDS)
    assert wrong == []
    assert mesh.kubelet.errors == []
