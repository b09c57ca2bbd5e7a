"""How long does the mesh take to be ready, models in the cache? All services at once, a first start and a later one;
and one service that is started again while the others rest.

python -m bench.start                       onnxruntime, then what `auto` chooses
python -m bench.start --device cpu

A first start finds no compiled files: graphs are packed or converted, and with OpenVINO compared. Numbers are left in
`bench/out/start.json`.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import report
from bench.models import benchmark_cache
from bench.processes import SERVICES, Quiet, child, free_port, mesh, wait_until_ready
from mesh.core.settings import Device
from mesh.serving.runtimes import compiled


@dataclass(frozen=True)
class Start:
    """One start of the whole mesh.

    Attributes:
        device: what the services were told to run on.
        first: whether there were no compiled files.
        seconds: until every service serves and the router answers.
        cpu_seconds: of each process until then.
        proportional_mb: memory of each process then; what they share counts once.
        others_percent: of the machine that other processes took meanwhile.
    """

    device: str
    first: bool
    seconds: float
    cpu_seconds: dict[str, float]
    proportional_mb: dict[str, int]
    others_percent: int


def start(cache_folder: Path, device: Device, *, first: bool) -> Start:
    """Starts and stops the mesh. Raises RuntimeError: a process was not ready in time; see its log."""
    if first:
        for folder in [*cache_folder.rglob(compiled.FOLDER)]:
            shutil.rmtree(folder)
    used = 0.0
    quiet, began = Quiet(lambda: used), time.perf_counter()
    with mesh(cache_folder, report.OUT / "logs", environment={"DEVICE": device.value}) as processes:
        seconds, usage = time.perf_counter() - began, processes.usage()
        used = sum(usage.cpu_seconds.values())
        return Start(
            device.value,
            first,
            round(seconds, 1),
            {name: round(value, 1) for name, value in usage.cpu_seconds.items()},
            {name: value // 1_000_000 for name, value in usage.proportional_bytes.items()},
            round(100 * quiet.others_share()),
        )


def restart(cache_folder: Path, device: Device, name: str) -> float:
    """Seconds until one service serves that is started alone. Raises RuntimeError: it was not ready in time."""
    port, logs = free_port(), report.OUT / "logs"
    environment = dict(os.environ) | {
        "MESH_CACHE_FOLDER": str(cache_folder),
        "MESH_OFFLINE": "1",
        "DEVICE": device.value,
        f"{name.upper()}_PORT": str(port),
        f"{name.upper()}_METRICS_PORT": str(free_port()),
    }
    began = time.perf_counter()
    with child([f"{name}_service"], environment, logs / f"{name}.log") as process:
        wait_until_ready(None, {name: port}, {name: process}, logs)
        return round(time.perf_counter() - began, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    devices = [Device.CPU.value, Device.AUTO.value]
    parser.add_argument("--device", nargs="+", choices=[device.value for device in Device], default=devices)
    options = parser.parse_args(arguments)
    cache_folder, starts = benchmark_cache(), []
    restarts: dict[str, dict[str, float]] = {}
    names = [*SERVICES, "router"]
    for device in options.device:
        for first in (True, False):
            one = start(cache_folder, Device(device), first=first)
            starts.append(asdict(one))
            cpu = ", ".join(f"{name} {one.cpu_seconds[name]}" for name in names)
            memory = sum(one.proportional_mb.values())
            print(
                f"{device:8} {'first' if first else 'later'} {one.seconds:6.1f} s (others {one.others_percent} %), "
                f"CPU s: {cpu}; {memory} MB",
                flush=True,
            )
        restarts[device] = {name: restart(cache_folder, Device(device), name) for name in SERVICES}
        print(f"{device:8} alone", ", ".join(f"{name} {seconds} s" for name, seconds in restarts[device].items()))
    print(report.save("start", {"machine": report.machine(), "starts": starts, "restarts": restarts}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
