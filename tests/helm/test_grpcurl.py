"""The `grpcurl` lines of README.md and docs/kubernetes.md, run as they are printed, on a photo of usual size.

Only the addresses are replaced: the services listen where `kubectl port-forward` would put them, on free ports.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.helm.cluster.mesh import known_answers
from tests.helm.cluster.sandbox import VENV
from tests.helm.conftest import CHART
from tests.waiting import PATIENCE_SECONDS

ROOT = CHART.parents[1]
PAGES = ("README.md", "docs/kubernetes.md")
PORTS = {"ocr": 50051, "clip": 50052, "face": 50053}
SERVICES = {name: f"immich_mesh.{name}.v1.{name.capitalize()}Service" for name in PORTS}
LARGEST_ARGUMENT = 128 * 1024  # MAX_ARG_STRLEN of Linux

Call = tuple[str, str]
"""A page and one logical line of it."""


def shell_lines(page: str) -> list[str]:
    """The logical lines of a page's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in re.sub(r"\\\\\n\s*", " ", block).splitlines()]


def calls() -> list[Call]:
    return [(page, line) for page in PAGES for line in shell_lines(page) if "grpcurl " in line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the lines are run: with a photo of more bytes than an argument may have."""
    found = tmp_path_factory.mktemp("calls")
    photo = str(CHART / "files" / "photo.png")
    whole = f"from PIL import Image; Image.open({photo!r}).convert('RGB').save('receipt.jpg', 'PNG', compress_level=0)"
    subprocess.run([VENV / "bin/python", "-c", whole], cwd=found, check=True)
    assert (found / "receipt.jpg").stat().st_size > LARGEST_ARGUMENT
    return found


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The three services with models of known answers: the port of each."""
    cache = tmp_path_factory.mktemp("models")
    known_answers(cache)
    with contextlib.ExitStack() as running:
        found = {name: running.enter_context(service(name, cache)) for name in PORTS}
        for name, port in found.items():
            wait_until_serving(port, SERVICES[name])
        yield found


@contextlib.contextmanager
def service(name: str, cache: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    settings = {
        f"{name.upper()}_PORT": str(port),
        f"{name.upper()}_METRICS_PORT": "0",
        "MESH_CACHE_FOLDER": str(cache),
        "MESH_OFFLINE": "true",
        "MESH_DEVICE": "cpu",
        "HOME": str(cache),
    }
    process = subprocess.Popen(
        [VENV / "bin/python", "-m", f"{name}_service"], cwd=ROOT, env=dict(os.environ, **settings)
    )
    try:
        yield port
    finally:
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0


def wait_until_serving(port: int, service: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < end:
            try:
                reply = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5, wait_for_ready=True)
            except grpc.RpcError:
                continue
            if reply.status == health_pb2.HealthCheckResponse.SERVING:
                return
            time.sleep(0.1)
    raise AssertionError(f"{service} did not become ready")


def run(line: str, page: str, ports: dict[str, int], folder: Path) -> str:
    """One line in the shell that its page's reader has, with what the page defines before."""
    definitions = [one for one in shell_lines(page) if re.match(r"\w+\(\) ", one)]
    for name, printed in PORTS.items():
        line = line.replace(f"localhost:{printed}", f"localhost:{ports[name]}")
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join([*definitions, line])],
        cwd=folder,
        env=dict(os.environ, PATH=programs),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_a_photo_to_each_service(page: str) -> None:
    lines = [line for where, line in calls() if where == page]
    for method in ("OcrService/Recognize", "ClipService/EncodeImage", "FaceService/Detect", " list", " describe "):
        assert any(method in line for line in lines), method


@pytest.mark.parametrize(("page", "line"), calls())
def test_a_documented_call_works(page: str, line: str, ports: dict[str, int], folder: Path) -> None:
    answer = run(line, page, ports, folder)
    if line.endswith(" list"):
        assert {SERVICES["ocr"], "immich_mesh.model.v1.ModelService", "grpc.health.v1.Health"} <= set(answer.split())
    elif " describe " in line:
        assert "rpc Recognize" in answer
    elif line.endswith("Recognize"):
        assert [one["text"] for one in json.loads(answer)["lines"]] == ["IMMICH MESH 2026"]
    elif line.endswith("EncodeImage"):
        reply = json.loads(answer)
        assert (reply["image_width"], reply["image_height"]) == (480, 160)
        assert abs(sum(number * number for number in reply["embedding"]) - 1) < 1e-3
    elif line.endswith("Detect"):
        reply = json.loads(answer)
        assert (reply["image_width"], reply["image_height"], reply.get("faces", [])) == (480, 160, [])
    elif line.endswith("ListModels"):
        assert {"MODEL_STATE_LOADED"} <= {model["state"] for model in json.loads(answer)["models"]}
    else:
        assert json.loads(answer) == {"status": "SERVING"}
