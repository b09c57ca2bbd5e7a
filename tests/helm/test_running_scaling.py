"""Pods as they are needed, down to none: real metrics of real processes, read and judged as KEDA does it."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
NUMBERS = itertools.count()
PHOTO = CHART / "files" / "photo.png"
SCALING = {
    "enabled": True, "minReplicas": 0, "maxReplicas": 2, "targetCPUUtilizationPercentage": 0,
    "targetOutstandingRequests": 2, "keda": {"enabled": True, "cooldownPeriod": 5},
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


def test_there_is_a_pod_while_nobody_reads_the_routers(keda: Keda, mesh: Mesh) -> None:
    keda.reads_nobody = True
    mesh.until(lambda: len(mesh.pods("ocr")) == 1)
    assert keda.decisions == [(OCR, 0), (OCR, 1)]
    keda.reads_nobody = False
    mesh.until(lambda: not mesh.pods("ocr"))


def test_a_request_wakes_the_first_pod_and_is_answered_by_it(keda: Keda, mesh: Mesh) -> None:
    keda.decisions.clear()
    assert mesh.predict("predict-ocr")["ocr"]["text"] == []
    assert keda.decisions == [(OCR, 1)]
    assert len(mesh.pods("ocr")) == 1


def test_a_crowd_gets_more_pods_and_no_request_is_lost(keda: Keda, mesh: Mesh) -> None:
    with crowd(mesh):
        mesh.until(lambda: (OCR, 2) in keda.decisions)
        mesh.until(lambda: [pod.ready for pod in mesh.pods("ocr")] == [True, True])
    assert mesh.kubelet.errors == []


def test_a_pod_that_always_runs_gets_a_second_by_what_waits_at_the_routers(keda: Keda, mesh: Mesh) -> None:
    always_one = {**SCALING, "minReplicas": 1}
    mesh.helm.upgrade(merged(VALUES_TO_NOTHING, {"ocr": {"autoscaling": always_one}}))
    mesh.until(lambda: keda.decisions[-1:] == [(OCR, 1)] and len(mesh.pods("ocr")) == 1)
    with crowd(mesh):
        mesh.until(lambda: keda.decisions[-1:] == [(OCR, 2)])
    assert mesh.kubelet.errors == []


@contextmanager
def crowd(mesh: Mesh) -> Iterator[None]:
    """Eight callers that ask without a pause. Each must get the right answer, each time."""
    wrong: list[str] = []
    done = threading.Event()

    def ask() -> None:
        connection = mesh.router()
        while not done.is_set():
            different = PHOTO.read_bytes() + str(next(NUMBERS)).encode()  # equal photos are read once for all who ask
            try:
                text = mesh.post(*recorded_form("predict-ocr", different), connection)["ocr"]["text"]
                if text != ["IMMICH MESH 2026"]:
                    wrong.append("a wrong answer")
            except (AssertionError, HTTPException, OSError) as error:
                wrong.append(f"{type(error).__name__} {error}")

    workers = [threading.Thread(target=ask) for _ in range(8)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        done.set()
        for worker in workers:
            worker.join(PATIENCE_SECONDS)
    assert wrong == []
