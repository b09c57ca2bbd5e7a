"""Which headers cross the front door: everything end to end, nothing that belongs to a single connection, and the
`X-Forwarded-*` family that tells Immich who is really calling."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy

from router.config.front_door import TRUSTED_PROXIES

Network = IPv4Network | IPv6Network

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110, section 7.6.1: these describe one connection and are never forwarded."""


def end_to_end(headers: CIMultiDictProxy[str] | CIMultiDict[str]) -> CIMultiDict[str]:
    """A copy of `headers`, order and repetitions kept, without hop-by-hop ones and those that `Connection` names."""
    named = {name.strip().lower() for value in headers.getall(hdrs.CONNECTION, []) for name in value.split(",")}
    dropped = HOP_BY_HOP | named
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)


class Forwarding:
    """Writes `X-Forwarded-For`, `-Proto`, `-Host` and `X-Real-IP`.

    A peer inside `trusted` is another proxy: what it says of the client is kept and continued. Anyone else's claims are
    replaced by what was seen, so that nobody can invent an address.
    """

    def __init__(self, trusted: Iterable[str] = TRUSTED_PROXIES) -> None:
        self._trusted: tuple[Network, ...] = tuple(ip_network(network, strict=False) for network in trusted)

    def apply(self, headers: CIMultiDict[str], *, peer: str | None, scheme: str, host: str | None) -> None:
        """Sets the forwarded headers in place; `peer` is the address at the other end of the connection, if known."""
        believed = peer is None or self._is_trusted(peer)
        chain = headers.getall("X-Forwarded-For", []) if believed else []
        if peer is not None:
            chain = [*chain, peer]
        if chain:
            headers["X-Forwarded-For"] = ", ".join(chain)
        if not believed or "X-Forwarded-Proto" not in headers:
            headers["X-Forwarded-Proto"] = scheme
        if host and (not believed or "X-Forwarded-Host" not in headers):
            headers["X-Forwarded-Host"] = host
        if peer is not None and (not believed or "X-Real-IP" not in headers):
            headers["X-Real-IP"] = peer
        if not believed:
            headers.popall("Forwarded", None)

    def _is_trusted(self, peer: str) -> bool:
        try:
            address = ip_address(peer.split("%", 1)[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._trusted)
