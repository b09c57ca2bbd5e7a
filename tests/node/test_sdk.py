"""The official @immich/sdk, versions 2 and 3, as a client through the front door (needs `npm ci` in this folder)."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.front_door import open_door
from tests.doubles.immich import ImmichDouble, recorded

FOLDER = Path(__file__).parent
pytestmark = pytest.mark.node


async def play(package: str, url: str, asset_id: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        "node", "sdk_client.mjs", package, url, "alice-key", asset_id,
        cwd=FOLDER, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    results: dict[str, Any] = json.loads(out)
    return results


@pytest.mark.parametrize(("package", "version"), [("immich-sdk-2", (2, 7, 5)), ("immich-sdk-3", (3, 2, 2))])
async def test_the_sdk_needs_no_change(package: str, version: tuple[int, int, int]) -> None:
    assert (FOLDER / "node_modules" / package).is_dir(), "run `npm ci` in tests/node"
    immich = ImmichDouble(version)
    alice = immich.user("alice", "alice-key")
    photos = [immich.photo(alice, "发票" + "x" * number, name=f"{number}.jpg", city="上海") for number in range(3)]
    async with immich.running(), open_door(immich) as door:
        told = await play(package, door.url, str(photos[0].id))
        assert door.refresh is not None
        assert door.refresh.texts.keys() == {photos[0].id}
        assert door.search is not None
        assert len(door.search.asked) == 4
    assert told["me"]["value"]["id"] == str(alice.id)
    first, second = (told[name]["value"]["assets"] for name in ("first", "second"))
    assert [item["originalFileName"] for item in first["items"] + second["items"]] == ["0.jpg", "1.jpg", "2.jpg"]
    assert (first["nextPage"], second["nextPage"]) == ("2", None)
    assert first["items"][0]["exifInfo"]["city"] == "上海"
    shape = recorded("search-smart")["assets"]["items"][0].keys() | {"exifInfo"}
    assert first["items"][0].keys() == shape
    assert ("nextCursor" in first) == (version >= (3, 2, 0))
    assert told["fullWidth"]["value"]["assets"]["count"] == 3
    assert told["filtered"]["value"]["assets"]["count"] == 3
    assert told["plain"]["value"]["assets"]["count"] == 3
    assert told["invalid"]["status"] == 400
    assert told["ownJob"] == told["immichJob"] == {"value": ""}
    assert told["wrongJob"]["status"] == 400
    assert told["asset"]["value"]["id"] == str(photos[0].id)
    assert told["thumbnailBytes"] == len(photos[0].preview or b"")
    assert told["stranger"] == {"status": 401, "message": "Invalid API key"}
