"""Where endpoints come from: a list, names that are resolved again and again, or a watch on a Kubernetes Service."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

import structlog

from router.upstream.endpoints.address import Address
from router.upstream.endpoints.endpoint_slices import ApiServer, EndpointSliceWatch, ServiceName

log = structlog.get_logger()

DNS_PREFIX = "dns:///"
"""gRPC's notation: `dns:///ocr-headless:50051` stands for every address behind the name."""
KUBERNETES_PREFIX = "kubernetes:///"
"""That of its resolvers for Kubernetes: `kubernetes:///ocr.immich:50051` stands for the pods of Service ocr."""

Resolver = Callable[[str, int], Awaitable[list[str]]]


async def system_resolver(host: str, port: int) -> list[str]:
    """The addresses of a name as the system resolves it, `ip:port` each, sorted. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    hosts = {str(entry[4][0]) for entry in found}
    return sorted(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts)


class EndpointDiscovery:
    """Turns the configured endpoints of a cluster into addresses.

    Args:
        endpoints: as configured.
        resolver: asks for the addresses behind a name.
        changed: called when a watch has news; resolving again then gives it.
        api_server: the cluster's API, asked for when there is something to watch.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        resolver: Resolver = system_resolver,
        changed: Callable[[], None] = lambda: None,
        api_server: Callable[[], ApiServer] = ApiServer.of_this_pod,
    ) -> None:
        self._endpoints = tuple(endpoints)
        self._resolver = resolver
        self._changed = changed
        self._api_server = api_server
        self._known: dict[str, list[Address]] = {}
        self._watches: dict[str, EndpointSliceWatch] = {}

    @property
    def changes(self) -> bool:
        """Whether asking again can give another answer."""
        return any(endpoint.startswith((DNS_PREFIX, KUBERNETES_PREFIX)) for endpoint in self._endpoints)

    def start(self) -> None:
        """Begins to watch. Raises OSError: there is no cluster to ask."""
        for endpoint in self._endpoints:
            if endpoint.startswith(KUBERNETES_PREFIX):
                service = ServiceName.parse(endpoint.removeprefix(KUBERNETES_PREFIX))
                watch = EndpointSliceWatch(service, self._changed, self._api_server())
                self._watches[endpoint] = watch
                watch.start()

    async def close(self) -> None:
        """Ends watching."""
        await asyncio.gather(*(watch.close() for watch in self._watches.values()))

    async def resolve(self) -> list[Address]:
        """The addresses of now, each once. A name that cannot be resolved keeps the addresses it had."""
        addresses: dict[str, Address] = {}
        for endpoint in self._endpoints:
            for address in await self._resolve_one(endpoint):
                addresses.setdefault(address.target, address)
        return list(addresses.values())

    async def _resolve_one(self, endpoint: str) -> list[Address]:
        if (watch := self._watches.get(endpoint)) is not None:
            return watch.addresses
        if not endpoint.startswith(DNS_PREFIX):
            return [Address(endpoint)]
        host, _, port = endpoint.removeprefix(DNS_PREFIX).rpartition(":")
        try:
            targets = await self._resolver(host, int(port))
        except OSError as error:
            known = self._known.get(endpoint)
            if known is None:
                log.warning("name of an endpoint cannot be resolved yet", name=host, error=str(error))
                self._known[endpoint] = []
            return self._known[endpoint]
        self._known[endpoint] = [Address(target, host) for target in targets]
        return self._known[endpoint]
