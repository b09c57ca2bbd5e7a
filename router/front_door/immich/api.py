"""Immich's REST API as the front door uses it: small questions asked with the caller's own credentials."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, ConnectionTimeoutError

from mesh.core.errors import InvalidInputError
from router.front_door.errors import (
    LOOP,
    ImmichAnswerError,
    ImmichAwayError,
    ImmichSlowError,
    ImmichUnreachableError,
    LoopError,
    slow,
)
from router.front_door.immich.credentials import Credentials
from router.front_door.immich.schemas import API_KEY, SERVER_VERSION, Reply
from router.front_door.passthrough.hops import HOP_HEADER, Hops

Version = tuple[int, int, int]

STRUCTURED_FILTER: Version = (3, 2, 0)
"""The first Immich that understands `filter` in a search, and answers with `nextCursor`."""

ALL_BUT_LOCKED: Version = (3, 0, 0)
"""The first Immich whose search covers everything but the locked folder when no visibility is named."""

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""The largest answer that is read: a page of 1,000 photos with EXIF takes 3 MB, a preview hardly ever 5."""

NOBODY = Credentials({}, {})


class ImmichApi:
    """Asks one Immich server.

    Args:
        session: for JSON; decompresses.
        immich_url: where Immich answers.
        hops: this front door's name, by which it knows its own questions again.
        timeout_seconds: for one question, start to end.
        concurrency: how many assets of one page are fetched at a time.
    """

    def __init__(
        self,
        session: ClientSession,
        immich_url: str,
        *,
        hops: Hops | None = None,
        timeout_seconds: float = 15.0,
        concurrency: int = 16,
    ) -> None:
        self._session = session
        self.url = immich_url.rstrip("/")
        self._hops = hops or Hops()
        self._timeout_seconds = timeout_seconds
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
        """One call of the API, whatever its outcome.

        Raises:
            ImmichAwayError: Immich cannot be reached, is silent (ImmichSlowError), answers too much
                (ImmichAnswerError), or is this front door (LoopError).
            InvalidInputError: the body is nested too deeply to be written.
        """
        headers = {**credentials.headers, HOP_HEADER: self._hops.onward({})}
        data = None
        if body is not None:
            data = _written(body)
            headers["Content-Type"] = "application/json"
        asked = f"{method} {path}"
        try:
            async with self._session.request(
                method,
                self.url + path,
                headers=headers,
                params={**credentials.query, **(query or {})},
                data=data,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                if response.status == 508:
                    raise LoopError(LOOP)
                return Reply(response.status, await _body(response, asked), response.headers, asked)
        except ConnectionTimeoutError as error:
            raise ImmichUnreachableError from error
        except TimeoutError as error:
            raise ImmichSlowError(slow(self._timeout_seconds)) from error
        except ClientError as error:
            raise ImmichUnreachableError from error

    async def me(self, credentials: Credentials) -> Reply:
        """The caller's own user."""
        return await self.ask("GET", "/api/users/me", credentials)

    async def partners(self, credentials: Credentials) -> Reply:
        """Those who share their photos with the caller."""
        return await self.ask("GET", "/api/partners", credentials, query={"direction": "shared-with"})

    async def key_permissions(self, credentials: Credentials) -> frozenset[str] | None:
        """What the caller's API key may do; None where Immich cannot tell."""
        reply = await self.ask("GET", "/api/api-keys/me", credentials)
        if reply.refused:
            return None
        if not reply.ok:
            raise ImmichAwayError(f"Immich answered {reply.status} when asked for the key's permissions: try again")
        return reply.read(API_KEY).permissions

    async def album(self, album_id: str, credentials: Credentials) -> Reply:
        """One album, without its photos."""
        return await self.ask("GET", f"/api/albums/{album_id}", credentials, query={"withoutAssets": "true"})

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
        """The preview image as Immich itself gives it to its machine learning: before the owner's crops and turns."""
        query = {"size": "preview", "edited": "false"}
        return await self.ask("GET", f"/api/assets/{asset_id}/thumbnail", credentials, query=query)

    async def search(self, kind: str, body: Mapping[str, Any], credentials: Credentials) -> Reply:
        """Immich's own search, `smart` or `metadata`."""
        return await self.ask("POST", f"/api/search/{kind}", credentials, body=dict(body))

    async def version(self) -> Version:
        """Immich's version, asked once; (0, 0, 0) while it does not tell."""
        if self._version is None:
            self._version = await self.version_now()
        return self._version or (0, 0, 0)

    async def version_now(self) -> Version | None:
        """Immich's version, asked anew; None where it does not tell."""
        reply = await self.ask("GET", "/api/server/version", NOBODY)
        if not reply.ok:
            return None
        version = reply.read(SERVER_VERSION)
        return version.major, version.minor, version.patch


def _written(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise InvalidInputError("the body is nested too deeply") from error


async def _body(response: ClientResponse, asked: str) -> bytes:
    pieces = bytearray()
    async for piece in response.content.iter_any():
        pieces += piece
        if len(pieces) > MAX_ANSWER_BYTES:
            raise ImmichAnswerError(f"Immich's answer to {asked} is larger than {MAX_ANSWER_BYTES} bytes")
    return bytes(pieces)
