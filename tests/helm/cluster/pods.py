"""A pod that runs: its containers, its probes, its end."""

import asyncio
import contextlib
import itertools
import json
import signal
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.containers.dockerfile import Dockerfile
from tests.helm.cluster import access, manifests
from tests.helm.cluster.access import Access, Account
from tests.helm.cluster.manifests import Lookup, Volumes
from tests.helm.cluster.sandbox import Container, ContainerSpec, Mount, PodNetwork
from tests.helm.cluster.store import Object

_numbers = itertools.count(1)


API = {"KUBERNETES_SERVICE_HOST": access.HOST, "KUBERNETES_SERVICE_PORT": str(access.PORT)}
"""What every container is told."""


@dataclass(frozen=True)
class Surroundings:
    """What a pod is put into.

    Attributes:
        folder: where the node keeps its files.
        hosts: the node's /etc/hosts, with the names of the cluster.
    """

    network: PodNetwork
    folder: Path
    hosts: Path
    lookup: Lookup
    access: Access

    def account(self, spec: Object, folder: Path) -> list[Mount]:
        """The token and authority of the pod's ServiceAccount, where it is mounted."""
        if not spec.get("automountServiceAccountToken", True):
            return []
        place = folder / "account"
        place.mkdir()
        name = spec.get("serviceAccountName", "default")
        (place / "token").write_text(self.access.token(Account("immich", name)))
        (place / "ca.crt").write_bytes(self.access.authority)
        return [Mount(place, "/run/secrets/kubernetes.io/serviceaccount", read_only=True)]  # /var/run is a link to it


class Pod:
    """One pod.

    Args:
        name: of its owner; a number is added.
        template: `metadata` and `spec`.
        changed: called whenever `ready` or `finished` change.
    """

    def __init__(
        self,
        name: str,
        template: Object,
        around: "Surroundings",
        changed: Callable[[], None],
    ) -> None:
        self.name = f"{name}-{next(_numbers)}"
        self.owner = name
        self.labels: dict[str, str] = template["metadata"].get("labels", {})
        self.fingerprint = self.fingerprint_of(template)
        self.network = around.network
        self.started = False
        self.ready = False
        self.serving = False
        self.terminating = False
        self.exit_code: int | None = None
        self.restarts = 0
        self.killed = False
        self.logs: list[Path] = []
        self._spec: Object = template["spec"]
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=around.folder))
        self._folder.chmod(0o755)
        self._hosts = around.hosts
        self._lookup = around.lookup
        self._account = around.account(self._spec, self._folder)
        self._changed = changed
        self._dockerfile = Dockerfile()
        self.volumes = Volumes(self._spec, self._folder / "volumes", around.folder / "claims", around.lookup)
        self._container: Container | None = None
        self.finished = asyncio.Event()
        self._life = asyncio.ensure_future(self._live())
        self._life.add_done_callback(lambda _: self.finished.set())

    @staticmethod
    def fingerprint_of(template: Object) -> str:
        """What a rollout goes by: pods of equal templates are the same."""
        return json.dumps(template, sort_keys=True)

    @property
    def address(self) -> str:
        """The pod's IP address."""
        return self.network.address

    @property
    def container(self) -> Object:
        """The manifest of the one container that these pods have."""
        first: Object = self._spec["containers"][0]
        return first

    def port(self, name: str | int) -> int:
        """The number of a named port."""
        if isinstance(name, int):
            return name
        return int(next(one["containerPort"] for one in self.container["ports"] if one["name"] == name))

    async def _live(self) -> None:
        for before in self._spec.get("initContainers", ()):
            code = await self._run(before)
            if code:
                self.exit_code = code
                self._changed()
                return
        self.started = True
        while not self.terminating:
            code = await self._run(self.container, self._probe)
            self.ready = False
            if self.terminating or self._spec.get("restartPolicy") == "Never":
                self.exit_code = code
                break
            self.restarts += 1
            await asyncio.sleep(5)
        self._changed()

    def _fresh_folder(self) -> Path:
        where = Path(tempfile.mkdtemp(dir=self._folder))
        where.chmod(0o755)
        return where

    async def _run(self, manifest: Object, watch: Callable[[Object], Awaitable[None]] | None = None) -> int:
        where = self._fresh_folder()
        self.logs.append(where / "log")
        pod = {"status.podIP": self.address, "metadata.name": self.name, "metadata.namespace": "immich"}
        pod["metadata.labels['topology.kubernetes.io/zone']"] = "zone-0"
        spec = ContainerSpec(
            manifests.command(manifest, self._dockerfile),
            API | manifests.environment(manifest, self._dockerfile, pod, self._lookup),
            [*self.volumes.mounts(manifest), *self._account],
            manifests.user(self._spec, manifest),
            where / "log",
        )
        container = self._container = Container(spec, self.network, where, self._hosts)
        watching = asyncio.ensure_future(watch(manifest)) if watch else None
        try:
            return await asyncio.to_thread(container.process.wait)
        finally:
            if watching:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            container.kill()

    # -- probes -------------------------------------------------------------------------------------------------------

    async def _probe(self, manifest: Object) -> None:
        if "startupProbe" in manifest and not await self._starts(manifest["startupProbe"]):
            self.crash()
            return
        alive = (
            asyncio.ensure_future(self._stays_alive(manifest["livenessProbe"])) if "livenessProbe" in manifest else None
        )
        try:
            await self._is_ready(manifest.get("readinessProbe"))
        finally:
            if alive:
                alive.cancel()

    async def _starts(self, probe: Object) -> bool:
        for _ in range(probe.get("failureThreshold", 3)):
            if await self.ask(probe):
                return True
            await asyncio.sleep(probe.get("periodSeconds", 10))
        return False

    async def _is_ready(self, probe: Object | None) -> None:
        failures = 0
        while not self.terminating:
            failures = 0 if probe is None or await self.ask(probe) else failures + 1
            ready = failures == 0 or (self.ready and failures < (probe or {}).get("failureThreshold", 3))
            if ready != self.ready:
                self.ready = self.serving = ready
                self._changed()
            await asyncio.sleep((probe or {}).get("periodSeconds", 10))

    async def _stays_alive(self, probe: Object) -> None:
        failures = 0
        while failures < probe.get("failureThreshold", 3):
            await asyncio.sleep(probe.get("periodSeconds", 10))
            failures = 0 if self.terminating or await self.ask(probe) else failures + 1
        self.crash()

    def crash(self) -> None:
        """kill -9 of the container, which the kubelet then starts anew."""
        if self._container:
            self._container.kill()

    async def ask(self, probe: Object) -> bool:
        """One try of a probe, as the kubelet does it. Raises ValueError for a probe without a known handler."""
        seconds = probe.get("timeoutSeconds", 1)
        try:
            async with asyncio.timeout(seconds):
                if "grpc" in probe:
                    return await self._ask_grpc(probe["grpc"])
                if "httpGet" in probe:
                    return await self._ask_http(probe["httpGet"])
                if "tcpSocket" in probe:
                    _, writer = await asyncio.open_connection(self.address, self.port(probe["tcpSocket"]["port"]))
                    writer.close()
                    return True
                if "exec" in probe:
                    return await self.execute(probe["exec"]["command"]) == 0
        except (TimeoutError, OSError, grpc.RpcError):
            return False
        raise ValueError(f"a probe without handler: {probe}")

    async def _ask_grpc(self, wanted: Object) -> bool:
        async with grpc.aio.insecure_channel(f"{self.address}:{wanted['port']}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            reply = await stub.Check(health_pb2.HealthCheckRequest(service=wanted.get("service", "")))
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    async def _ask_http(self, wanted: Object) -> bool:
        reader, writer = await asyncio.open_connection(self.address, self.port(wanted["port"]))
        host = f"{self.address}:{self.port(wanted['port'])}"
        writer.write(f"GET {wanted['path']} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        status = (await reader.readline()).split()
        writer.close()
        return len(status) > 1 and 200 <= int(status[1]) < 400

    async def execute(self, words: list[str]) -> int:
        """Runs a command inside the container; its exit code."""
        if self._container is None:
            return 1
        process = await asyncio.create_subprocess_exec(
            *self._container.exec_command(words), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            return await process.wait()
        except asyncio.CancelledError:
            process.kill()
            raise

    # -- the end ------------------------------------------------------------------------------------------------------

    async def terminate(self) -> None:
        """Leaves the Services, runs preStop, sends SIGTERM, waits for the grace period, kills."""
        self.terminating = True
        self.ready = False
        self._changed()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._spec.get("terminationGracePeriodSeconds", 30)):
                if stop := self.container.get("lifecycle", {}).get("preStop"):
                    await self.execute(stop["exec"]["command"])
                self.serving = False
                self._changed()
                if self._container:
                    self._container.signal(signal.SIGTERM)
                await asyncio.shield(self._life)
        await self.kill()

    async def kill(self) -> None:
        """Ends it now."""
        self.terminating = True
        if not self._life.done():
            self.killed = True
            if self._container:
                self._container.kill()
        await asyncio.gather(self._life, return_exceptions=True)
        self.network.close()

    def output(self) -> str:
        """All that its containers wrote."""
        return "\n".join(log.read_text(errors="replace") for log in self.logs if log.exists())
