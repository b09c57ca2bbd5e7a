"""The endpoints of a Kubernetes Service as the cluster tells of them: a watch on its EndpointSlices.

DNS shows which pods are ready, a few seconds late. A slice also shows which of them are about to end, and in which zone
each is, as soon as it is so. It takes leave to list and watch `endpointslices` in that namespace, and no other.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout

from router.upstream.endpoints.address import Address
from router.upstream.endpoints.slices import EndpointSlice, EndpointSliceList, WatchEvent, WatchProblem, addresses_of

log = structlog.get_logger()

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token, which is replaced from time to time, and the cluster's authority."""
WATCH_SECONDS = 240
"""The server ends a watch after that; a connection that fell silent is given up a little later."""
LIST_TIMEOUT = ClientTimeout(total=10)
WATCH_TIMEOUT = ClientTimeout(total=None, sock_connect=10, sock_read=WATCH_SECONDS + 30)
LEAST_PAUSE_SECONDS = 1.0
MOST_PAUSE_SECONDS = 30.0
GONE = 410
"""The server no longer knows what happened since: all is to be read anew."""


class ApiServerError(Exception):
    """The API server refused, or answered something else."""


@dataclass(frozen=True)
class ApiServer:
    """Where the cluster's API is and how a pod shows who it is.

    Attributes:
        url: `https://10.0.0.1:443`.
        account: folder with `token` and `ca.crt`.
    """

    url: str
    account: Path = ACCOUNT

    @classmethod
    def of_this_pod(cls, environment: Mapping[str, str] = os.environ) -> "ApiServer":
        """As Kubernetes tells every container. Raises OSError: this is no container of a cluster's."""
        host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise OSError("KUBERNETES_SERVICE_HOST is not set: kubernetes:/// needs a pod in a cluster")
        return cls(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}")

    def trust(self) -> ssl.SSLContext | bool:
        """Whom to believe. Raises OSError: the authority's file cannot be read."""
        return ssl.create_default_context(cafile=str(self.account / "ca.crt")) if self.url.startswith("https") else True

    def headers(self) -> dict[str, str]:
        """The token of now. Raises OSError: there is none."""
        return {"Authorization": f"Bearer {(self.account / 'token').read_text().strip()}"}


@dataclass(frozen=True)
class ServiceName:
    """`kubernetes:///ocr.immich:50051`: a Service, its namespace, the port of its pods."""

    name: str
    namespace: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "ServiceName":
        """Raises ValueError."""
        host, _, port = text.rpartition(":")
        name, _, namespace = host.partition(".")
        if not name or not namespace or "." in namespace or not port.isdigit():
            raise ValueError(f"{text!r}: write kubernetes:///service.namespace:port")
        return cls(name, namespace, int(port))

    @property
    def server_name(self) -> str:
        """What the pods' certificate is valid for."""
        return f"{self.name}.{self.namespace}.svc"


@dataclass
class EndpointSliceWatch:
    """Follows one Service. `addresses` is what is known; it stays while the API server is away.

    Attributes:
        service: whose endpoints.
        changed: called after `addresses` changed.
        api: where to ask.
        sleep: waits between two tries.
    """

    service: ServiceName
    changed: Callable[[], None]
    api: ApiServer
    sleep: Callable[[float], Any] = asyncio.sleep
    addresses: list[Address] = field(default_factory=list)
    _slices: dict[str, EndpointSlice] = field(default_factory=dict)
    _task: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        """Begins to follow."""
        self._task = asyncio.create_task(self._follow(), name=f"endpoints of {self.service.name}")

    async def close(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        pause = LEAST_PAUSE_SECONDS
        async with ClientSession(self.api.url) as session:
            while True:
                try:
                    version = await self._list(session)
                    pause = LEAST_PAUSE_SECONDS
                    while version:
                        version = await self._watch(session, version)
                        # The next one tells what happens meanwhile; a server that ends each at once is not flooded.
                        await self.sleep(LEAST_PAUSE_SECONDS)
                except (ClientError, OSError, TimeoutError, ApiServerError, ValueError) as error:
                    log.warning("endpoints cannot be watched", service=self.service.server_name, reason=str(error))
                    await self.sleep(pause)
                    pause = min(MOST_PAUSE_SECONDS, pause * 2)

    def _request(self, session: ClientSession, timeout: ClientTimeout, **query: str) -> Any:
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.service.namespace}/endpointslices"
        parameters = {"labelSelector": f"kubernetes.io/service-name={self.service.name}", **query}
        headers, trust = self.api.headers(), self.api.trust()
        return session.get(path, params=parameters, headers=headers, ssl=trust, timeout=timeout)

    async def _list(self, session: ClientSession) -> str:
        """Reads all slices; from which version on to watch. Raises ApiServerError."""
        async with self._request(session, LIST_TIMEOUT) as response:
            if response.status != 200:
                raise ApiServerError(f"{response.status} {(await response.text())[:300]}")
            listing = EndpointSliceList.model_validate_json(await response.read())
        self._slices = {one.metadata.name: one for one in listing.items}
        self._tell()
        return listing.metadata.version

    async def _watch(self, session: ClientSession, version: str) -> str:
        """Follows until the server ends it; from which version on to go on, empty when all is to be read anew."""
        query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        async with self._request(session, WATCH_TIMEOUT, resourceVersion=version, **query) as response:
            if response.status == GONE:
                return ""
            if response.status != 200:
                raise ApiServerError(f"{response.status} {(await response.text())[:300]}")
            async for line in _lines(response.content.iter_any()):
                event = WatchEvent.model_validate_json(line)
                if event.type == "ERROR":
                    problem = WatchProblem.model_validate(event.object)
                    if problem.code == GONE:
                        return ""
                    raise ApiServerError(problem.message)
                found = EndpointSlice.model_validate(event.object)
                version = found.metadata.version
                if event.type != "BOOKMARK":
                    self._take(event.type, found)
        return version

    def _take(self, what: str, found: EndpointSlice) -> None:
        if what == "DELETED":
            self._slices.pop(found.metadata.name, None)
        else:
            self._slices[found.metadata.name] = found
        self._tell()

    def _tell(self) -> None:
        found = addresses_of(self._slices.values(), self.service.port, self.service.server_name)
        if found != self.addresses:
            self.addresses = found
            self.changed()


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines with something in them; a slice of many pods is longer than a stream's usual limit of a line."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
