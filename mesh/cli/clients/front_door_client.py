"""Asks the photo front door on a user's behalf, with that user's API key: searches, selections, refreshes."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from mesh.cli.output.outcome import CommandError, ExitCode, one_line
from mesh.cli.video.frames import DecodeOrder

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
PAGE = 1000
"""The largest page that Immich gives."""

CANDIDATES = ("http://127.0.0.1:2284", "http://127.0.0.1:2283")
"""Where a front door is when nobody says: compose has it at 2284, beside Immich; `up` and a forwarded chart at 2283."""

SERVICE = "immich-mesh photo front door"
"""What a front door calls itself at `/mesh`."""

PASSING = frozenset({429, 502, 503, 504})
"""Answers after which trying again is worthwhile."""

LACKS = re.compile(r"Missing required permission: ([\w.]+)")
"""How Immich says what a key may not do."""

ATTEMPTS = 6
"""How often a photo is tried while the mesh is busy or away."""

Sleep = Callable[[float], Awaitable[None]]


class RefreshFailedError(Exception):
    """One photo could not be refreshed; the message says why."""


@dataclass(frozen=True)
class Page:
    """One page of a search: Immich's items, and how it was served (the header's value; empty for Immich itself)."""

    items: list[dict[str, Any]]
    next_page: str | None
    served: str


class FrontDoorClient:
    """One user's calls.

    Args:
        url: the front door, e.g. `http://127.0.0.1:2283`.
        api_key: one of the user's API keys.
        transport: replaces the network in tests.
        sleep: replaces waiting in tests.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        url = url.rstrip("/").removesuffix("/api")
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CommandError(f"{url!r} is no address: write it like http://127.0.0.1:2283", ExitCode.USAGE)
        self.url = url
        self._sleep = sleep
        self._client = httpx.AsyncClient(
            base_url=self.url,
            headers={"x-api-key": api_key},
            # The mesh holds a photo rather than failing it; this is beyond its longest deadline.
            timeout=httpx.Timeout(300.0, connect=5.0),
            transport=transport,
            trust_env=parts.hostname not in LOOPBACK,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def user_id(self) -> str:
        """The user that the key belongs to."""
        return str(_member(await self._json("GET", "/api/users/me"), "id", self.url))

    async def is_front_door(self) -> bool:
        """Whether a front door answers there."""
        try:
            reply = await self._client.get("/mesh", timeout=3.0)
        except httpx.TransportError:
            return False
        return _payload(reply).get("service") == SERVICE

    async def name(self, asset_id: str) -> str:
        """The photo's file name, for a report; empty where Immich does not tell."""
        return str((await self._asset(asset_id)).get("originalFileName", ""))

    async def is_video(self, asset_id: str) -> bool:
        """Whether it is one; what Immich does not show is none."""
        return (await self._asset(asset_id)).get("type") == "VIDEO"

    async def _asset(self, asset_id: str) -> dict[str, Any]:
        try:
            return _payload(await self._client.get(f"/api/assets/{asset_id}"))
        except httpx.TransportError:
            return {}

    def playback(self, asset_id: str, count: int) -> DecodeOrder:
        """What to tell a decoder that is to take pictures of a video."""
        url = f"{self.url}/api/assets/{asset_id}/video/playback"
        return DecodeOrder(url, count, {"x-api-key": self._client.headers["x-api-key"]}, self._client.trust_env)

    async def find_missing_faces(self) -> str:
        """Lets Immich queue the photos whose faces it never looked for; empty, or why it did not."""
        body = {"command": "start", "force": False}
        reply = await self._send("PUT", "/api/jobs/faceDetection", json=body)
        if reply.is_success:
            return ""
        if reply.status_code == 400:
            return "Immich is at it already"
        problem = _problem(reply)
        return (
            f"only an administrator's key may start Immich's own job ({problem})"
            if reply.status_code == 403
            else problem
        )

    async def search(self, body: Mapping[str, Any], kind: str = "smart") -> Page:
        """One page of a search, `smart` or `metadata`."""
        reply = await self._asked("POST", f"/api/search/{kind}", json=dict(body))
        assets = _member(self._read(reply), "assets", self.url)
        items, next_page = _member(assets, "items", self.url), _member(assets, "nextPage", self.url)
        return Page(items, next_page, reply.headers.get("x-immich-mesh-search", ""))

    async def explain(self, body: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """How a search's results were found, by asset id; empty when only Immich itself can serve it."""
        reply = await self._send("POST", "/mesh/search/explain", json=dict(body))
        if reply.status_code != 200:
            return {}
        return {result["assetId"]: result for result in _member(self._read(reply), "results", self.url)}

    async def found(self, body: Mapping[str, Any], kind: str = "smart") -> AsyncIterator[dict[str, Any]]:
        """The items of all pages of a search."""
        page: str | None = "1"
        while page:
            result = await self.search({**body, "size": PAGE, "page": int(page)}, kind)
            for item in result.items:
                yield item
            page = result.next_page

    async def album_id(self, name_or_id: str) -> str:
        """An album by its id or its exact name. Raises CommandError when there is none or more than one."""
        try:
            return str(UUID(name_or_id))
        except ValueError:
            albums = await self._json("GET", "/api/albums")
        matching = [album["id"] for album in albums if album["albumName"] == name_or_id]
        if len(matching) != 1:
            several = f"{len(matching)} albums are called {name_or_id!r}: give its id"
            none = f"no album is called {name_or_id!r}: give its id"
            raise CommandError(several if matching else none, ExitCode.REFUSED)
        return str(matching[0])

    async def missing(self, *, ocr: bool, clip: bool) -> dict[str, list[str]]:
        """The user's photos whose text or vector Immich lost, by kind.

        `noPreview` are those that have nothing to make it from, `nothingFound` those that may not lack anything.
        """
        query = {name: "true" for name, wanted in (("ocr", ocr), ("clip", clip)) if wanted}
        found: dict[str, list[str]] = await self._json("GET", "/mesh/refresh/missing", params=query)
        return found

    async def refresh(self, asset_id: str, kinds: frozenset[str], *, attempts: int = ATTEMPTS) -> dict[str, Any]:
        """Regenerates one photo and tells what changed. Waits and tries again while the mesh is busy or away.

        Raises:
            RefreshFailedError: it cannot be, or not after these attempts.
            CommandError: the key is refused; no photo could be.
        """
        body = {"assetId": asset_id, **dict.fromkeys(sorted(kinds), True)}
        return await self._regenerated("/mesh/refresh", attempts, json=body)

    async def refresh_video(
        self, asset_id: str, pictures: Sequence[bytes], *, attempts: int = ATTEMPTS
    ) -> dict[str, Any]:
        """Regenerates one video's text from pictures of it. Waits and raises as `refresh` does."""
        body = b"".join(len(picture).to_bytes(4, "big") + picture for picture in pictures)
        headers = {"Content-Type": "application/octet-stream"}
        query = {"assetId": asset_id}
        return await self._regenerated("/mesh/refresh/video", attempts, params=query, content=body, headers=headers)

    async def _regenerated(self, path: str, attempts: int, **more: Any) -> dict[str, Any]:
        for attempt in range(attempts):
            try:
                reply = await self._client.post(path, **more)
            except httpx.TransportError as error:
                problem, wait = f"{type(error).__name__} {error}".strip(), None
            else:
                if reply.status_code == 200:
                    done = self._read(reply)
                    _member(done, "assetId", self.url)
                    return dict(done)
                problem, wait = _problem(reply), reply.headers.get("Retry-After")
                self._demand_front_door(reply)
                if reply.status_code in (401, 403):
                    raise CommandError(problem, ExitCode.REFUSED)
                if reply.status_code not in PASSING:
                    raise RefreshFailedError(problem)
            if attempt + 1 < attempts:
                await self._sleep(float(wait) if wait and wait.isdigit() else min(60.0, 2.0**attempt))
        raise RefreshFailedError(problem)

    async def _json(self, method: str, path: str, **more: Any) -> Any:
        return self._read(await self._asked(method, path, **more))

    def _read(self, reply: httpx.Response) -> Any:
        """What was answered. Raises CommandError when it is no JSON: Immich's own pages, another server."""
        try:
            return reply.json()
        except ValueError:
            raise no_front_door(self.url) from None

    async def _asked(self, method: str, path: str, **more: Any) -> httpx.Response:
        reply = await self._send(method, path, **more)
        if reply.is_success:
            return reply
        self._demand_front_door(reply)
        code = ExitCode.UNREACHABLE if reply.status_code in PASSING else ExitCode.REFUSED
        raise CommandError(_problem(reply), code)

    def _demand_front_door(self, reply: httpx.Response) -> None:
        """Immich itself does not know the mesh's paths; the mesh's own 404 says which model is missing."""
        ours = reply.request.url.path.startswith("/mesh/")
        if ours and reply.status_code in (404, 405) and not isinstance(_payload(reply).get("error"), dict):
            raise no_front_door(self.url)

    async def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return await self._client.request(method, path, **more)
        except httpx.TransportError as error:
            raise CommandError(
                f"the photo front door at {self.url} cannot be reached: {type(error).__name__} {error}",
                ExitCode.UNREACHABLE,
            ) from error


async def find_front_door(api_key: str) -> str:
    """The first of the usual addresses at which a front door answers. Raises CommandError when there is none."""
    for url in CANDIDATES:
        async with FrontDoorClient(url, api_key) as client:
            if await client.is_front_door():
                return url
    places = " or ".join(CANDIDATES)
    message = f"no photo front door answers at {places}: say where it is with --url or IMMICH_MESH_PHOTOS_URL"
    raise CommandError(message, ExitCode.UNREACHABLE)


def no_front_door(url: str) -> CommandError:
    """What to say of an address at which something else answers."""
    return CommandError(
        f"{url} is no photo front door: is it Immich's own address? Give the door's (compose: port 2284) with --url",
        ExitCode.USAGE,
    )


def _member(payload: Any, name: str, url: str) -> Any:
    if not isinstance(payload, dict) or name not in payload:
        raise no_front_door(url)
    return payload[name]


def _payload(reply: httpx.Response) -> dict[str, Any]:
    try:
        payload = reply.json()
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


def _problem(reply: httpx.Response) -> str:
    message = _payload(reply).get("message")
    if isinstance(message, str) and (lacks := LACKS.search(message)):
        return f"the API key lacks the permission {lacks[1]}: give it in Immich (Account settings, API keys)"
    return one_line(str(message)) if message else f"HTTP {reply.status_code}: {one_line(reply.text)[:200]}"
