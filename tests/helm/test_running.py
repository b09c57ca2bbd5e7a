"""The rendered chart runs: its Deployments and Services as containers of this machine, answering Immich's requests."""

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any

import grpc
import pytest

from tests.helm.cluster import sandbox
from tests.helm.cluster.mesh import COMPONENTS, ROUTERS, VALUES, Mesh, cosine, installed, merged, recorded_form, secret
from tests.helm.conftest import CHART
from tests.waiting import PATIENCE_SECONDS

pytestmark = [
    pytest.mark.skipif(bool(sandbox.available()), reason=sandbox.available()),
]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """The chart with its defaults and a token, on models with known answers."""
    folder = tmp_path_factory.mktemp("node")
    with installed(folder, VALUES, secret("mesh-token", {"token": b"a-shared-token"})) as mesh:
        yield mesh


def test_each_pod_looked_for_its_model_before_it_started(mesh: Mesh) -> None:
    """They are cached already; a name that `immich-mesh models pull` does not know would have failed the install."""
    for component, name in (("clip", "ViT-B-16__cn-clip"), ("face", "buffalo_l")):
        (pod,) = mesh.pods(component)
        assert f"{name} is in /models/" in pod.logs[0].read_text()


def test_every_pod_is_ready_without_a_restart(mesh: Mesh) -> None:
    for component, count in ((name, 1) for name in COMPONENTS):
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


def test_the_recorded_photo_without_text_gives_none(mesh: Mesh) -> None:
    assert mesh.predict("predict-ocr")["ocr"] == {"text": [], "box": [], "boxScore": [], "textScore": []}


def test_a_photo_with_text_is_read(mesh: Mesh) -> None:
    photo = (CHART / "files" / "photo.png").read_bytes()
    found = mesh.post(*recorded_form("predict-ocr", photo))["ocr"]
    assert found["text"] == ["IMMICH MESH 2026"]
    assert len(found["text"]) == len(found["boxScore"]) == len(found["textScore"]) == len(found["box"]) // 8


def test_the_recorded_photo_shows_nobody(mesh: Mesh) -> None:
    assert mesh.predict("predict-facial-recognition")["facial-recognition"] == []


def test_a_face_is_found_and_encoded(mesh: Mesh) -> None:
    photo = base64.b64decode(mesh.answers["face_photo"])
    (face,) = mesh.post(*recorded_form("predict-facial-recognition", photo))["facial-recognition"]
    box = face["boundingBox"]
    assert all(
        abs(box[name] - value) <= 2
        for name, value in zip(("x1", "y1", "x2", "y2"), mesh.answers["face_box"], strict=True)
    )
    assert cosine(json.loads(face["embedding"]), mesh.answers["face_vector"]) > 0.99


def test_services_refuse_calls_without_the_token(mesh: Mesh) -> None:
    pod = mesh.pods("ocr")[0]
    with grpc.insecure_channel(f"{pod.address}:50051") as channel:
        call = channel.unary_unary("/immich_mesh.model.v1.ModelService/ListModels")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=PATIENCE_SECONDS)
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        token = (("authorization", "Bearer a-shared-token"),)
        assert call(b"", timeout=PATIENCE_SECONDS, metadata=token)


def test_every_container_has_no_root_and_writes_nothing_outside_its_volumes(mesh: Mesh) -> None:
    for component in COMPONENTS:
        pod = mesh.pods(component)[0]
        assert mesh.run(pod, ["sh", "-c", "test $(id -u) = 65532"]) == 0
        assert mesh.run(pod, ["sh", "-c", "touch /tmp/here"]) == 0
        assert mesh.run(pod, ["sh", "-c", "touch /here 2>/dev/null"]) != 0


def test_every_port_that_is_declared_is_listened_to(mesh: Mesh) -> None:
    without_key = {"mt-photos"}  # opens with MT_PHOTOS_API_KEY alone
    for component in COMPONENTS:
        for pod in mesh.pods(component):
            for port in pod.container["ports"]:
                if port["name"] not in without_key:
                    socket.create_connection((pod.address, port["containerPort"]), timeout=5).close()


def test_prometheus_finds_metrics_where_the_services_say(mesh: Mesh) -> None:
    for component, name in (("router", "immich_mesh_router_requests_total"), ("clip", "immich_mesh_inference_seconds")):
        connection = HTTPConnection(mesh.pods(component)[0].address, 9464, timeout=PATIENCE_SECONDS)
        connection.request("GET", "/metrics")
        assert name in connection.getresponse().read().decode()


def test_helm_test_passes(mesh: Mesh) -> None:
    mesh.helm.test()
    pod = next(pod for pod in reversed(mesh.kubelet.pods) if pod.owner.endswith("test-predict"))
    assert pod.exit_code == 0, pod.output()
    assert pod.output().count(": ok, ") == 3, pod.output()


def test_a_changed_configuration_is_taken_over_without_a_restart(mesh: Mesh) -> None:
    def routers() -> list[Any]:
        return [pod for name in ROUTERS for pod in mesh.pods(name)]

    before = [pod.name for pod in routers()]
    values = merged(VALUES, {"router": {"config": {"clusters": {"clip": {"balancer": "round_robin"}}}}})
    mesh.helm.upgrade(values, wait=True, timeout=int(PATIENCE_SECONDS))
    code = "import urllib.request as r; assert b'round_robin' in r.urlopen('http://127.0.0.1:9901/config_dump').read()"
    for pod in routers():
        mesh.until(lambda pod=pod: mesh.run(pod, ["python", "-c", code]) == 0)
    assert [pod.name for pod in routers()] == before


def test_a_token_is_replaced_in_two_steps_without_a_restart(mesh: Mesh) -> None:
    """The services accept each line of the file, the former one for minutes more; the routers show the first."""
    before = {pod.name for component in COMPONENTS for pod in mesh.pods(component)}
    (ocr,) = mesh.pods("ocr")

    def accepted(token: str) -> bool:
        with grpc.insecure_channel(f"{ocr.address}:50051") as channel:
            call = channel.unary_unary("/immich_mesh.model.v1.ModelService/ListModels")
            try:
                return bool(call(b"", timeout=PATIENCE_SECONDS, metadata=(("authorization", f"Bearer {token}"),)))
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAUTHENTICATED:
                    raise
                return False

    mesh.server.create(secret("mesh-token", {"token": b"a-shared-token\nthe-next-token"}))
    mesh.until(lambda: accepted("the-next-token"))
    assert accepted("a-shared-token")
    mesh.server.create(secret("mesh-token", {"token": b"the-next-token\na-shared-token"}))
    mesh.predict("predict-ocr")
    assert accepted("the-next-token")
    mesh.server.create(secret("mesh-token", {"token": b"the-next-token"}))
    mesh.predict("predict-ocr")
    assert not accepted("a-token-of-nobody")
    assert {pod.name for component in COMPONENTS for pod in mesh.pods(component)} == before


def test_rolling_every_deployment_loses_no_request(mesh: Mesh) -> None:
    """While all pods are replaced, Immich's three workers, each on a kept-alive connection, get every answer right."""
    before = {pod.name for component in COMPONENTS for pod in mesh.pods(component)}
    done = threading.Event()
    wrong: list[str] = []
    answered = [0]

    def worker(name: str, right: Callable[[dict[str, Any]], bool]) -> None:
        connection = mesh.router()
        while not done.is_set():
            try:
                if not right(mesh.predict(name, connection)):
                    wrong.append(f"{name}: a wrong answer")
            except (AssertionError, HTTPException, OSError) as error:
                wrong.append(f"{name}: {type(error).__name__} {error}")
                connection.close()
                connection = mesh.router()
            answered[0] += 1

    checks: dict[str, Callable[[dict[str, Any]], bool]] = {
        "predict-clip-visual": lambda one: cosine(json.loads(one["clip"]), mesh.answers["clip_visual"]) > 0.999,
        "predict-facial-recognition": lambda one: one["facial-recognition"] == [],
        "predict-ocr": lambda one: one["ocr"]["text"] == [],
    }
    workers = [threading.Thread(target=worker, args=item) for item in checks.items()]
    for thread in workers:
        thread.start()
    try:
        mesh.helm.upgrade(
            merged(VALUES, {"defaults": {"podAnnotations": {"rolled": "yes"}}}),
            wait=True,
            timeout=int(PATIENCE_SECONDS),
        )
        mesh.until(lambda: all(pod.exit_code is not None for pod in mesh.kubelet.pods if pod.name in before))
    finally:
        done.set()
        for thread in workers:
            thread.join(60)
    assert wrong == []
    assert answered[0] > 20
    assert not [pod.name for pod in mesh.kubelet.pods if pod.name in before and pod.killed]


def test_nothing_went_wrong_on_the_way(mesh: Mesh) -> None:
    assert mesh.kubelet.errors == []
    for component in COMPONENTS:
        assert [pod.restarts for pod in mesh.pods(component)] == [0] * len(mesh.pods(component))


@pytest.mark.parametrize("killed", ROUTERS)
def test_a_router_that_is_killed_loses_no_job_of_immichs(killed: str, mesh: Mesh) -> None:
    """kill -9 in the middle of jobs: Immich's second URL leads to a router that lives."""
    (chosen,) = mesh.pods(killed)
    restarts = chosen.restarts
    done = threading.Event()
    lost: list[str] = []
    answered = [0]

    def worker() -> None:
        while not done.is_set():
            try:
                mesh.predict_as_immich("predict-clip-visual")
            except (AssertionError, HTTPException, OSError) as error:
                lost.append(f"{type(error).__name__} {error}")
            answered[0] += 1

    workers = [threading.Thread(target=worker) for _ in range(3)]
    for thread in workers:
        thread.start()
    try:
        mesh.until(lambda: answered[0] >= 3)
        mesh.server.call(chosen.crash)
        mesh.until(lambda: chosen.restarts > restarts and chosen.ready)
    finally:
        done.set()
        for thread in workers:
            thread.join(60)
    assert lost == []
    assert mesh.kubelet.errors == []
