"""The `grpcurl` lines of docs/kubernetes.md, run by `buf curl` against a service's reflection at a forwarded address.

`buf` speaks the same protocol with the same words; only its options are called otherwise, and it takes a URL.
"""

import base64
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.node

ROOT = Path(__file__).resolve().parents[2]
BUF = ROOT / "tests" / "node" / "node_modules" / ".bin" / "buf"
PHOTO = ROOT / "helm" / "immich-mesh" / "files" / "photo.png"
DOCUMENTED = "localhost:50051"
SERVICE = "immich_mesh.ocr.v1.OcrService"


def documented_calls() -> list[list[str]]:
    """The words of every grpcurl line of the page, joined over its line ends."""
    page = (ROOT / "docs" / "kubernetes.md").read_text().replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(r"^grpcurl .*$", page, re.MULTILINE)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An OCR service with its bundled model, where `kubectl port-forward` would put it: on this machine's loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "OCR_PORT": str(port),
        "OCR_METRICS_PORT": "0",
        "OCR_CACHE_FOLDER": str(tmp_path_factory.mktemp("models")),
        "OCR_OFFLINE": "true",
        "OCR_THREADS": "1",
    }
    process = subprocess.Popen([sys.executable, "-m", "ocr_service"], cwd=ROOT, env=dict(os.environ, **settings))
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            wait_until_serving(channel)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0


def wait_until_serving(channel: grpc.Channel) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            stub = health_pb2_grpc.HealthStub(channel)
            reply = stub.Check(  # type: ignore[attr-defined]
                health_pb2.HealthCheckRequest(service=SERVICE), timeout=5, wait_for_ready=True
            )
        except grpc.RpcError:
            continue
        if reply.status == health_pb2.HealthCheckResponse.SERVING:
            return
        time.sleep(0.1)
    raise AssertionError("the OCR service did not become ready")


def buf_curl(*words: str, data: str | None = None) -> str:
    given = ["--data", "@-"] if data is not None else []
    done = subprocess.run(
        [BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", *given, *words],
        input=data,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_buf(words: list[str], address: str) -> str:
    """Runs one documented call and gives its answer."""
    assert words[:2] == ["grpcurl", "-plaintext"]
    words = words[2:]
    data = None
    if words[0] == "-d":
        assert words[1] == '{"image": "$(base64 -w0 receipt.jpg)"}'
        data = json.dumps({"image": base64.b64encode(PHOTO.read_bytes()).decode()})
        words = words[2:]
    assert words[0] == DOCUMENTED
    if words[1:] == ["list"]:
        return buf_curl("--list-services", f"http://{address}")
    if words[1] == "describe":
        return buf_curl("--list-methods", f"http://{address}")
    return buf_curl(f"http://{address}/{words[1]}", data=data if data is not None else "{}")


def test_the_page_shows_each_kind_of_call() -> None:
    kinds = {words[3] if words[2] == DOCUMENTED else words[5] for words in documented_calls()}
    assert {"list", "describe", f"{SERVICE}/Recognize", "immich_mesh.model.v1.ModelService/ListModels"} <= kinds


@pytest.mark.parametrize("number", range(len(documented_calls())))
def test_a_documented_call_works(number: int, address: str) -> None:
    words = documented_calls()[number]
    answer = as_buf(words, address)
    if words[-1] == "list":
        assert {SERVICE, "immich_mesh.model.v1.ModelService", "grpc.health.v1.Health"} <= set(answer.split())
    elif "describe" in words:
        assert f"{words[-1]}/Recognize" in answer.split()
    elif words[-1].endswith("Recognize"):
        reply = json.loads(answer)
        assert [line["text"] for line in reply["lines"]] == ["IMMICH MESH 2026"]
        assert (reply["imageWidth"], reply["imageHeight"]) == (480, 160)
    elif words[-1].endswith("ListModels"):
        assert {"MODEL_STATE_LOADED"} <= {model["state"] for model in json.loads(answer)["models"]}
    else:
        assert json.loads(answer) == {"status": "SERVING"}
