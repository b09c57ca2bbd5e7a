"""The front door with a real database behind it: what is found, and what happens when the database fails."""

import signal
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.doubles.immich import DoubleUser, ImmichDouble
from tests.integration.front_door.conftest import (
    FrontDoorDatabase,
    RealDoor,
    new_database,
    postgres_server,
    real_door,
)
from tests.waiting import PATIENCE_SECONDS

KEY = {"x-api-key": "alice-key"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def alice(immich: ImmichDouble) -> DoubleUser:
    return immich.user("alice", "alice-key")


async def search(http: aiohttp.ClientSession, door: RealDoor, body: dict[str, Any]) -> tuple[list[str], str | None]:
    async with http.post(f"{door.url}/api/search/smart", json=body, headers=KEY) as reply:
        assert reply.status == 200, await reply.text()
        items = (await reply.json())["assets"]["items"]
        return [item["originalFileName"] for item in items], reply.headers.get("x-immich-mesh-search")


async def test_finds_phrases_within_the_callers_rights(
    database: FrontDoorDatabase, immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    bob, carol, eve = immich.user("bob"), immich.user("carol"), immich.user("eve")
    alice.partners = {bob.id: True, carol.id: False}
    for user in (alice, bob, carol, eve):
        await database.photo(immich.photo(user, name=user.name), "增值税发票")
    await database.photo(immich.photo(alice, name="other"), "收据")
    for visibility in ("locked", "archive", "hidden"):
        await database.photo(immich.photo(alice, name=visibility, visibility=visibility), "发票")
    await database.photo(immich.photo(alice, name="trashed", trashed=True), "发票")
    async with real_door(immich, database.url) as door:
        names, served = await search(http, door, {"query": "OCR：發票"})  # traditional finds simplified
        assert (sorted(names), served) == (["alice", "bob"], "ranked")
        names, _ = await search(http, door, {"query": "ocr:发票", "visibility": "archive"})
        assert names == ["archive"]
        async with http.post(f"{door.url}/mesh/search/explain", json={"query": "ocr:发票"}, headers=KEY) as reply:
            explained = await reply.json()
        assert {result["originalFileName"] for result in explained["results"]} == {"alice", "bob"}
        [line] = explained["results"][0]["lines"]
        assert line["text"] == "增值税发票"
        assert len(line["box"]) == 8
        assert (explained["results"][0]["match"], explained["results"][0]["distance"]) == ("headline", None)
        async with http.post(f"{door.url}/mesh/search/explain", json={"query": "ocr:增值税发漂"}, headers=KEY) as reply:
            misread = (await reply.json())["results"][0]
        assert (misread["match"], misread["snippet"]) == ("fuzzy", "增值税发票")
        assert 0 < misread["distance"] <= 1


async def test_a_refreshed_photo_is_found_by_its_new_text(
    database: FrontDoorDatabase, immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    photo = immich.photo(alice, name="invoice")
    await database.photo(photo, "misread")
    async with real_door(immich, database.url) as door:
        assert (await search(http, door, {"query": "ocr:发票"}))[0] == []
        body = {"assetIds": [str(photo.id)], "name": "refresh-ocr"}
        async with http.post(f"{door.url}/api/assets/jobs", json=body, headers=KEY) as reply:
            assert reply.status == 204
        assert (await search(http, door, {"query": "ocr:发票"}))[0] == ["invoice"]
        assert (await search(http, door, {"query": "ocr:misread"}))[0] == []


async def test_text_and_look_together(
    database: FrontDoorDatabase, immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    near = (1.0, *[0.0] * 511)
    # How near a photo is means something only beside the rest of a library.
    names = ["text", "look", "both", *(f"other {number}" for number in range(60))]
    for number, name in enumerate(names):
        photo = immich.photo(alice, name=name)
        await database.photo(photo, *(["发票"] if name in ("text", "both") else ["收据"]))
        far = [0.1 if place == 0 else float(place == number + 1) for place in range(512)]
        vector = str(list(near) if name in ("look", "both") else far)
        await database.connection.execute("INSERT INTO smart_search VALUES ($1, $2::text::vector)", photo.id, vector)
    async with real_door(immich, database.url) as door:
        door.mesh.vector = near
        names, served = await search(http, door, {"query": "发票", "fuse": True})
        assert served == "hybrid"
        assert names[0] == "both"
        assert sorted(names[1:]) == ["look", "text"]
        # A model whose vectors do not fit the column: Immich's own smart search, and it says why.
        door.mesh.vector = (1.0, 0.0)
        assert (await search(http, door, {"query": "x", "fuse": True}))[
            1
        ] == "native; reason=embedding-dimension-mismatch"


@pytest.mark.parametrize(
    "text",
    ["'; DROP TABLE asset; --", "a & b | !c:*", '"', "\\", "%_", "((", "ocr:", "\x00x", "𠀀", "a" * 5000, "- OR -"],
)
async def test_any_text_is_a_safe_query(
    database: FrontDoorDatabase, immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession, text: str
) -> None:
    await database.photo(immich.photo(alice, name="one"), "发票")
    async with real_door(immich, database.url) as door:
        names, served = await search(http, door, {"query": f"ocr:{text}"})
        assert (names, served) == ([], "ranked")
        assert (await search(http, door, {"query": "ocr:发票"}))[0] == ["one"]


async def test_every_flat_filter_is_applied_by_the_database(
    database: FrontDoorDatabase, immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    album = immich.album(alice).id
    here = immich.photo(alice, name="here", city="上海", make="Sony", rating=5, albums={album})
    there = immich.photo(alice, name="there")
    for photo in (here, there):
        await database.photo(photo, "发票")
    run = database.connection.execute
    await run("UPDATE asset SET \"isFavorite\" = true, type = 'VIDEO' WHERE id = $1", here.id)
    await run("UPDATE asset SET \"fileCreatedAt\" = '2020-05-05' WHERE id = $1", here.id)
    narrowing: list[dict[str, Any]] = [
        {"city": "上海"},
        {"make": "Sony", "rating": 5},
        {"albumIds": [str(album)]},
        {"isFavorite": True, "type": "VIDEO"},
        {"takenAfter": "2020-01-01T00:00:00.000Z", "takenBefore": "2020-12-31T00:00:00.000Z"},
        {"filter": {"city": {"in": ["上海", "北京"]}, "hasAlbums": {"eq": True}}},
        {"filter": {"or": [{"rating": {"gte": 4}}, {"make": {"eq": "Canon"}}]}},
    ]
    async with real_door(immich, database.url) as door:
        for filters in narrowing:
            assert await search(http, door, {"query": "ocr:发票", **filters}) == (["here"], "ranked"), filters
        assert await search(http, door, {"query": "ocr:发票", "isNotInAlbum": True}) == (["there"], "ranked")


async def test_a_database_without_our_schema_is_left_alone(
    database: FrontDoorDatabase, immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    await database.connection.execute("DROP SCHEMA mesh CASCADE")
    immich.photo(alice, "发票", name="one")
    async with real_door(immich, database.url) as door:
        assert await search(http, door, {"query": "ocr:发票"}) == (["one"], "native; reason=database-unavailable")


async def test_a_restarted_database(immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession) -> None:
    immich.photo(alice, "发票", name="one")
    with postgres_server() as server:
        async with new_database(server.url) as database, real_door(immich, database.url) as door:
            photo = next(iter(immich.assets.values()))
            await database.photo(photo, "发票")
            assert await search(http, door, {"query": "ocr:发票"}) == (["one"], "ranked")
            # A restart as the router sees it: every connection that it holds is gone.
            await database.connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'immich-mesh%'"
            )
            assert await search(http, door, {"query": "ocr:发票"}) == (["one"], "ranked")
            # A database that hangs: the first search gives up at its limit, the next ones at once; all else goes on.
            server.signal(signal.SIGSTOP)
            try:
                assert (await search(http, door, {"query": "ocr:发票"}))[1] == "native; reason=database-unavailable"
                async with http.get(f"{door.url}/web") as reply:
                    assert reply.status == 200
            finally:
                server.signal(signal.SIGCONT)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while (await search(http, door, {"query": "ocr:发票"}))[1] != "ranked":
                assert time.monotonic() < deadline


async def test_a_database_that_accepts_and_says_nothing(
    immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    immich.photo(alice, "发票", name="one")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/immich"
        async with real_door(immich, url) as door:
            assert await search(http, door, {"query": "ocr:发票"}) == (["one"], "native; reason=database-unavailable")


async def test_no_connection_is_needed_to_start(immich: ImmichDouble, http: aiohttp.ClientSession) -> None:
    async with real_door(immich, "postgresql://u:p@127.0.0.1:1/immich") as door, http.get(f"{door.url}/web") as reply:
        assert reply.status == 200
