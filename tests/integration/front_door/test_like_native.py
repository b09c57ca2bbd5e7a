"""Every filter, applied by the front door's database and by Immich itself: the same photos, the same refusals."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aiohttp
import pytest
import pytest_asyncio

from tests.doubles.immich import DoubleUser, ImmichDouble
from tests.integration.front_door.conftest import RealDoor, new_database, real_door

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = {"x-api-key": "alice-key"}
PERSON, TAG, LIBRARY, STACK = (UUID(int=number) for number in range(1, 5))
OLD, NEW = datetime(2020, 1, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC)

PHOTOS: dict[str, dict[str, Any]] = {
    "plain": {},
    "shanghai": {"city": "上海", "state": "上海市", "country": "中国"},
    "sony": {"make": "Sony", "model": "A7", "lens_model": "FE 50mm"},
    "rated": {"rating": 5, "description": "Grandma's invoice"},
    "favorite": {"favorite": True},
    "video": {"type": "VIDEO", "path": "/data/clip.mp4"},
    "motion": {"motion": True},
    "old": {"taken": OLD, "created": OLD, "updated": OLD},
    "new": {"taken": NEW, "created": NEW, "updated": NEW},
    "trashed": {"trashed_at": NEW},
    "offline": {"offline": True, "trashed_at": OLD},
    "library": {"library": LIBRARY},
    "stacked": {"stack": STACK},
    "person": {"people": {PERSON}},
    "tagged": {"tags": {TAG}},
    "archived": {"visibility": "archive"},
    "hidden": {"visibility": "hidden"},
    "locked": {"visibility": "locked"},
}

FILTERS: list[dict[str, Any]] = [
    {},
    {"city": "上海"},
    {"city": None},
    {"state": "上海市", "country": "中国"},
    {"make": "Sony"},
    {"model": "A7"},
    {"model": None},
    {"lensModel": "FE 50mm"},
    {"rating": 5},
    {"rating": None},
    {"rating": 6},
    {"description": "grandma"},
    {"originalFileName": "SHANG"},
    {"originalPath": "clip"},
    {"isFavorite": True},
    {"isFavorite": False},
    {"isMotion": True},
    {"isOffline": True},
    {"isOffline": False},
    {"type": "VIDEO"},
    {"type": "IMAGE"},
    {"type": "FOO"},
    {"type": "image"},
    {"takenAfter": "2024-05-06T07:08:09Z"},
    {"takenBefore": "2021-01-01T00:00:00Z"},
    {"createdAfter": "2025-01-01T00:00:00Z"},
    {"updatedBefore": "2021-01-01T00:00:00Z"},
    {"trashedAfter": "2021-01-01T00:00:00Z"},
    {"trashedBefore": "2021-01-01T00:00:00Z"},
    {"takenAfter": "yesterday"},
    {"withDeleted": True},
    {"libraryId": str(LIBRARY)},
    {"libraryId": None},
    {"withStacked": False},
    {"withStacked": True},
    {"personIds": [str(PERSON)]},
    {"personIds": []},
    {"tagIds": [str(TAG)]},
    {"tagIds": None},
    {"tagIds": ["no id"]},
    {"isNotInAlbum": True},
    {"albumIds": ["ALBUM"]},
    {"albumIds": ["ALBUM"], "isNotInAlbum": True},
    {"albumIds": ["FOREIGN"]},
    {"albumIds": [str(UUID(int=7))]},
    {"visibility": "timeline"},
    {"visibility": "archive"},
    {"visibility": "hidden"},
    {"visibility": "locked"},
    {"visibility": "nowhere"},
    {"make": "Sony", "isFavorite": True},
]


@dataclass
class Compared:
    """A door, the Immich behind it, and the ids that stand in the filters."""

    door: RealDoor
    immich: ImmichDouble
    names: dict[str, str]

    async def ask(self, url: str, body: dict[str, Any]) -> tuple[int, set[str], str]:
        """Status, names of the photos found, and who served it."""
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{url}/api/search/metadata", json=body, headers=KEY) as reply,
        ):
            told = await reply.json()
            found = {item["originalFileName"] for item in told["assets"]["items"]} if reply.status == 200 else set()
            return reply.status, found, reply.headers.get("x-immich-mesh-search", "")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[(2, 7, 5), (3, 0, 3)], ids=["2.7.5", "3.0.3"])
async def compared(request: pytest.FixtureRequest, postgres: str) -> AsyncIterator[Compared]:
    async with comparison(request.param, postgres) as opened:
        yield opened


@asynccontextmanager
async def comparison(version: tuple[int, int, int], postgres: str) -> AsyncIterator[Compared]:
    """A library with one photo for each thing that a filter can be about, and another user's in a shared album."""
    immich = ImmichDouble(version)
    alice, eve = immich.user("alice", "alice-key"), immich.user("eve", "eve-key")
    shared, foreign = immich.album(alice, eve), immich.album(eve)
    async with immich.running(), new_database(postgres) as database:
        for name, more in PHOTOS.items():
            await database.photo(immich.photo(alice, "发票", name=name, **more), "发票")
        owned: list[tuple[str, DoubleUser, dict[str, Any]]] = [
            ("mine in an album", alice, {"albums": {shared.id}}),
            ("hers in our album", eve, {"albums": {shared.id}}),
            ("hers", eve, {}),
            ("hers in her album", eve, {"albums": {foreign.id}}),
        ]
        for name, owner, more in owned:
            await database.photo(immich.photo(owner, "发票", name=name, **more), "发票")
        await database.photo(immich.photo(alice, "收据", name="another text"), "收据")
        async with real_door(immich, database.url) as door:
            yield Compared(door, immich, {"ALBUM": str(shared.id), "FOREIGN": str(foreign.id)})


@pytest.mark.parametrize("filters", FILTERS, ids=str)
async def test_as_immich_itself(compared: Compared, filters: dict[str, Any]) -> None:
    body = {"ocr": "发票", **filters}
    if "albumIds" in body:
        body["albumIds"] = [compared.names.get(album, album) for album in body["albumIds"]]
    status, names, _ = await compared.ask(compared.immich.url, body)
    got, found, served = await compared.ask(compared.door.url, body)
    assert (got, found) == (status, names)
    # Refusals are Immich's own words; what it grants is ranked here, but for the locked folder.
    assert served == ("ranked" if status == 200 else "native; reason=filter-not-translatable")


@pytest.mark.parametrize("body", [{"ocr": "ocr:发票"}, {"query": "ocr:发票"}, {"query": "OCR：ocr: 发票"}])
async def test_the_prefix_means_text_in_a_metadata_search_too(compared: Compared, body: dict[str, Any]) -> None:
    _, names, _ = await compared.ask(compared.immich.url, {"ocr": "发票"})
    assert await compared.ask(compared.door.url, body) == (200, names, "ranked")
