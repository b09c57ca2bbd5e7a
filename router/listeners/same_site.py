"""Keeps other web sites' scripts away from the admin API, which has no key and trusts whoever can reach it.

A browser on the same machine can reach it too, and any page open in it may send requests there. Two checks stop that:
the `Host` must be an address or a known name (a foreign name that resolves to us is DNS rebinding), and a request that
changes something must come from our own page or from no page at all.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from router.errors import ForbiddenError

SAFE_METHODS = {"GET", "HEAD"}


class SameSite:
    """The checks of one listener.

    Args:
        names: host names that are ours, besides localhost.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = {"localhost", *(name.lower() for name in names)}

    def check(self, request: web.Request) -> None:
        """Raises ForbiddenError."""
        host = request.host
        if not self._is_ours(host):
            raise ForbiddenError(
                f"the admin page does not answer to the name {host!r}: add it to the admin listener's `names`"
            )
        if request.method in SAFE_METHODS:
            return
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise ForbiddenError("pages of other sites may not change anything here")
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            raise ForbiddenError("pages of other sites may not change anything here")

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ip_address(name)
        except ValueError:
            return name.lower() in self._names
        return True
