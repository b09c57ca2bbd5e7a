"""`immich-mesh up` as a process, with models whose answers are known."""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PIL import Image

from tests.builders.clip import write_clip
from tests.builders.faces import marker_photo, write_faces
from tests.waiting import PATIENCE_SECONDS, wait_until

ONLY_FACES = ("--without", "ocr", "--without", "clip")
T = TypeVar("T")


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

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        clip: bool = True,
        output: int | None = None,
        settings: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        if clip and "clip" not in arguments:
            write_clip(folder / "cache")
        if not (folder / "cache/facial-recognition").exists():
            write_faces(folder / "cache")
        names = ["OCR_PORT", "CLIP_PORT", "FACE_PORT", "OCR_METRICS_PORT", "CLIP_METRICS_PORT", "FACE_METRICS_PORT"]
        listeners = ("IMMICH_ML", "ADMIN", "MT_PHOTOS")
        names += [f"ROUTER_LISTENERS__{name}__PORT" for name in listeners]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.ports |= {"MESH_SECOND_ROUTER_PORT": 0, "MESH_SECOND_ROUTER_ADMIN_PORT": 0}  # it says which it took
        self.url = f"http://127.0.0.1:{self.ports['ROUTER_LISTENERS__IMMICH_ML__PORT']}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ROUTER_", "MESH_"))},
            **{name: str(port) for name, port in self.ports.items()},
            **{f"ROUTER_LISTENERS__{name}__HOST": "127.0.0.1" for name in listeners},
            "MESH_CACHE_FOLDER": str(folder / "cache"),
            "MESH_OFFLINE": "true",
            "OCR_LAZY": "true",
            **{f"{name}_DRAIN_SECONDS": str(PATIENCE_SECONDS) for name in ("ROUTER", "OCR", "CLIP", "FACE")},
            **(settings or {}),
        }
        self._log = folder / "up.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "mesh.cli.app", "up", *arguments],
                env=self.environment,
                cwd=cwd,
                stdout=log if output is None else output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """All that it has written."""
        return self._log.read_text(errors="replace")

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match in the output. Fails when the process ends or time is up without it."""
        return self.wait_until(lambda: re.search(pattern, self.output), repr(pattern))

    def wait_until(self, condition: Callable[[], T | None], what: str) -> T:
        """What the condition gives once it gives something. Fails when the process ends or time is up before."""
        try:
            found = wait_until(condition, alive=lambda: self.process.poll() is None)
        except TimeoutError:
            code = self.process.poll()
            raise AssertionError(f"{what} did not come; exit code {code}; output:\n{self.output}") from None
        assert found is not None
        return found

    def admin(self, path: str) -> Any:
        """What the router's admin API answers."""
        url = f"http://127.0.0.1:{self.ports['ROUTER_LISTENERS__ADMIN__PORT']}{path}"
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as reply:
            return json.load(reply)

    def order(self, path: str, **arguments: str) -> Any:
        """What the router's admin API answers to an order."""
        url = f"http://127.0.0.1:{self.ports['ROUTER_LISTENERS__ADMIN__PORT']}{path}"
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(arguments).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as reply:
            return json.load(reply)

    def metrics(self, service: str) -> str:
        """What a service tells Prometheus."""
        url = f"http://127.0.0.1:{self.ports[f'{service.upper()}_METRICS_PORT']}/metrics"
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as reply:
            return str(reply.read().decode())

    @property
    def urls(self) -> tuple[str, ...]:
        """What it says to enter in Immich, both on loopback. Waits for it."""
        ports = re.findall(r":(\d+)", self.wait_for(r"Machine Learning > URL: ([^(\n]*)")[1])
        return tuple(f"http://127.0.0.1:{port}" for port in ports)

    def routers(self) -> list[int]:
        """The process ids of the routers, the first one first."""
        return [pid for module, pid in self._processes() if module == "router"]

    def children(self) -> dict[str, int]:
        """The process ids of the children by module; of two routers, that of one."""
        return dict(self._processes())

    def _processes(self) -> list[tuple[str, int]]:
        found = []
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = status.read_text().split("\0")
                parent = int((status.parent / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == self.process.pid and "mesh.cli.supervisor.child" in words:
                found.append((words[words.index("mesh.cli.supervisor.child") + 1], int(status.parent.name)))
        return sorted(found, key=lambda one: one[1])

    def end(self) -> None:
        """Ends it, whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@contextmanager
def running(
    folder: Path,
    *arguments: str,
    clip: bool = True,
    settings: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Up]:
    """`up` with its cache below `folder`, killed at the end unless it has ended by then."""
    up = Up(folder, *arguments, clip=clip, settings=settings, cwd=cwd)
    try:
        yield up
    finally:
        up.end()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with running(tmp_path) as up:
        yield up


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Two marker faces."""
    path = tmp_path / "photo.png"
    boxes = {"magenta": (40, 60, 120, 140), "cyan": (200, 60, 300, 160)}
    Image.fromarray(marker_photo(400, 300, boxes)).save(path)
    return path


def call(up: Up, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """One `immich-mesh call`."""
    command = [sys.executable, "-P", "-m", "mesh.cli.app", "call", *arguments]
    return subprocess.run(command, env=up.environment, capture_output=True, text=True, check=False)
