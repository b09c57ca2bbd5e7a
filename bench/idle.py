"""What does the mesh hold while nobody asks it anything? `immich-mesh up` with its three services and two routers.

python -m bench.idle                    memory per process: never used, all models loaded, unloaded again
python -m bench.idle --set LOG_LEVEL=INFO

Each default model is loaded, answers a photo (CLIP a query too), and is unloaded. Numbers are left in
`bench/out/idle.json`.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
from immich_mesh.model.v1 import model_pb2, model_pb2_grpc

from bench import photos, report
from bench.load import ImmichClient
from bench.models import benchmark_cache
from bench.processes import SERVICES, Quiet, free_port

START_SECONDS = 120.0
REQUESTS = 6
"""Of each family before its model is unloaded: enough for arenas to have grown."""
SETTLE_SECONDS = 60.0
"""Until health checks have taken the pace of a mesh that is asked nothing."""
RENEWAL_SECONDS = 30.0
"""Until services that hold no model any more have replaced themselves, one after the other."""
IDLE_SECONDS = 30.0
"""Of nothing to do, over which the share of a core is taken that all processes use together."""


@dataclass(frozen=True)
class Mesh:
    """A mesh under its supervisor.

    Attributes:
        url: of the first router.
        ports: gRPC ports of the services.
        processes: by name, the supervisor among them.
    """

    url: str
    ports: Mapping[str, int]
    processes: Mapping[str, psutil.Process]

    def cpu_seconds(self) -> float:
        """CPU time of all of them so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes.values())

    def proportional_mb(self) -> dict[str, float]:
        """Memory of each; what they share counts once."""
        found = {name: process.memory_full_info().pss / 1e6 for name, process in self.processes.items()}
        return {name: round(value, 1) for name, value in [*found.items(), ("all", sum(found.values()))]}


@contextmanager
def supervised(cache_folder: Path, log: Path, settings: Mapping[str, str]) -> Iterator[Mesh]:
    """`immich-mesh up` on free ports, its models not loaded. Raises RuntimeError: it did not come up; see its log."""
    ports = {name: free_port() for name in SERVICES}
    router, second = free_port(), free_port()
    environment = dict(os.environ) | {
        "MESH_CACHE_FOLDER": str(cache_folder),
        "MESH_OFFLINE": "1",
        "LOG_LEVEL": "WARNING",
        "ROUTER_LISTENERS__IMMICH_ML__HOST": "127.0.0.1",
        "ROUTER_LISTENERS__IMMICH_ML__PORT": str(router),
        "ROUTER_LISTENERS__ADMIN__PORT": str(free_port()),
        "ROUTER_METRICS_PORT": "0",
        "MESH_SECOND_ROUTER_PORT": str(second),
        "MESH_SECOND_ROUTER_ADMIN_PORT": str(free_port()),
    }
    for name, port in ports.items():
        environment |= {f"{name.upper()}_PORT": str(port), f"{name.upper()}_LAZY": "true"}
        environment[f"{name.upper()}_METRICS_PORT"] = str(free_port())
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        command = [sys.executable, "-m", "mesh.cli.app", "up"]
        process = subprocess.Popen(command, env=environment | dict(settings), stdout=output, stderr=subprocess.STDOUT)
        try:
            for port in (router, second):
                _wait(f"http://127.0.0.1:{port}/ping", process, log)
            yield Mesh(f"http://127.0.0.1:{router}", ports, _named(psutil.Process(process.pid)))
        finally:
            process.terminate()
            process.wait(60)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the mesh did not come up: see {log}")


def _named(supervisor: psutil.Process) -> dict[str, psutil.Process]:
    found, routers = {"supervisor": supervisor}, 0
    for child in supervisor.children(recursive=True):
        module = child.cmdline()[-1]
        if module == "router":
            routers += 1
            found["router" if routers == 1 else f"router-{routers}"] = child
        else:
            found[module] = child
    return found


async def use(url: str) -> None:
    """A few requests of each family, so that everything is loaded and its arenas have grown."""
    async with ImmichClient(url) as client:
        for family in (*SERVICES, "text"):
            send = client.sender(family, photos.queries() if family == "text" else photos.stream())
            for _ in range(REQUESTS):
                if not await send():
                    raise RuntimeError(f"a {family} request was not answered rightly")


def unload(ports: Mapping[str, int]) -> None:
    """Takes every model out of memory."""
    for port in ports.values():
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = model_pb2_grpc.ModelServiceStub(channel)  # its types know the asynchronous client alone
            stub.UnloadModel(model_pb2.UnloadModelRequest(), timeout=60)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the mesh")
    options = parser.parse_args(arguments)
    settings = dict(setting.split("=", 1) for setting in options.set)
    with supervised(benchmark_cache(), report.OUT / "logs" / "idle.log", settings) as mesh:
        found = {"never used": mesh.proportional_mb()}
        time.sleep(SETTLE_SECONDS)
        quiet, before = Quiet(mesh.cpu_seconds), mesh.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        share = (mesh.cpu_seconds() - before) / IDLE_SECONDS
        others = quiet.others_share()
        asyncio.run(use(mesh.url))
        found["in use"] = mesh.proportional_mb()
        unload(mesh.ports)
        time.sleep(RENEWAL_SECONDS)
        found["unloaded"] = mesh.proportional_mb()
    for state, memory in found.items():
        print(f"{state:10}", ", ".join(f"{name} {value:.0f}" for name, value in memory.items()), "MB")
    print(f"idle: {share:.1%} of a core (others {others:.0%} of the machine)")
    print(report.save("idle", {"machine": report.machine(), "settings": settings, "memory": found, "share": share}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
