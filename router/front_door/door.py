"""The door itself: which requests are changed, and everything else straight through."""

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
import structlog
from aiohttp import ClientSession, hdrs, web

from mesh.core.errors import MeshError
from router.errors import BodyTooSlowError
from router.front_door.errors import ImmichUnreachableError
from router.front_door.immich.api import ImmichApi
from router.front_door.immich.credentials import COOKIE, Credentials, credentials_of
from router.front_door.metrics import FrontDoorMetrics
from router.front_door.pages.files import PageFiles
from router.front_door.pages.injection import ScriptInjection
from router.front_door.passthrough.hops import loop_detected
from router.front_door.passthrough.proxy import ImmichProxy, invite_body
from router.front_door.passthrough.websocket import OpenSockets, close_websockets, relay_websocket, wants_websocket
from router.front_door.refresh.jobs import RefreshCalls
from router.front_door.refresh.pictures import pictures
from router.front_door.refresh.refresher import RefreshKind
from router.front_door.replies import SERVED_HEADER, failure, json_reply, mesh_failure, relayed
from router.front_door.search.calls import SearchCalls
from router.front_door.search.query import without_prefix

log = structlog.get_logger()

SERVICE = "immich-mesh photo front door"
"""What it calls itself at `/mesh`."""

WORTH_PACKING_BYTES = 4096

Call = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FrontDoor:
    """Serves every request of the photo front door.

    Args:
        max_body_bytes: a changed call's body is a few hundred bytes; a larger one is not ours and streams through.
        body_timeout_seconds: how long the body of a changed call may take to arrive.
        immich_page: whether Immich's page gets a script of ours.
    """

    def __init__(
        self,
        session: ClientSession,
        proxy: ImmichProxy,
        api: ImmichApi,
        searches: SearchCalls,
        refreshes: RefreshCalls,
        metrics: FrontDoorMetrics,
        *,
        max_body_bytes: int = 1 << 20,
        body_timeout_seconds: float = 60.0,
        immich_page: bool = True,
    ) -> None:
        self._pages = PageFiles()
        script_url = self._pages.script_url(refreshes=refreshes.possible)
        self._injection = ScriptInjection(script_url) if immich_page else None
        self._max_body_bytes = max_body_bytes
        self._body_timeout_seconds = body_timeout_seconds
        self._session = session
        self._sockets: OpenSockets = set()
        self._api = api
        self._proxy = proxy
        self._searches = searches
        self._refreshes = refreshes
        self._metrics = metrics
        self._changed: Mapping[tuple[str, str], Call] = {
            ("POST", "/api/search/smart"): self._smart,
            ("POST", "/api/search/metadata"): self._metadata,
            ("POST", "/api/search/ocr"): self._ocr,
            ("POST", "/api/assets/jobs"): self._jobs,
            ("POST", "/mesh/search/explain"): self._explain,
            ("POST", "/mesh/refresh"): self._refresh,
            ("POST", "/mesh/refresh/video"): self._refresh_video,
            ("GET", "/mesh/refresh/missing"): self._missing,
            ("GET", "/mesh/refresh/state"): self._state,
            ("GET", "/mesh"): self._itself,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request, whatever it is."""
        if self._proxy.loops(request):
            return loop_detected()
        if wants_websocket(request):
            return await relay_websocket(request, self._session, self._proxy, self._sockets)
        if (page := self._pages.reply(request)) is not None:
            return _packed(request, page)
        call = self._changed.get((request.method, request.path.rstrip("/").lower()))
        if call is None:
            injection = self._injection if ScriptInjection.concerns(request) else None
            return _packed(request, await self._proxy.forward(request, injection=injection))
        try:
            return _packed(request, await call(request))
        except ImmichUnreachableError as error:
            self._proxy.reach.failed(str(error.__cause__ or error))
            return mesh_failure(error)
        except MeshError as error:
            log.warning("front door failed", path=request.path, error=error.message)
            return mesh_failure(error)

    async def hang_up(self) -> None:
        """Closes the WebSockets, which would never end by themselves."""
        await close_websockets(self._sockets)

    async def _smart(self, request: web.Request) -> web.StreamResponse:
        raw, body = await self._json_body(request)
        credentials = self._credentials(request)
        if body is None or not _may_search(credentials) or not self._searches.changes(body):
            return await self._proxy.forward(request, raw)
        return await self._counted(self._searches.smart(body, credentials))

    async def _metadata(self, request: web.Request) -> web.StreamResponse:
        raw, body = await self._json_body(request)
        credentials = self._credentials(request)
        if body is None or not _may_search(credentials) or not self._searches.changes_metadata(body):
            return await self._proxy.forward(request, raw)
        return await self._counted(self._searches.metadata(body, credentials))

    async def _ocr(self, request: web.Request) -> web.StreamResponse:
        raw, body = await self._json_body(request)
        credentials = self._credentials(request)
        if body is None or not isinstance(body.get("ocr"), str):
            return await self._proxy.forward(request, raw)
        text = without_prefix(body["ocr"])
        if not _may_search(credentials):
            return relayed(await self._api.search("smart", {"query": text}, credentials))
        rest = {name: value for name, value in body.items() if name != "ocr"}
        return await self._counted(self._searches.by_text(text, rest, credentials))

    async def _counted(self, search: Awaitable[web.Response]) -> web.Response:
        started = time.monotonic()
        response = await search
        self._metrics.searched(response.headers.get(SERVED_HEADER, ""), time.monotonic() - started)
        return response

    async def _jobs(self, request: web.Request) -> web.StreamResponse:
        raw, body = await self._json_body(request)
        credentials = self._credentials(request)
        if (
            body is None
            or body.get("name") not in set(RefreshKind)
            or not _may_search(credentials)
            or _forgeable(request)
        ):
            return await self._proxy.forward(request, raw)
        return await self._refreshes.jobs(body, credentials)

    async def _explain(self, request: web.Request) -> web.StreamResponse:
        _, body = await self._json_body(request)
        credentials = self._credentials(request)
        if not _may_search(credentials):
            return await self._refusal(credentials)
        return await self._searches.explain(body or {}, credentials)

    async def _refusal(self, credentials: Credentials) -> web.Response:
        """Immich's own words for a caller that it does not know or who came by a shared link."""
        reply = await self._api.me(credentials)
        return relayed(reply) if reply.refused else failure(403, "a shared link may not do this")

    async def _refresh(self, request: web.Request) -> web.StreamResponse:
        if _forgeable(request):
            return failure(415, "send JSON, as application/json")
        _, body = await self._json_body(request)
        return await self._refreshes.refresh(body or {}, self._credentials(request))

    async def _refresh_video(self, request: web.Request) -> web.StreamResponse:
        if _forgeable(request):
            return failure(415, "a video is refreshed with an API key, not with a browser's session")
        invite_body(request)
        sent = pictures(request, timeout_seconds=self._body_timeout_seconds)
        return await self._refreshes.refresh_video(request.query, sent, self._credentials(request))

    async def _missing(self, request: web.Request) -> web.StreamResponse:
        return await self._refreshes.missing(request.query, self._credentials(request))

    async def _state(self, request: web.Request) -> web.StreamResponse:
        return await self._refreshes.state(request.query, self._credentials(request))

    async def _itself(self, request: web.Request) -> web.StreamResponse:
        """By what a command knows that this is no Immich."""
        return json_reply({"service": SERVICE})

    async def _json_body(self, request: web.Request) -> tuple[bytes, dict[str, Any] | None]:
        """What was read of the body, and the JSON object that it is.

        A body that is no JSON object is Immich's to refuse; one too large to be ours streams on from where it was read.
        """
        invite_body(request)
        raw = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout_seconds):
                async for piece in request.content.iter_any():
                    raw += piece
                    if len(raw) > self._max_body_bytes:
                        return bytes(raw), None
        except TimeoutError as error:
            raise BodyTooSlowError(f"the body did not arrive within {self._body_timeout_seconds:g} s") from error
        try:
            body = orjson.loads(self._decoded(bytes(raw), request.headers.get(hdrs.CONTENT_ENCODING, "")))
        except (orjson.JSONDecodeError, zlib.error):
            return bytes(raw), None
        return bytes(raw), body if isinstance(body, dict) else None

    def _decoded(self, raw: bytes, encoding: str) -> bytes:
        if encoding.lower() not in ("gzip", "deflate"):
            return raw
        # 32: either header; the limit keeps a small body from becoming a huge one.
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(raw, self._max_body_bytes)

    def _credentials(self, request: web.Request) -> Credentials:
        return credentials_of(self._proxy.headers(request), request.query, request.cookies)


def _packed(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """A long reply of ours, packed for a client that can unpack it; what passes through stays as Immich sent it."""
    if (
        isinstance(response, web.Response)
        and response.content_length is not None
        and response.content_length > WORTH_PACKING_BYTES
        and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
    ):
        response.headers.add(hdrs.VARY, hdrs.ACCEPT_ENCODING)
        response.enable_compression(web.ContentCoding.gzip)
    return response


def _may_search(credentials: Credentials) -> bool:
    """Callers without credentials, and holders of shared links, are refused by Immich itself, in its own words."""
    return credentials.present and not credentials.shared_link


def _forgeable(request: web.Request) -> bool:
    """Whether another site's form could have sent this with the browser's cookie: a form cannot send JSON as JSON."""
    return COOKIE in request.cookies and request.content_type != "application/json"
