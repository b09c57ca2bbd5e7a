"""A stand-in for Immich: replays recorded replies (`tests/contract/immich-api`) and enforces rights per user.

It keeps to what is known of Immich 2.7.5, from users and keys to which photos a search covers, and writes down what
it was asked.
"""

import asyncio
import copy
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from aiohttp import WSMsgType, web

from tests.doubles.immich_admin import AdminCalls
from tests.doubles.immich_filters import RefusedFilterError, passes
from tests.doubles.immich_library import RECORDED, DoubleAsset, DoubleKey, DoubleUser, ImmichLibrary, recorded
from tests.doubles.immich_web import WebApp

__all__ = ["RECORDED", "DoubleAsset", "DoubleKey", "DoubleUser", "ImmichDouble", "recorded"]

JOB_NAMES = {"refresh-faces", "refresh-metadata", "regenerate-thumbnail", "transcode-video"}


@dataclass
class RecordedCall:
    """A request as Immich saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)


class ImmichDouble(ImmichLibrary):
    """The server: a library that answers. Read `calls` for what it was asked."""

    def __init__(self, version: tuple[int, int, int] | None = (2, 7, 5)) -> None:
        super().__init__()
        self.version = version
        self.calls: list[RecordedCall] = []
        self.failing: dict[str, int] = {}
        self.odd: dict[str, tuple[int, bytes]] = {}
        self.silent: set[str] = set()
        self.flooded = 0
        self.uploads: list[tuple[int, str]] = []
        self.do_job: Callable[[str, list[UUID]], None] = lambda name, asset_ids: None
        self.aborted = asyncio.Event()
        self.upload_started = asyncio.Event()
        self.url = ""
        self.web: WebApp | None = None

    def paths(self) -> list[str]:
        """What was asked, as `METHOD path`."""
        return [f"{call.method} {call.path}" for call in self.calls]

    # -- who calls -------------------------------------------------------------------------------------------------

    def _caller(self, request: web.Request, permission: str | None) -> DoubleKey:
        if {"key", "slug"} & request.query.keys() or "x-immich-share-key" in request.headers:
            link = request.query.get("key") or request.headers.get("x-immich-share-key", "")
            if link not in self.shared_links:
                raise _problem(401, "Invalid share key")
            if link in self.shared_albums and request.path == "/api/search/metadata":
                visitor = DoubleUser("visitor")
                self.albums[self.shared_albums[link]].readers.add(visitor.id)
                return DoubleKey(visitor)
            raise _problem(403, "Forbidden")
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        candidates = (
            (request.headers.get("x-immich-user-token"), False),
            (request.headers.get("x-immich-session-token"), False),
            (request.query.get("sessionKey"), False),
            (bearer, False),
            (request.cookies.get("immich_access_token"), False),
            (request.headers.get("x-api-key"), True),
            (request.query.get("apiKey"), True),
        )
        for secret, wants_key in candidates:
            if secret:
                known = self.keys.get(secret)
                if known is None or known.is_api_key != wants_key:
                    raise _problem(401, "Invalid API key" if wants_key else "Invalid user token")
                if permission and not {permission, "all"} & known.permissions:
                    raise _problem(403, f"Missing required permission: {permission}")
                return known
        raise _problem(401, "Authentication required")

    def _administrator(self, request: web.Request, permission: str) -> DoubleKey:
        key = self._caller(request, permission)
        if not key.user.admin:
            raise _problem(403, "Forbidden")
        return key

    def _searched(self, key: DoubleKey, body: dict[str, Any]) -> list[DoubleAsset]:
        owners = {key.user.id} | {owner for owner, shown in key.user.partners.items() if shown}
        albums = {UUID(album) for album in body.get("albumIds") or ()}
        if key.user.name == "visitor" and not albums:
            raise _problem(400, "Shared link access is only allowed in combination with an albumIds filter")
        for album in albums:
            if album not in self.albums or key.user.id not in self.albums[album].readers:
                raise _problem(400, "Not found or no album.read access")
        text = body.get("ocr") or body.get("filter", {}).get("ocr", {}).get("matches") or ""
        reach = self._visibilities(key, body)
        try:
            return [
                asset
                for asset in self.assets.values()
                if passes(asset, body)
                and (albums or asset.owner in owners)
                and asset.visibility in reach
                and text in asset.text
            ]
        except RefusedFilterError as error:
            raise _problem(400, str(error)) from error

    def _visibilities(self, key: DoubleKey, body: dict[str, Any]) -> set[str]:
        wanted = body.get("visibility")
        if wanted is None:
            modern = self.version is not None and self.version >= (3, 0, 0)
            return {"timeline", "archive", "hidden"} if modern else {"timeline"}
        if wanted == "locked" and not key.elevated:
            raise _problem(401, "Elevated permission is required")
        if wanted not in ("timeline", "archive", "hidden", "locked"):
            raise _problem(400, "visibility must be one of archive, timeline, hidden, locked")
        return {wanted}

    # -- endpoints -------------------------------------------------------------------------------------------------

    async def _me(self, request: web.Request) -> web.Response:
        key = self._caller(request, "user.read")
        return web.json_response({**recorded("users-me"), "id": str(key.user.id), "name": key.user.name})

    async def _partners(self, request: web.Request) -> web.Response:
        key = self._caller(request, "partner.read")
        assert request.query["direction"] == "shared-with"
        [shape] = recorded("partners-shared-with")
        return web.json_response(
            [{**shape, "id": str(owner), "inTimeline": shown} for owner, shown in key.user.partners.items()]
        )

    async def _key(self, request: web.Request) -> web.Response:
        key = self._caller(request, None)
        if not key.is_api_key:
            raise _problem(403, "Not authenticated with an API Key")
        return web.json_response({"id": str(uuid4()), "name": "key", "permissions": sorted(key.permissions)})

    async def _version(self, request: web.Request) -> web.Response:
        if self.version is None:
            raise _problem(404, "Cannot GET /api/server/version")
        return web.json_response(dict(zip(("major", "minor", "patch"), self.version, strict=True)))

    def _found(self, request: web.Request, permission: str) -> DoubleAsset:
        key = self._caller(request, permission)
        asset = self.assets.get(UUID(request.match_info["id"]))
        if asset is None or not self.readable(key, asset):
            raise _problem(400, f"Not found or no {permission} access")
        return asset

    async def _asset(self, request: web.Request) -> web.Response:
        if (left := self.failing.get(request.match_info["id"], 0)) > 0:
            self.failing[request.match_info["id"]] = left - 1
            raise _problem(500, "Internal server error")
        return web.json_response(self.detail(self._found(request, "asset.read")))

    async def _thumbnail(self, request: web.Request) -> web.Response:
        asset = self._found(request, "asset.view")
        assert request.query["size"] in ("preview", "thumbnail")
        if asset.preview is None:
            raise _problem(404, "Asset media not found")
        return web.Response(body=asset.preview, content_type="image/jpeg")

    async def _playback(self, request: web.Request) -> web.Response:
        asset = self._found(request, "asset.view")
        wanted = request.http_range
        piece = asset.video[wanted]
        if not piece:
            raise _problem(404, "Asset media not found")
        if "Range" not in request.headers:
            return web.Response(body=piece, content_type="video/mp4")
        first = wanted.start or 0
        span = f"bytes {first}-{first + len(piece) - 1}/{len(asset.video)}"
        return web.Response(status=206, body=piece, content_type="video/mp4", headers={"Content-Range": span})

    async def _text(self, request: web.Request) -> web.Response:
        asset = self._found(request, "asset.read")
        first, *_ = recorded("asset-ocr")
        lines = asset.text.splitlines()
        return web.json_response([{**first, "assetId": str(asset.id), "text": line} for line in lines])

    async def _people(self, request: web.Request) -> web.Response:
        self._caller(request, "person.read")
        return web.json_response({"people": self.persons, "total": len(self.persons), "hidden": 0})

    async def _albums(self, request: web.Request) -> web.Response:
        key = self._caller(request, "album.read")
        mine = [album for album in self.albums.values() if key.user.id in album.readers]
        return web.json_response([{"id": str(album.id), "albumName": "album", "assetCount": 0} for album in mine])

    async def _album(self, request: web.Request) -> web.Response:
        key = self._caller(request, "album.read")
        album = self.albums.get(UUID(request.match_info["id"]))
        if album is None or key.user.id not in album.readers:
            raise _problem(400, "Not found or no album.read access")
        return web.json_response({"id": str(album.id), "albumName": "album", "assetCount": 0})

    async def _search(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        key = self._caller(request, "asset.read")
        body = await request.json()
        structured = self.version is not None and self.version >= (3, 2, 0)
        if kind == "smart" and not body.get("query"):
            raise _problem(400, "Either `query` or `queryAssetId` must be set")
        size, page = body.get("size", 100 if kind == "smart" else 250), body.get("page", 1)
        if not isinstance(size, int) or not 1 <= size <= 1000:
            raise _problem(400, "size must not be greater than 1000")
        assets = self._searched(key, body)
        if structured and (branches := body.get("filter", {}).get("or")):
            named = {branch["id"]["eq"] for branch in branches}
            assets = [asset for asset in self.assets.values() if str(asset.id) in named and self.readable(key, asset)]
        shown = assets[(page - 1) * size : page * size]
        reply = copy.deepcopy(recorded("search-smart" if kind == "smart" else "search-metadata-ocr"))
        reply["assets"] |= {
            "items": [self.item(asset, with_exif=bool(body.get("withExif"))) for asset in shown],
            "total": len(shown),
            "count": len(shown),
            "nextPage": str(page + 1) if len(assets) > page * size else None,
        }
        if structured:
            reply["assets"]["nextCursor"] = None
        return web.json_response(reply)

    async def _jobs(self, request: web.Request) -> web.Response:
        self._caller(request, "job.create")
        body = await request.json()
        if body.get("name") not in JOB_NAMES:
            raise _problem(400, f"name must be one of the following values: {', '.join(sorted(JOB_NAMES))}")
        self.do_job(body["name"], [UUID(asset_id) for asset_id in body["assetIds"]])
        return web.Response(status=204)

    async def _upload(self, request: web.Request) -> web.Response:
        self._caller(request, "asset.upload")
        digest, size = hashlib.sha1(usedforsecurity=False), 0
        self.upload_started.set()
        try:
            async for piece in request.content.iter_any():
                digest.update(piece)
                size += len(piece)
        except (ConnectionError, asyncio.CancelledError, web.RequestPayloadError):
            self.aborted.set()
            raise
        self.uploads.append((size, digest.hexdigest()))
        return web.json_response({"id": str(uuid4()), "status": "created"}, status=201)

    async def _original(self, request: web.Request) -> web.StreamResponse:
        # A plain file with ranges and validators, as Immich sends one.
        return web.FileResponse(RECORDED / "asset.json", headers={"Cache-Control": "private, max-age=86400"})

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        await response.prepare(request)
        try:
            while not self.aborted.is_set():
                await response.write(bytes(64 * 1024))
        except (ConnectionError, asyncio.CancelledError):
            self.aborted.set()
            raise
        return response

    async def _hang(self, request: web.Request) -> web.Response:
        self.upload_started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.aborted.set()
            raise
        raise AssertionError

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        if request.query.get("refuse"):
            raise _problem(401, "Authentication required")
        socket = web.WebSocketResponse(protocols=("chat", "immich"), max_msg_size=0)
        await socket.prepare(request)
        for _ in range(int(request.query.get("flood", 0))):
            await socket.send_bytes(bytes(1 << 20))
            self.flooded += 1
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data.startswith("send "):
                await socket.send_bytes(bytes(int(message.data.split()[1])))
            elif message.type is WSMsgType.TEXT and message.data == "close":
                await socket.close(code=4001, message=b"bye")
            elif message.type is WSMsgType.TEXT:
                await socket.send_str(f"{message.data}:{request.cookies.get('immich_access_token', '')}")
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        self.aborted.set()
        return socket

    async def _redirect(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        if self.web is not None and (page := self.web.reply(request)) is not None:
            return page
        call = self.calls[-1]
        shown = {
            "method": call.method,
            "target": request.raw_path,
            "headers": call.headers,
            "body": call.body.decode(errors="replace"),
        }
        return web.json_response(shown, headers={"X-Powered-By": "Express", "Set-Cookie": "a=1; Path=/"})

    @web.middleware
    async def _remember(self, request: web.Request, handler: Any) -> web.StreamResponse:
        streamed = request.method == "POST" and request.path == "/api/assets"
        body = b"" if streamed or request.path.startswith("/api/hang") else await request.read()
        headers = dict(request.headers)
        self.calls.append(RecordedCall(request.method, request.path, dict(request.query), headers, body))
        if request.path in self.silent:
            await asyncio.Event().wait()
        if request.path in self.odd:
            status, told = self.odd[request.path]
            return web.Response(status=status, body=told, content_type="application/json")
        response: web.StreamResponse = await handler(request)
        return response

    def app(self) -> web.Application:
        """The double as an application."""
        app = web.Application(middlewares=[self._remember], client_max_size=1 << 30)
        app.router.add_get("/api/users/me", self._me)
        app.router.add_get("/api/partners", self._partners)
        app.router.add_get("/api/api-keys/me", self._key)
        app.router.add_get("/api/server/version", self._version)
        app.router.add_get("/api/albums", self._albums)
        app.router.add_get("/api/albums/{id}", self._album)
        app.router.add_get("/api/people", self._people)
        app.router.add_post("/api/search/{kind:smart|metadata}", self._search)
        app.router.add_post("/api/assets/jobs", self._jobs)
        app.router.add_post("/api/assets", self._upload)
        modern = self.version is not None and self.version >= (3, 0, 0)
        app.router.add_routes(AdminCalls(self, self._administrator, _problem).routes(modern=modern))
        app.router.add_get("/api/assets/{id}", self._asset)
        app.router.add_get("/api/assets/{id}/thumbnail", self._thumbnail)
        app.router.add_get("/api/assets/{id}/video/playback", self._playback)
        app.router.add_get("/api/assets/{id}/ocr", self._text)
        app.router.add_get("/api/assets/{id}/original", self._original)
        app.router.add_get("/api/endless", self._endless)
        app.router.add_route("*", "/api/hang", self._hang)
        app.router.add_get("/api/redirect", self._redirect)
        app.router.add_get("/api/socket.io/", self._socket)
        app.router.add_route("*", "/{path:.*}", self._echo)
        return app

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator["ImmichDouble"]:
        """Serves on a free port of the loopback."""
        runner = web.AppRunner(
            self.app(), handler_cancellation=True, auto_decompress=False, access_log=None, shutdown_timeout=0.1
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, bound = runner.addresses[0][:2]
        self.url = f"http://{host}:{bound}"
        try:
            yield self
        finally:
            await runner.cleanup()


class _problem(web.HTTPException):  # noqa: N801 - reads as the statement it is
    def __init__(self, status: int, message: str) -> None:
        self.status_code = status
        phrase = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}.get(status, "Error")
        body = json.dumps({"message": message, "error": phrase, "statusCode": status})
        super().__init__(text=body, content_type="application/json")
