"""onnxruntime-gpu where there is no card that it can use: no service is ever ready, and each says why.

The wheel has an environment of its own, since it and onnxruntime fill the same folder: `make test-gpu-wheel`.
"""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from immich_mesh.ocr.v1 import ocr_pb2, ocr_pb2_grpc

from tests.waiting import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / os.environ.get("MESH_GPU_ENVIRONMENT", ".venv-gpu") / "bin" / "python"
RECEIPT = ROOT / "tests" / "integration" / "ocr" / "photos" / "receipt.jpg"
SERVICES = {
    "ocr": "immich_mesh.ocr.v1.OcrService",
    "clip": "immich_mesh.clip.v1.ClipService",
    "face": "immich_mesh.face.v1.FaceService",
}

DRIVER = """
int cuInit(unsigned flags) { return 0; }
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cuDeviceGet(int *device, int number) { *device = 0; return number; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? MAJOR : MINOR; return 0; }
"""
"""Of the driver's library what is asked of it before anything else: which CUDA it knows, which card there is."""


LIST = """
from importlib.metadata import distributions
import onnxruntime
print(onnxruntime.get_available_providers())
print(sorted(one.name for one in distributions() if one.name.startswith("onnxruntime")))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Started:
    """A service of the environment with the GPU wheel. No card is shown to it, whatever this machine has."""

    def __init__(self, name: str, folder: Path, **more: str) -> None:
        self.port = free_port()
        self.log = folder / "log"
        prefix = name.upper()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CUDA_VISIBLE_DEVICES": "-1",
            "MESH_CACHE_FOLDER": str(folder / "models"),
            "MESH_OFFLINE": "true",
            f"{prefix}_PORT": str(self.port),
            f"{prefix}_METRICS_PORT": "",
            "DEVICE": "cuda",
            **more,
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [PYTHON, "-m", f"{name}_service"], env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
            )

    def serving(self, service: str) -> bool:
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            try:
                reply = health_pb2_grpc.HealthStub(channel).Check(  # type: ignore[attr-defined]
                    health_pb2.HealthCheckRequest(service=service), timeout=2
                )
            except grpc.RpcError:
                return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    def is_ready(self, service: str) -> bool:
        """Whether it says that it serves. Fails as soon as it has ended instead."""
        assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.log.read_text()}"
        return self.serving(service)

    def end(self, service: str) -> tuple[int, str]:
        """Its exit code and output, once it has ended. Fails as soon as it says that it serves."""

        def ended() -> bool:
            assert not self.serving(service), f"it says that it is ready: {self.log.read_text()}"
            return self.process.poll() is not None

        try:
            wait_until(ended)
        finally:
            self.process.kill()
            self.process.wait()
        return self.process.returncode, self.log.read_text()


def test_the_environment_has_the_gpu_wheel_and_no_other() -> None:
    listed = subprocess.run(
        [PYTHON, "-c", LIST],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "CUDAExecutionProvider" in listed.stdout, "the wheel offers the provider: that alone says nothing"
    assert "['onnxruntime-gpu']" in listed.stdout


@pytest.mark.parametrize(("name", "service"), SERVICES.items(), ids=SERVICES.keys())
def test_a_service_without_a_card_ends_with_the_reason_and_was_never_ready(
    name: str, service: str, tmp_path: Path
) -> None:
    code, output = Started(name, tmp_path).end(service)
    assert code == 1
    assert "cannot start" in output
    assert "there is no NVIDIA driver here (libcuda.so.1)" in output or "the NVIDIA driver finds no card" in output


@pytest.mark.parametrize(
    ("version", "capability", "reason"),
    [
        ("12040", (8, 6), "the NVIDIA driver knows CUDA 12.4, and this build needs 13"),
        ("13020", (6, 1), "its compute capability is 6.1, and this build starts at 7.5"),
    ],
    ids=["a driver that is too old", "a card that is too old"],
)
def test_a_driver_or_card_that_is_too_old_is_named(
    version: str, capability: tuple[int, int], reason: str, tmp_path: Path
) -> None:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler (Debian: apt-get install -y gcc libc6-dev)")
    source = tmp_path / "driver.c"
    source.write_text(DRIVER)
    values = [f"-DVERSION={version}", f"-DMAJOR={capability[0]}", f"-DMINOR={capability[1]}"]
    subprocess.run(["cc", "-shared", "-fPIC", *values, "-o", tmp_path / "libcuda.so.1", source], check=True)
    code, output = Started("ocr", tmp_path, LD_LIBRARY_PATH=str(tmp_path)).end(SERVICES["ocr"])
    assert code == 1
    assert reason in output


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_the_wheel_reads_photos_on_the_processor_when_that_is_allowed(device: str, tmp_path: Path) -> None:
    """An image for cards on a node without one."""
    started = Started("ocr", tmp_path, DEVICE=device)
    try:
        wait_until(lambda: started.is_ready(SERVICES["ocr"]))
        with grpc.insecure_channel(f"127.0.0.1:{started.port}") as channel:
            reply = ocr_pb2_grpc.OcrServiceStub(channel).Recognize(
                ocr_pb2.RecognizeRequest(image=RECEIPT.read_bytes()), timeout=PATIENCE_SECONDS
            )
    finally:
        started.process.kill()
        started.process.wait()
    assert "永兴超市购物小票" in [line.text for line in reply.lines]
