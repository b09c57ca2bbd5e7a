"""Immich's REST API as the front door uses it: small questions asked with the caller's own credentials."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout
from multidict import CIMultiDictProxy

from mesh.core.errors import UnavailableError
from router.gateway.credentials import Credentials

log = structlog.get_logger()

Version = tuple[int, int, int]


class ImmichAwayError(UnavailableError):
    """Immich itself cannot be reached or fails: nothing can take over."""


STRUCTURED_FILTER: Version = (3, 2, 0)
"""The first Immich that understands `filter` in a search, and answers with `nextCursor`."""


@dataclass(frozen=True)
class Reply:
    """One of Immich's replies, read to its end (they are small)."""

    status: int
    body: bytes
    headers: CIMultiDictProxy[str]

    @property
    def ok(self) -> bool:
        """Whether Immich said yes."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body. Raises ImmichAwayError when it is no JSON, as from a proxy's error page in between."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise ImmichAwayError("Immich answered something that is not JSON: check IMMICH_URL") from error


class ImmichApi:
    """Asks one Immich server.

    Args:
        session: for JSON; decompresses.
        immich_url: where Immich answers.
        timeout_seconds: for one question, start to end.
        concurrency: how many assets of one page are fetched at a time.
    """

    def __init__(
        self, session: ClientSession, immich_url: str, *, timeout_seconds: float = 15.0, concurrency: int = 16
    ) -> None:
        self._session = session
        self._base = immich_url.rstrip("/")
        self._timeout = ClientTimeout(total=timeout_seconds, sock_connect=5.0)
        self._concurrency = concurrency
        self._version: Version | None = None

    async def ask(
        self,
        method: str,
        path: str,
        credentials: Credentials,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
    ) -> Reply:
        """One call of the API, whatever its outcome. Raises ImmichAwayError when Immich cannot be reached or is
        silent."""
        headers = dict(credentials.headers)
        data = None
        if body is not None:
            data = orjson.dumps(body)
            headers["Content-Type"] = "application/json"
        try:
            async with self._session.request(
                method,
                self._base + path,
                headers=headers,
                params={**credentials.query, **(query or {})},
                data=data,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                return Reply(response.status, await response.read(), response.headers)
        except (TimeoutError, ClientError) as error:
            raise ImmichAwayError(
                "Immich cannot be reached: check that it runs and that IMMICH_URL is right"
            ) from error

    async def me(self, credentials: Credentials) -> Reply:
        """The caller's own user."""
        return await self.ask("GET", "/api/users/me", credentials)

    async def partners(self, credentials: Credentials) -> Reply:
        """Those who share their photos with the caller."""
        return await self.ask("GET", "/api/partners", credentials, query={"direction": "shared-with"})

    async def key_permissions(self, credentials: Credentials) -> frozenset[str] | None:
        """What the caller's API key may do; None where Immich cannot tell."""
        reply = await self.ask("GET", "/api/api-keys/me", credentials)
        if not reply.ok:
            return None
        permissions = reply.json().get("permissions")
        return frozenset(permissions) if isinstance(permissions, list) else None

    async def asset(self, asset_id: str, credentials: Credentials) -> Reply:
        """One photo or video, with everything that Immich shows of it."""
        return await self.ask("GET", f"/api/assets/{asset_id}", credentials)

    async def assets(self, asset_ids: Sequence[str], credentials: Credentials) -> list[Reply]:
        """Several photos, in the order asked for, a bounded number at a time."""
        gate = asyncio.Semaphore(self._concurrency)

        async def one(asset_id: str) -> Reply:
            async with gate:
                reply = await self.asset(asset_id, credentials)
                # A hiccup of Immich's is no refusal; a photo must not vanish from a result because of one.
                return reply if reply.status < 500 else await self.asset(asset_id, credentials)

        return await asyncio.gather(*(one(asset_id) for asset_id in asset_ids))

    async def preview(self, asset_id: str, credentials: Credentials) -> Reply:
        """The preview image: what Immich itself gives its machine learning."""
        return await self.ask("GET", f"/api/assets/{asset_id}/thumbnail", credentials, query={"size": "preview"})

    async def search(self, kind: str, body: Mapping[str, Any], credentials: Credentials) -> Reply:
        """Immich's own search, `smart` or `metadata`."""
        return await self.ask("POST", f"/api/search/{kind}", credentials, body=dict(body))

    async def version(self) -> Version:
        """Immich's version, asked once; (0, 0, 0) while it does not tell."""
        if self._version is None:
            reply = await self.ask("GET", "/api/server/version", Credentials({}, {}))
            if not reply.ok:
                return (0, 0, 0)
            told = reply.json()
            if not isinstance(told, dict):
                return (0, 0, 0)
            self._version = (int(told.get("major", 0)), int(told.get("minor", 0)), int(told.get("patch", 0)))
        return self._version
