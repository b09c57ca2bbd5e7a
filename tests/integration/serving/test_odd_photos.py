"""Photos of every odd shape and weight, to each service as a process that gets no more memory than the chart gives it:
the answer is right, or INVALID_ARGUMENT, and the process lives.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from immich_mesh.clip.v1 import clip_pb2, clip_pb2_grpc
from immich_mesh.face.v1 import face_pb2, face_pb2_grpc
from immich_mesh.ocr.v1 import ocr_pb2, ocr_pb2_grpc

from mesh.core.rpc.channels import CHANNEL_OPTIONS
from tests.builders import bombs, write_clip, write_faces
from tests.integration.cli.conftest import free_ports
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")

ROOT = Path(__file__).resolve().parents[3]
SIDES = (32_766, 32_767, 65_535, 65_536, 1_000_000, 20_000_000, 100_000_000, 178_956_970, 200_000_000)
ANSWERS = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}


def chart_limit(service: str) -> int:
    """Memory limit of a service's container, in bytes."""
    values = yaml.safe_load((ROOT / "helm/immich-mesh/values.yaml").read_text())
    limit: str = values[service]["resources"]["limits"]["memory"]
    assert limit.endswith("Gi")
    return int(limit.removesuffix("Gi")) << 30


@dataclass
class Limited:
    """A service's process, held to a limit, and its call.

    Attributes:
        send: a photo's status code, and the size that the answer names.
    """

    name: str
    process: subprocess.Popen[bytes]
    send: Callable[[bytes], tuple[grpc.StatusCode, tuple[int, int]]]

    def peak_bytes(self) -> int:
        """Most memory that it ever held."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) << 10


def caller(service: str, channel: grpc.Channel) -> Callable[[bytes], tuple[grpc.StatusCode, tuple[int, int]]]:
    stubs: dict[str, Callable[[bytes], Any]] = {
        "ocr": lambda data: ocr_pb2_grpc.OcrServiceStub(channel).Recognize(ocr_pb2.RecognizeRequest(image=data)),
        "clip": lambda data: clip_pb2_grpc.ClipServiceStub(channel).EncodeImage(
            clip_pb2.EncodeImageRequest(image=data)
        ),
        "face": lambda data: face_pb2_grpc.FaceServiceStub(channel).Detect(face_pb2.DetectRequest(image=data)),
    }

    def send(data: bytes) -> tuple[grpc.StatusCode, tuple[int, int]]:
        try:
            reply = stubs[service](data)
        except grpc.RpcError as error:
            return error.code(), (0, 0)
        return grpc.StatusCode.OK, (reply.image_width, reply.image_height)

    return send


@pytest.fixture(scope="module", params=["ocr", "clip", "face"])
def limited(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    name = request.param
    cache = tmp_path_factory.mktemp("cache")
    write_clip(cache)
    write_faces(cache)
    (port,) = free_ports(1)
    settings = {"PORT": str(port), "METRICS_PORT": "", "OFFLINE": "true", "THREADS": "2", "LOW_LATENCY_SESSIONS": "0"}
    environment = {**os.environ, "MESH_CACHE_FOLDER": str(cache)}
    environment |= {f"{name.upper()}_{key}": value for key, value in settings.items()}
    limit = chart_limit(name)
    process = subprocess.Popen(
        [sys.executable, "-m", f"{name}_service"],
        env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
    )
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS) as channel:
            grpc.channel_ready_future(channel).result(PATIENCE_SECONDS)
            send = caller(name, channel)
            end = time.monotonic() + PATIENCE_SECONDS
            while send(bombs.png(64, 64))[0] is not grpc.StatusCode.OK:
                assert time.monotonic() < end, "not ready in time"
            yield Limited(name, process, send)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("other", [1, 40])
@pytest.mark.parametrize("side", SIDES)
def test_a_side_of_any_length_is_answered(side: int, other: int, limited: Limited) -> None:
    if side * other > 300_000_000:
        return  # refused by its pixels, as a larger side with a shorter other one is here
    for width, height in ((side, other), (other, side)):
        code, size = limited.send(bombs.png(width, height))
        assert code in ANSWERS, (width, height)
        if code is grpc.StatusCode.OK:
            assert size == (width, height)
    assert limited.process.poll() is None
    assert limited.peak_bytes() < chart_limit(limited.name)


def test_a_panorama_is_answered(limited: Limited) -> None:
    assert limited.send(bombs.png(40_000, 700)) == (grpc.StatusCode.OK, (40_000, 700))
    assert limited.send(bombs.png(700, 40_000)) == (grpc.StatusCode.OK, (700, 40_000))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: bombs.float_tiff(13_376, 13_376), id="tiff of floats"),
        pytest.param(lambda: bombs.png(13_376, 13_376, bombs.RGBA), id="png rgba"),
        pytest.param(lambda: bombs.progressive_jpeg(4_096, 4_096, more_scans=1_500), id="jpeg of 1,500 scans"),
    ],
)
def test_a_bomb_is_refused_and_costs_next_to_nothing(make: Callable[[], bytes], limited: Limited) -> None:
    data = make()
    before = limited.peak_bytes()
    for _ in range(3):
        assert limited.send(data)[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert limited.peak_bytes() - before < 64 << 20
    assert limited.send(bombs.png(64, 64))[0] is grpc.StatusCode.OK


def test_many_large_photos_at_once_wait_for_memory(limited: Limited) -> None:
    """Sixteen that take half a gigabyte each, where the service has one for all of them."""
    data = bombs.png(9_000, 9_000, bombs.RGB)
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(limited.send, [data] * 16))
    assert {code for code, _ in replies} == {grpc.StatusCode.OK}
    assert limited.peak_bytes() < chart_limit(limited.name)
