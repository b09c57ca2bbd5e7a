"""What each version of Immich's clients sends, and what the door makes of it: docs/compatibility.md says the same."""

import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.doubles.front_door import open_door
from tests.doubles.immich import RECORDED, ImmichDouble

ROOT = Path(__file__).parents[4]
REQUESTS: dict[str, list[dict[str, Any]]] = json.loads((RECORDED.parent / "immich-requests.json").read_text("utf-8"))
CASES = [(version, request) for version, requests in REQUESTS.items() for request in requests]


@pytest.mark.parametrize(("version", "request_"), CASES, ids=[f"{version} {each['what']}" for version, each in CASES])
async def test_as_the_table_says(http: aiohttp.ClientSession, version: str, request_: dict[str, Any]) -> None:
    major, minor, patch = map(int, version.split("."))
    immich = ImmichDouble((major, minor, patch))
    alice = immich.user("alice", "alice-key")
    immich.photo(alice, "发票", name="mine")
    async with (
        immich.running(),
        open_door(immich) as door,
        http.post(door.url + request_["path"], json=request_["body"], headers={"x-api-key": "alice-key"}) as reply,
    ):
        assert reply.status in (200, 204), await reply.text()
        assert reply.headers.get("x-immich-mesh-search") == request_["served"]
        if request_["served"] is None:
            assert immich.calls[-1].path == request_["path"]
            assert immich.calls[-1].json() == request_["body"]
        else:
            found = [item["originalFileName"] for item in json.loads(await reply.read())["assets"]["items"]]
            assert found == ["mine"]


def test_every_recorded_version_is_in_the_table() -> None:
    table = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    for version in REQUESTS:
        assert re.search(rf"\b{re.escape(version)}\b", table), version
