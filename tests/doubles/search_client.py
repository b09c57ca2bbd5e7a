"""A user's app that searches through the front door."""

from typing import Any

import aiohttp

from tests.doubles.front_door import OpenDoor

KEY = {"x-api-key": "alice-key"}


class SearchClient:
    """Calls the door as a user's app does."""

    def __init__(self, http: aiohttp.ClientSession, door: OpenDoor) -> None:
        self._http = http
        self.door = door

    async def call(self, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any, str | None]:
        url = self.door.url + path
        sent = {"Accept-Encoding": "identity", **(KEY if headers is None else headers)}
        async with self._http.post(url, json=body, headers=sent) as reply:
            return reply.status, await reply.json(), reply.headers.get("x-immich-mesh-search")

    async def names(self, query: str, headers: dict[str, str] | None = None, **more: Any) -> list[str]:
        status, reply, _ = await self.call("/api/search/smart", {"query": query, **more}, headers)
        assert status == 200, reply
        return [item["originalFileName"] for item in reply["assets"]["items"]]
