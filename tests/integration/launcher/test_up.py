"""`immich-mesh up` for real: processes, ports, a crash, and the end, with models whose answers are known.

One life of the mesh serves all of it, since its start costs seconds.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from launcher.router_client import RouterClient
from tests.builders.clip import write_clip
from tests.builders.faces import marker_photo, write_faces

START_SECONDS = 60.0


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Up:
    """A running `immich-mesh up`, and what it has written so far."""

    def __init__(self, folder: Path, *arguments: str, clip: bool = True, output: int | None = None) -> None:
        if clip:
            write_clip(folder / "cache")
        write_faces(folder / "cache")
        names = ["OCR_PORT", "CLIP_PORT", "FACE_PORT", "OCR_METRICS_PORT", "CLIP_METRICS_PORT", "FACE_METRICS_PORT"]
        listeners = ("IMMICH_ML", "ADMIN", "MT_PHOTOS")
        names += [f"ROUTER_LISTENERS__{name}__PORT" for name in listeners]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.url = f"http://127.0.0.1:{self.ports['ROUTER_LISTENERS__IMMICH_ML__PORT']}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ROUTER_", "MESH_"))},
            **{name: str(port) for name, port in self.ports.items()},
            **{f"ROUTER_LISTENERS__{name}__HOST": "127.0.0.1" for name in listeners},
            "MESH_CACHE_FOLDER": str(folder / "cache"),
            "MESH_OFFLINE": "true",
            "OCR_LAZY": "true",
        }
        self._log = folder / "up.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "launcher.cli", "up", *arguments],
                env=self.environment,
                stdout=log if output is None else output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """All that it has written."""
        return self._log.read_text(errors="replace")

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match in the output. Fails when the process ends or time is up without it."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.output):
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{pattern!r} did not come; exit code {self.process.poll()}; output:\n{self.output}")

    def children(self) -> dict[str, int]:
        """The process ids of the children by module."""
        found = {}
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = status.read_text().split("\0")
                parent = int((status.parent / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == self.process.pid and "launcher.child" in words:
                found[words[words.index("launcher.child") + 1]] = int(status.parent.name)
        return found

    def end(self) -> None:
        """Ends it, whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path)
    yield running
    running.end()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Two marker faces."""
    path = tmp_path / "photo.png"
    boxes = {"magenta": (40, 60, 120, 140), "cyan": (200, 60, 300, 160)}
    Image.fromarray(marker_photo(400, 300, boxes)).save(path)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_one_machine_from_start_to_end(up: Up, photo: Path) -> None:
    up.wait_for(r"face +127\.0\.0\.1:\d+ +ready +buffalo_l")
    assert re.search(r"clip +127\.0\.0\.1:\d+ +ready +ViT-B-16__cn-clip", up.output)
    assert "URL: http://" in up.output
    assert set(up.children()) == {"ocr_service", "clip_service", "face_service", "router"}

    called = call(up, "face", str(photo), "--json", "--url", up.url)
    assert called.returncode == 0, called.stderr
    assert [face["score"] for face in json.loads(called.stdout)["faces"]] == pytest.approx([0.95, 0.75], abs=0.01)

    # A service that is killed is started again; a request in between is held, not lost.
    before = up.children()["face_service"]
    os.kill(before, signal.SIGKILL)
    with RouterClient(up.url, timeout_seconds=60.0) as client:
        assert len(client.detect(photo.read_bytes(), None, None).faces) == 2
    assert up.children()["face_service"] != before
    up.wait_for(r"mesh   \| face: not ready: ended \(SIGKILL\), is started again")

    # A second mesh on the same ports is told who has them.
    second = subprocess.run(
        [sys.executable, "-m", "launcher.cli", "up"], env=up.environment, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert re.search(
        rf"port {up.ports['CLIP_PORT']} is in use by .* \(pid \d+\): stop that, or set CLIP_PORT", second.stderr
    )

    children = up.children().values()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 0
    assert "mesh   | everything has ended" in up.output
    drained = list(re.findall(r"(?m)^(router|ocr|clip|face) .*(?:stopping|draining)", up.output))
    assert drained[0] == "router"
    assert set(drained[1:]) == {"ocr", "clip", "face"}
    assert not any(Path(f"/proc/{child}").exists() for child in children)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_model_that_cannot_be_had_is_told_and_the_rest_goes_on(tmp_path: Path, photo: Path) -> None:
    up = Up(tmp_path, "--without", "ocr", clip=False)
    try:
        up.wait_for(r"clip +127\.0\.0\.1:\d+ +not ready +ViT-B-16__cn-clip: ")
        assert "immich-mesh doctor" in up.output
        called = call(up, "face", str(photo), "--url", up.url)
        assert called.returncode == 0, called.stderr
        called = call(up, "clip", str(photo), "--url", up.url)
        assert called.returncode == 4
        assert re.search(r"immich-mesh: .*ViT-B-16__cn-clip.*\(HTTP 404", called.stderr)
    finally:
        up.end()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_terminal_that_closes_ends_the_mesh_in_order(tmp_path: Path) -> None:
    """A terminal has a live line; when it closes, nothing can be written any more, and nothing is left behind."""
    terminal, far_end = os.openpty()
    up = Up(tmp_path, "--without", "ocr", output=far_end)
    os.close(far_end)
    try:
        shown = b""
        while b"mesh" not in shown:
            shown += os.read(terminal, 4096)
        children = up.children().values()
        os.close(terminal)
        assert up.process.wait(60) == 0
        assert not any(Path(f"/proc/{child}").exists() for child in children)
    finally:
        up.end()


def call(up: Up, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """One `immich-mesh call`."""
    command = [sys.executable, "-m", "launcher.cli", "call", *arguments]
    return subprocess.run(command, env=up.environment, capture_output=True, text=True, check=False)
