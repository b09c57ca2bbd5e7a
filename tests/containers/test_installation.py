"""The install steps of each target in a clean environment: what is there runs, is healthy, and ends when told to.

No container engine is needed: the same `uv sync` into an empty folder, the image's own variables, command and check.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.containers.dockerfile import ROOT, SERVICES, Dockerfile
from tests.waiting import PATIENCE_SECONDS

DOCKERFILE = Dockerfile()
RUNNING = ("router", *SERVICES)
SLIM = {
    *(
        "libc.so",
        "libm.so",
        "libdl.so",
        "librt.so",
        "libpthread.so",
        "libutil.so",
        "ld-linux-x86-64.so",
        "linux-vdso.so",
    ),
    *("libstdc++.so", "libgcc_s.so", "libz.so"),
}
"""Libraries of the slim base: the C and C++ runtimes, and zlib, which Python itself needs."""


@dataclass(frozen=True)
class Installation:
    """A target installed into a folder."""

    target: str
    folder: Path

    @property
    def packages(self) -> Path:
        (found,) = (self.folder / "lib").glob("python3.*/site-packages")
        return found

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "bin" / words[0], *words[1:]], capture_output=True, text=True, check=False, cwd=self.folder
        )


@pytest.fixture(scope="module", params=[*RUNNING, "cli"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp(request.param)
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run(
        [find_uv_bin(), "sync", "--quiet", "--python", sys.executable, *DOCKERFILE.sync_arguments(request.param)],
        cwd=ROOT,
        check=True,
        env=environment | {"UV_PROJECT_ENVIRONMENT": str(folder)},
    )
    yield Installation(request.param, folder)
    shutil.rmtree(folder)


def test_there_is_exactly_one_onnxruntime_and_one_opencv(installation: Installation) -> None:
    runtimes = [path.name for path in installation.packages.glob("onnxruntime*.dist-info")]
    assert len(runtimes) == (1 if installation.target in SERVICES else 0), runtimes
    assert len(list(installation.packages.glob("opencv*.dist-info"))) == len(runtimes)
    assert not list(installation.packages.glob("torch*"))


def test_our_code_is_installed_as_a_wheel_not_linked(installation: Installation) -> None:
    assert (installation.packages / "mesh" / "core" / "errors.py").is_file()
    assert not list(installation.packages.glob("*immich_mesh*.pth"))
    done = installation.run("python", "-c", "import mesh; print(mesh.__file__)")
    assert done.stdout.startswith(str(installation.folder)), done.stderr


def test_the_int8_graphs_are_part_of_the_wheel(installation: Installation) -> None:
    ours = sorted(path.name for path in (ROOT / "ocr_service" / "int8").iterdir())
    assert len(ours) == 3
    assert sorted(path.name for path in (installation.packages / "ocr_service" / "int8").iterdir()) == ours


ON_DEMAND = {"libopenvino_intel_gpu_plugin.so", "libopenvino_intel_npu_plugin.so"}
"""Opened only where an Intel GPU or NPU is asked for; the driver's libraries come with it."""


def test_compiled_modules_need_no_library_that_a_slim_image_lacks(installation: Installation) -> None:
    """Beside what the wheels bring along themselves."""
    checked = 0
    for module in installation.packages.rglob("*.so*"):
        if module.name in ON_DEMAND:
            continue
        listed = subprocess.run(["ldd", module], capture_output=True, text=True, check=False).stdout
        checked += 1
        for line in listed.splitlines():
            name, _, rest = line.strip().partition(" => ")
            base = Path(name.split()[0]).name.split(".so")[0] + ".so" if name else ""
            if str(installation.folder) not in rest and "statically linked" not in line:
                assert base in SLIM, f"{module.name} needs {line.strip()}"
    assert checked > 10


def test_the_command_line_answers(installation: Installation) -> None:
    for words in (["--version"], ["models", "pull", "--help"], ["db", "migrate", "--help"]):
        done = installation.run("immich-mesh", *words)
        assert done.returncode == 0, done.stderr


def test_the_doctor_looks_at_the_process_of_its_image(installation: Installation, tmp_path: Path) -> None:
    image = DOCKERFILE.environment(installation.target)
    own = {"MESH_CACHE_FOLDER": str(tmp_path), "MESH_OFFLINE": "true", "HOME": str(tmp_path)}
    done = subprocess.run(
        [installation.folder / "bin" / "immich-mesh", "doctor", "--json"],
        env=image | own | {"PATH": f"{installation.folder / 'bin'}:/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    found = {finding["subject"]: finding for finding in json.loads(done.stdout)}
    assert found["imports"]["verdict"] == "good", found
    assert found["settings"]["text"] == f"of {installation.target} are valid"
    devices = {subject for subject in found if subject.endswith(" device")}
    assert devices == ({f"{installation.target} device"} if installation.target in SERVICES else set())


def caught_signals(process: int) -> set[int]:
    """The signals that a process has a handler for."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    mask = int(next(line for line in lines if line.startswith("SigCgt")).split()[1], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_images_command_becomes_healthy_and_ends_on_sigterm(installation: Installation, tmp_path: Path) -> None:
    target = installation.target
    if target not in RUNNING:
        return
    ports = {name: free_port() for name in ("main", "admin", "metrics", "photos")}
    check = DOCKERFILE.command(target, "HEALTHCHECK")
    image = DOCKERFILE.environment(target) | {"HOME": str(tmp_path), "MESH_CACHE_FOLDER": str(tmp_path / "models")}
    image |= {"PATH": f"{installation.folder / 'bin'}:/usr/bin:/bin", "MESH_OFFLINE": "true"}
    if target == "router":
        image |= {
            "ROUTER_METRICS_PORT": str(ports["metrics"]),
            "ROUTER_LISTENERS__IMMICH_ML__PORT": str(ports["main"]),
            "ROUTER_LISTENERS__ADMIN__PORT": str(ports["admin"]),
        }
        # Ready needs a service; that it answers is what can be asked of it alone.
        check = [word.replace("9901/ready", f"{ports['admin']}/info") for word in check]
    else:
        image |= {f"{target.upper()}_PORT": str(ports["main"]), f"{target.upper()}_METRICS_PORT": str(ports["metrics"])}
        check[3] = str(ports["main"])
    process = subprocess.Popen(DOCKERFILE.command(target, "CMD"), env=image, cwd=tmp_path)
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        while subprocess.run(check, env=image, cwd=tmp_path, check=False).returncode != 0:
            assert process.poll() is None, "it ended; see its output"
            assert time.monotonic() < end, "not healthy in time"
        # As process 1 of a container a signal without a handler is ignored: SIGTERM must have one.
        assert signal.SIGTERM in caught_signals(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
        assert subprocess.run(check, env=image, cwd=tmp_path, check=False).returncode == 1
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
