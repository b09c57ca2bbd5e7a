"""The mesh as processes of its own, and what they cost: CPU seconds and memory."""

import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.cli.supervisor.child import PARENT_VARIABLE

SERVICES = ("ocr", "clip", "face")
START_SECONDS = 600.0

Child = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Usage:
    """What processes have used so far.

    Attributes:
        cpu_seconds: CPU time of each since its start, user and system.
        resident_bytes: memory of each that is in RAM now.
        proportional_bytes: the same with what processes share counted once: divided among those that share it.
        peak_bytes: the most that each ever had in RAM.
    """

    cpu_seconds: Mapping[str, float]
    resident_bytes: Mapping[str, int]
    proportional_bytes: Mapping[str, int]
    peak_bytes: Mapping[str, int]


class Processes:
    """Running processes by name.

    Attributes:
        url: where the router answers.
    """

    def __init__(self, url: str, pids: Mapping[str, int]) -> None:
        self.url = url
        self._watched = {name: psutil.Process(pid) for name, pid in pids.items()}

    @classmethod
    def listening(cls, url: str) -> "Processes | None":
        """Those of a server of this machine that somebody else started; None where nobody is seen to listen there."""
        port = urllib.parse.urlsplit(url).port
        listeners = {
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid
        }
        return cls(url, {str(pid): pid for pid in sorted(listeners)}) if listeners else None

    def cpu_seconds(self) -> float:
        """CPU time of all of them so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self._watched.values())

    def usage(self) -> Usage:
        """CPU and memory of every process."""
        cpu, resident, proportional, peak = {}, {}, {}, {}
        for name, process in self._watched.items():
            times = process.cpu_times()
            cpu[name] = times.user + times.system
            resident[name] = process.memory_info().rss
            proportional[name] = process.memory_full_info().pss
            peak[name] = _peak_bytes(process.pid)
        return Usage(cpu, resident, proportional, peak)


class Quiet:
    """How much of the machine others take while something is measured.

    Args:
        mine: CPU seconds used so far by what is measured.
    """

    def __init__(self, mine: Callable[[], float]) -> None:
        self._mine = mine
        self._started = (time.perf_counter(), _busy_seconds(), mine())

    def others_share(self) -> float:
        """Share of all cores, 0 to 1, that went to other processes since the start. Above a few hundredths, times are
        not to be trusted; CPU times somewhat more."""
        now = (time.perf_counter(), _busy_seconds(), self._mine())
        wall, busy, mine = (after - before for after, before in zip(now, self._started, strict=True))
        cores = psutil.cpu_count() or 1
        return min(1.0, max(0.0, (busy - mine) / (wall * cores)))


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


@contextmanager
def foreign_load(processes: int) -> Iterator[None]:
    """So many processes of others, in a session of their own, that take all of a core that they can get; they end with
    this one, however it ends."""
    command = [sys.executable, "-c", f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(100_000))"]
    busy = [subprocess.Popen(command, start_new_session=True) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


@contextmanager
def mesh(
    cache_folder: Path, logs: Path, services: Sequence[str] = SERVICES, environment: Mapping[str, str] | None = None
) -> Iterator[Processes]:
    """Router and services on free ports, ready to answer; stopped at the end of the block.

    Args:
        cache_folder: of their models.
        logs: folder for their output.
        services: which to start.
        environment: settings on top of the benchmark's own.

    Raises:
        RuntimeError: a process ended, or was not ready in time; see its log.
    """
    logs.mkdir(parents=True, exist_ok=True)
    ports = {name: free_port() for name in services}
    shared = dict(os.environ) | {"MESH_CACHE_FOLDER": str(cache_folder), "MESH_OFFLINE": "1", "LOG_LEVEL": "WARNING"}
    shared |= dict(environment or {})
    with ExitStack() as stack:
        children = {}
        for name, port in ports.items():
            prefix = name.upper()
            own = {f"{prefix}_PORT": str(port), f"{prefix}_METRICS_PORT": str(free_port())}
            children[name] = stack.enter_context(child([f"{name}_service"], shared | own, logs / f"{name}.log"))
        url, children["router"] = stack.enter_context(router(ports, shared, logs / "router.log"))
        wait_until_ready(url, ports, children, logs)
        yield Processes(url, {name: process.pid for name, process in children.items()})


@contextmanager
def router(ports: Mapping[str, int], environment: Mapping[str, str], log: Path) -> Iterator[tuple[str, Child]]:
    """A router in front of services on these ports: its URL and its process."""
    listen = free_port()
    own = {f"ROUTER_{name.upper()}_ENDPOINTS": f"127.0.0.1:{port}" for name, port in ports.items()}
    own |= {
        "LOG_LEVEL": "WARNING",
        "ROUTER_LISTENERS__IMMICH_ML__HOST": "127.0.0.1",
        "ROUTER_LISTENERS__IMMICH_ML__PORT": str(listen),
        "ROUTER_LISTENERS__MT_PHOTOS__ENABLED": "false",
        "ROUTER_LISTENERS__PHOTOS__ENABLED": "false",
        "ROUTER_LISTENERS__ADMIN__PORT": str(free_port()),
        "ROUTER_METRICS_PORT": str(free_port()),
    }
    with child(["router"], dict(environment) | own, log) as process:
        yield f"http://127.0.0.1:{listen}", process


@contextmanager
def child(module: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Child]:
    """One `python -m` with arguments; terminated at the end, killed when it does not go, or when this process dies."""
    with log.open("wb") as output:
        command = [sys.executable, "-P", "-m", "mesh.cli.supervisor.child", *module]
        own = dict(environment) | {PARENT_VARIABLE: str(os.getpid())}
        process = subprocess.Popen(command, env=own, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_ready(url: str | None, ports: Mapping[str, int], children: Mapping[str, Child], logs: Path) -> None:
    """Waits until the services on these ports say SERVING and the router, where there is one, answers at `url`.

    Raises:
        RuntimeError: a process ended, or was not ready in time; see its log.
    """
    deadline = time.monotonic() + START_SECONDS
    waiting = {*ports, "router"} if url else {*ports}
    while time.monotonic() < deadline:
        for name, process in children.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with code {process.returncode}: see {logs / name}.log")
        waiting -= {name for name in waiting if (_serves(ports[name]) if name in ports else url and _answers(url))}
        if not waiting:
            return
        time.sleep(0.2)
    raise RuntimeError(f"{', '.join(waiting)} not ready within {START_SECONDS:.0f} s: see {logs}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/ping", timeout=2):
            return True
    except OSError:  # refused, reset, timed out: all of urllib's errors
        return False


def _serves(port: int) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # the stubs know no synchronous client
        try:
            reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
        except grpc.RpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _peak_bytes(pid: int) -> int:
    """VmHWM of a process (Linux), in bytes; 0 elsewhere."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(lines["VmHWM"].split()[0]) * 1024
