"""The processes under test: replicas of every family and routers, each of which can be killed, paused and restarted."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

FAMILIES = ("ocr", "clip", "face")
START_SECONDS = 240.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


async def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@dataclass
class Process:
    """One process at one port, which it keeps over its lives."""

    name: str
    port: int
    command: Sequence[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    _child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._child is not None
        return self._child.pid

    @property
    def has_died(self) -> bool:
        """Whether it ran and does not any more."""
        return self._child is not None and self._child.poll() is not None

    async def spawn(self) -> subprocess.Popen[bytes]:
        """Starts it, without waiting for anything."""
        with self.log.open("ab") as log:
            self._child = await asyncio.to_thread(
                subprocess.Popen, self.command, env=os.environ | self.environment, stdout=log, stderr=log
            )
        return self._child

    async def start(self) -> None:
        """Starts it and waits until it listens. Raises RuntimeError, with its log, when it does not."""
        child = await self.spawn()
        for _ in range(int(START_SECONDS / 0.05)):
            if child.poll() is not None:
                break
            if await listens(self.port):
                return
            await asyncio.sleep(0.05)
        raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text()[-2000:]}")

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    async def ended(self) -> None:
        """Waits until it is gone."""
        if self._child is not None:
            await asyncio.to_thread(self._child.wait)

    async def kill(self) -> None:
        """SIGKILL, as the kernel does when memory is short."""
        self.send_signal(signal.SIGKILL)
        await self.ended()

    async def restart(self, number: int = signal.SIGTERM) -> None:
        """Ends it by a signal, waits, starts it again."""
        self.send_signal(number)
        await self.ended()
        await self.start()


@dataclass
class Fleet:
    """Replicas by family, and the routers."""

    replicas: dict[str, list[Process]]
    routers: list[Process]
    config: Path
    metrics_ports: list[int]
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def urls(self) -> list[str]:
        """Where the routers answer."""
        return [f"http://127.0.0.1:{router.port}" for router in self.routers]

    def all_replicas(self) -> list[Process]:
        """Of every family."""
        return [replica for group in self.replicas.values() for replica in group]

    async def ready(self) -> None:
        """Waits until every router sees every replica healthy."""
        wanted = {family: float(len(group)) for family, group in self.replicas.items()}
        async with asyncio.timeout(START_SECONDS):
            for number in range(len(self.routers)):
                await self._all_healthy(number, wanted)

    async def keep(self) -> None:
        """Starts again, as a supervisor does, every replica that has died; until cancelled.

        It waits for none to listen: a payload that kills may end one as soon as it does.
        """
        while True:
            for replica in self.all_replicas():
                if replica.has_died:
                    await replica.spawn()
            await asyncio.sleep(0.05)

    async def metric(self, number: int, name: str, **labels: str) -> float:
        """The sum of a router's metric over all samples that have these labels."""
        text = await asyncio.to_thread(self._scrape, number)
        total = 0.0
        for line in text.splitlines():
            match = re.fullmatch(rf"{name}(\{{.*\}})? (\S+)", line)
            if match and all(f'{key}="{value}"' in (match[1] or "") for key, value in labels.items()):
                total += float(match[2])
        return total

    def write_config(self, skip: int = 0, **settings: object) -> None:
        """Writes the routers' configuration file anew.

        Args:
            skip: how many replicas of each family to leave out.
            settings: of every cluster, beside those given to the fleet.
        """
        clusters = {
            family: {
                "endpoints": [f"127.0.0.1:{replica.port}" for replica in group[skip:]],
                **self.settings,
                **settings,
            }
            for family, group in self.replicas.items()
        }
        # Replaced as a whole, as editors and Kubernetes do it.
        fresh = self.config.with_suffix(".new")
        fresh.write_text(yaml.safe_dump({"clusters": clusters}), "utf-8")
        fresh.replace(self.config)

    async def _all_healthy(self, number: int, wanted: dict[str, float]) -> None:
        while {family: await self._healthy(number, family) for family in wanted} != wanted:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.1)

    async def _healthy(self, number: int, family: str) -> float:
        return await self.metric(number, "immich_mesh_upstream_endpoints", cluster=family, state="healthy")

    def _scrape(self, number: int) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_ports[number]}/metrics", timeout=10) as reply:
            return str(reply.read().decode())


MakeReplica = Callable[[str, int, int], Process]


@asynccontextmanager
async def fleet(
    folder: Path,
    families: Sequence[str] = FAMILIES,
    replicas: int = 3,
    work_ms: float = 100,
    routers: int = 2,
    settings: Mapping[str, object] | None = None,
    make: MakeReplica | None = None,
) -> AsyncIterator[Fleet]:
    """All processes, ready; killed at the end of the block.

    Args:
        folder: for configuration and logs; exists.
        families: which services there are.
        replicas: of each.
        work_ms: how long one works on a request.
        routers: how many.
        settings: of every cluster.
        make: makes the replicas (family, number, port); stubs when it is left out.
    """
    make = make or (lambda family, number, port: replica_process(f"{family}-{number}", port, work_ms, folder))
    ports = iter(free_ports(len(families) * replicas + 2 * routers))
    config = folder / "router.yaml"
    groups = {family: [make(family, number, next(ports)) for number in range(replicas)] for family in families}
    metrics_ports = [next(ports) for _ in range(routers)]
    fronts = [_router(number, next(ports), metrics_ports[number], config, folder) for number in range(routers)]
    made = Fleet(groups, fronts, config, metrics_ports, settings or {})
    made.write_config()
    try:
        await asyncio.gather(*(process.start() for process in [*made.all_replicas(), *fronts]))
        await made.ready()
        yield made
    finally:
        processes = [*made.all_replicas(), *fronts]
        for process in processes:
            process.send_signal(signal.SIGCONT)
        await asyncio.gather(*(process.kill() for process in processes))


def replica_process(name: str, port: int, work_ms: float, folder: Path) -> Process:
    """One replica, not started yet."""
    command = [sys.executable, "-P", "-m", "bench.chaos.replica", "--port", str(port), "--work-ms", str(work_ms)]
    return Process(name, port, command, folder / f"{name}.log")


def _router(number: int, port: int, metrics_port: int, config: Path, folder: Path) -> Process:
    environment = {
        "ROUTER_CONFIG": str(config),
        "ROUTER_LISTENERS__IMMICH_ML__HOST": "127.0.0.1",
        "ROUTER_LISTENERS__IMMICH_ML__PORT": str(port),
        "ROUTER_LISTENERS__ADMIN__PORT": "0",
        "ROUTER_LISTENERS__MT_PHOTOS__ENABLED": "false",
        "ROUTER_METRICS_PORT": str(metrics_port),
        "ROUTER_RELOAD_INTERVAL_SECONDS": "0.2",
        "ROUTER_LOG_FORMAT": "json",
    }
    return Process(
        f"router-{number}", port, [sys.executable, "-P", "-m", "router"], folder / f"router-{number}.log", environment
    )
