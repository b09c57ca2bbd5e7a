"""Runs what the API server's double stores: Deployments with rolling updates, Jobs, Pods, Services with their names."""

import asyncio
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helm.cluster import access
from tests.helm.cluster.access import Access
from tests.helm.cluster.api import ApiServer
from tests.helm.cluster.controllers import deployment_status, finished_job, finished_pod
from tests.helm.cluster.pods import Pod, Surroundings
from tests.helm.cluster.sandbox import NETWORK, Network
from tests.helm.cluster.store import Key, Object

TICK_SECONDS = 0.1


class Kubelet:
    """One node. Lives in the server's event loop.

    Attributes:
        pods: every pod that was ever started, the oldest first.
        errors: what kept an object from coming true.
    """

    def __init__(self, server: ApiServer, network: Network, folder: Path, granted: Access) -> None:
        self.pods: list[Pod] = []
        self.errors: list[BaseException] = []
        self._server = server
        self._network = network
        self._folder = folder
        self._hosts = folder / "hosts"
        self._hosts.write_text("127.0.0.1 localhost\n")
        self._service_addresses: dict[str, str] = {}
        self._proxies: list[asyncio.Server] = []
        self._access = granted
        self._api: Any = None
        self._reconciling: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        executors = server.controllers.executors
        executors["Deployment"] = self._deployment_changed
        executors["Job"] = self._job_changed
        executors["Pod"] = self._pod_changed
        executors["Service"] = self._service_changed
        executors["ConfigMap"] = executors["Secret"] = self._files_changed

    # -- objects ------------------------------------------------------------------------------------------------------

    def lookup(self, kind: str, name: str) -> Object:
        """A stored object. Raises KeyError."""
        for resource in self._server.resources:
            if resource.kind == kind and (found := self._server.store.get((resource, "immich", name))):
                return found
        raise KeyError(f"no {kind} {name}")

    def objects(self, kind: str) -> list[Object]:
        """All stored objects of a kind."""
        resource = next(one for one in self._server.resources if one.kind == kind)
        return self._server.store.list(resource)

    def _spawn(self, work: Any) -> "asyncio.Task[Any]":
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            traceback.print_exception(error)
            self.errors.append(error)

    def _start(self, name: str, template: Object) -> Pod:
        surroundings = Surroundings(self._network.pod(), self._folder, self._hosts, self.lookup, self._access)
        pod = Pod(name, template, surroundings, self._endpoints_changed)
        self.pods.append(pod)
        return pod

    # -- Deployments --------------------------------------------------------------------------------------------------

    def _deployment_changed(self, key: Key, _: Object) -> None:
        name = key[2]
        if name not in self._reconciling or self._reconciling[name].done():
            self._reconciling[name] = self._spawn(self._reconcile(key))

    async def _reconcile(self, key: Key) -> None:
        """Brings a Deployment's pods to what its newest template says, within maxSurge and maxUnavailable."""
        while (found := self._server.store.get(key)) is not None:
            template = found["spec"]["template"]
            replicas = found["spec"].get("replicas", 1)
            rolling = found["spec"].get("strategy", {}).get("rollingUpdate", {"maxSurge": 1, "maxUnavailable": 0})
            alive = [pod for pod in self.pods if pod.labels == template["metadata"]["labels"] and not pod.terminating]
            wanted = Pod.fingerprint_of(template)
            new = [pod for pod in alive if pod.fingerprint == wanted]
            old = [pod for pod in alive if pod.fingerprint != wanted]
            if len(new) == replicas and not old and all(pod.ready for pod in new):
                if found.get("status") != deployment_status(found):
                    self._server.store.set_status(key, deployment_status(found))
                return
            if len(new) < replicas and len(alive) < replicas + rolling["maxSurge"]:
                self._start(key[2], template)
            elif superfluous := self._superfluous(new, old, replicas, replicas - rolling["maxUnavailable"]):
                self._spawn(superfluous.terminate())
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(TICK_SECONDS)
        for pod in [pod for pod in self.pods if pod.owner == key[2] and not pod.terminating]:
            self._spawn(pod.terminate())

    @staticmethod
    def _superfluous(new: list[Pod], old: list[Pod], replicas: int, least_ready: int) -> Pod | None:
        ready = sum(pod.ready for pod in [*new, *old])
        for pod in old:
            if not pod.ready or ready - 1 >= least_ready:
                return pod
        return new[-1] if len(new) > replicas else None

    # -- Jobs and Pods ------------------------------------------------------------------------------------------------

    def _job_changed(self, key: Key, new: Object) -> None:
        self._spawn(self._run_job(key, new))

    async def _run_job(self, key: Key, new: Object) -> None:
        succeeded = False
        for _ in range(new["spec"].get("backoffLimit", 6) + 1):
            pod = self._start(key[2], new["spec"]["template"])
            succeeded = await self._outcome(pod)
            if succeeded:
                break
        if self._server.store.get(key):
            self._server.store.set_status(key, finished_job(succeeded))

    def _pod_changed(self, key: Key, new: Object) -> None:
        self._spawn(self._run_pod(key, new))

    async def _run_pod(self, key: Key, new: Object) -> None:
        pod = self._start(key[2], new)
        self._server.store.set_status(key, finished_pod(await self._outcome(pod)))

    async def _outcome(self, pod: Pod) -> bool:
        await pod.finished.wait()
        pod.network.close()
        return pod.exit_code == 0

    # -- Services and files -------------------------------------------------------------------------------------------

    def _files_changed(self, _: Key, __: Object) -> None:
        for pod in self.pods:
            if not pod.terminating and pod.exit_code is None:
                pod.volumes.refresh()

    def _service_changed(self, key: Key, new: Object) -> None:
        name = key[2]
        if new["spec"].get("clusterIP") != "None" and name not in self._service_addresses:
            self._service_addresses[name] = self._network.service_address()
            self._spawn(self._open_service(name, new))
        self._endpoints_changed()

    async def _open_service(self, name: str, service: Object) -> None:
        for port in service["spec"]["ports"]:

            async def connected(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str = port["targetPort"]
            ) -> None:
                await self._forward(name, target, reader, writer)

            self._proxies.append(await asyncio.start_server(connected, self._service_addresses[name], port["port"]))

    async def _forward(
        self, name: str, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """What kube-proxy does: a connection goes to one ready pod and stays there, or is refused."""
        pods = self.endpoints(name)
        if not pods:
            writer.transport.abort()
            return
        pod = pods[int.from_bytes(os.urandom(2)) % len(pods)]
        try:
            theirs, ours = await asyncio.open_connection(pod.address, pod.port(target))
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_pump(reader, ours), _pump(theirs, writer))

    def endpoints(self, service: str) -> list[Pod]:
        """The ready pods that a Service selects."""
        selector = self.lookup("Service", service)["spec"]["selector"]
        return [
            pod for pod in self.pods if pod.ready and not pod.terminating and selector.items() <= pod.labels.items()
        ]

    def service_address(self, service: str) -> str:
        """The cluster IP of a Service."""
        return self._service_addresses[service]

    def _endpoints_changed(self) -> None:
        """Writes /etc/hosts anew: headless Services lead to their ready pods, the others to their own address."""
        lines = ["127.0.0.1 localhost", f"{NETWORK}.0.1 {access.HOST}"]
        for service in self.objects("Service"):
            name = service["metadata"]["name"]
            full = f"{name}.immich.svc.cluster.local"
            headless = service["spec"].get("clusterIP") == "None"
            addresses = (
                [pod.address for pod in self.endpoints(name)] if headless else [self._service_addresses.get(name)]
            )
            lines += [f"{address} {full} {name}.immich.svc {name}" for address in addresses if address]
        text = ("\n".join(lines) + "\n").encode()
        # In place and in one go: the file is mounted in every container.
        handle = os.open(self._hosts, os.O_WRONLY)
        os.pwrite(handle, text, 0)
        os.ftruncate(handle, len(text))
        os.close(handle)
        for service in self.objects("Service"):
            self._write_slice(service)

    def _write_slice(self, service: Object) -> None:
        """What Kubernetes' controller writes: every pod that a Service selects, and how it is."""
        name = service["metadata"]["name"]
        selector = service["spec"]["selector"]
        pods = [
            pod for pod in self.pods if pod.started and pod.exit_code is None and selector.items() <= pod.labels.items()
        ]
        endpoints = [
            {
                "addresses": [pod.address],
                "conditions": {"ready": pod.ready, "serving": pod.serving, "terminating": pod.terminating},
                "zone": f"zone-{number % 2}",
                "targetRef": {"kind": "Pod", "name": pod.name, "namespace": "immich"},
            }
            for number, pod in enumerate(pods)
        ]
        resource = next(one for one in self._server.resources if one.kind == "EndpointSlice")
        key = (resource, "immich", f"{name}-slice")
        known = self._server.store.get(key)
        if known is None or known["endpoints"] != endpoints:
            new = {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "endpoints": endpoints,
            }
            self._server.store.put(key, new)

    async def open_api(self) -> None:
        """Opens the API server to the pods."""
        self._api = await access.listen(self._server.dispatch, self._access, f"{NETWORK}.0.1")

    async def close(self) -> None:
        """Ends all pods at once."""
        for task in list(self._tasks):
            task.cancel()
        for proxy in self._proxies:
            proxy.close()
        await asyncio.gather(*(pod.kill() for pod in self.pods), return_exceptions=True)
        await self._api.cleanup()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
    except ConnectionError:
        sink.transport.abort()


@contextmanager
def node(server: ApiServer, folder: Path) -> Iterator[Kubelet]:
    """A node for the cluster, until the block ends."""
    with Network() as network:
        folder.chmod(0o755)
        granted = Access(server.store, folder)  # makes certificates in a process of its own: not in the loop
        kubelet: Kubelet = server.call(lambda: Kubelet(server, network, folder, granted))
        asyncio.run_coroutine_threadsafe(kubelet.open_api(), server.loop).result(30)
        try:
            yield kubelet
        finally:
            asyncio.run_coroutine_threadsafe(kubelet.close(), server.loop).result(30)
