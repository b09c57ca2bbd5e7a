"""Who may call: networks and secret host names. Immich can send no credentials, so where a request comes from and the
name it was sent to are all there is.
"""

import hmac
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from pydantic import SecretStr

from router.config import Network
from router.errors import ForbiddenError


class Guard:
    """Decides for one listener.

    Args:
        allow: networks whose clients may call.
        secret_hosts: when not empty, the only names a request may be addressed to (the `Host` header without its port).
    """

    def __init__(self, allow: Sequence[Network], secret_hosts: Sequence[SecretStr] = ()) -> None:
        self._allow = tuple(allow)
        self._hosts = [name.get_secret_value().lower().encode() for name in secret_hosts]
        self._allowed = lru_cache(maxsize=4096)(self._is_allowed)

    def check(self, remote: str | None, host: str) -> None:
        """Raises ForbiddenError. `remote` is the peer's address, `host` the header."""
        if not self._allowed(remote or ""):
            raise ForbiddenError(f"clients at {remote} may not call this listener: add their network to its `allow`")
        if self._hosts and not self._is_secret(host):
            raise ForbiddenError("this name may not be called: use the listener's secret host name in Immich's URL")

    def _is_allowed(self, remote: str) -> bool:
        try:
            address = ip_address(remote.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._allow)

    def _is_secret(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        given = name.lower().encode("utf-8", "replace")
        # Every candidate is compared, each in constant time.
        return any([hmac.compare_digest(given, known) for known in self._hosts])  # noqa: C419
