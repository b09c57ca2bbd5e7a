"""Where endpoints come from: a list, or names that are resolved again and again (a headless Service in Kubernetes)."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

log = structlog.get_logger()

DNS_PREFIX = "dns:///"
"""gRPC's notation: `dns:///ocr-headless:50051` stands for every address behind the name."""

Resolver = Callable[[str, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint is, and which name its certificate must carry (empty: the host of `target`)."""

    target: str
    server_name: str = ""


async def system_resolver(host: str, port: int) -> list[str]:
    """The addresses of a name as the system resolves it, `ip:port` each, sorted. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    hosts = {str(entry[4][0]) for entry in found}
    return sorted(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts)


class EndpointDiscovery:
    """Turns the configured endpoints of a cluster into addresses."""

    def __init__(self, endpoints: Sequence[str], resolver: Resolver = system_resolver) -> None:
        self._endpoints = tuple(endpoints)
        self._resolver = resolver
        self._known: dict[str, list[Address]] = {}

    @property
    def changes(self) -> bool:
        """Whether asking again can give another answer."""
        return any(endpoint.startswith(DNS_PREFIX) for endpoint in self._endpoints)

    async def resolve(self) -> list[Address]:
        """The addresses of now, each once. A name that cannot be resolved keeps the addresses it had."""
        addresses: dict[str, Address] = {}
        for endpoint in self._endpoints:
            for address in await self._resolve_one(endpoint):
                addresses.setdefault(address.target, address)
        return list(addresses.values())

    async def _resolve_one(self, endpoint: str) -> list[Address]:
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
