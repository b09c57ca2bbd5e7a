"""Loops between proxies: every request to Immich names the front doors that it passed, so that none passes twice.

`IMMICH_URL` may lead back here directly or by way of a reverse proxy or a second front door; without this, one request
would go round until descriptors run out.
"""

from collections.abc import Mapping
from uuid import uuid4

from aiohttp import web

from router.front_door.errors import LOOP
from router.front_door.replies import failure

HOP_HEADER = "X-Immich-Mesh-Hops"
MAX_HOPS = 8
"""Front doors one after the other; nobody has more than two."""


class Hops:
    """This front door's name in the chain: random, so that nobody outside can guess it."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or uuid4().hex

    def onward(self, headers: Mapping[str, str]) -> str:
        """The chain to send on, this front door included."""
        return ", ".join([*_chain(headers), self.name])

    def loops(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers was here before."""
        chain = _chain(headers)
        return self.name in chain or len(chain) >= MAX_HOPS


def loop_detected() -> web.Response:
    """The answer to a request that goes round."""
    return failure(508, LOOP)


def _chain(headers: Mapping[str, str]) -> list[str]:
    return [hop.strip() for hop in headers.get(HOP_HEADER, "").split(",") if hop.strip()]
