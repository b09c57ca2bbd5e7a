"""The changed searches, from a client's side: what is found, for whom, in which shape, and who served it."""

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from mesh.core.errors import DimensionMismatchError, UnavailableError
from sql.filters import Condition, Field, Op, UnsupportedFilterError, Visibility
from tests.doubles.front_door import OpenDoor, open_door
from tests.doubles.immich import DoubleKey, DoubleUser, ImmichDouble, recorded

KEY = {"x-api-key": "alice-key"}


class Client:
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


@pytest.fixture
async def client(door: OpenDoor, http: aiohttp.ClientSession) -> Client:
    return Client(http, door)


@pytest.mark.parametrize("prefix", ["ocr:", "ocr：", "OCR:", "Ocr ：  ", "  ocr : ", "ＯＣＲ："])
async def test_the_prefix_in_every_writing(client: Client, alice: DoubleUser, prefix: str) -> None:
    client.door.immich.photo(alice, "增值税发票", name="invoice.jpg")
    client.door.immich.photo(alice, "收据", name="receipt.jpg")
    status, reply, served = await client.call("/api/search/smart", {"query": f"{prefix}发票"})
    assert (status, served) == (200, "ranked")
    assert [item["originalFileName"] for item in reply["assets"]["items"]] == ["invoice.jpg"]


@pytest.mark.parametrize("body", [{"query": "ocr"}, {"query": "procr:x"}, {"queryAssetId": str(uuid4()), "query": "x"}])
async def test_any_other_query_is_immichs(client: Client, alice: DoubleUser, body: dict[str, Any]) -> None:
    _, _, served = await client.call("/api/search/smart", body)
    assert served is None
    assert client.door.immich.paths() == ["POST /api/search/smart"]
    assert client.door.immich.calls[0].json() == body


@pytest.mark.parametrize("with_exif", [True, False])
async def test_the_reply_has_immichs_exact_shape(client: Client, alice: DoubleUser, with_exif: bool) -> None:
    photo = client.door.immich.photo(alice, "发票")
    _, reply, _ = await client.call("/api/search/smart", {"query": "ocr:发票", "withExif": with_exif})
    expected = recorded("search-smart")
    expected["assets"] |= {"total": 1, "count": 1, "nextPage": None}
    expected["assets"]["items"] = [client.door.immich.item(photo, with_exif=with_exif)]
    [got], [want] = reply["assets"].pop("items"), expected["assets"].pop("items")
    assert reply == expected
    assert got.keys() == want.keys()
    assert got["people"] == []


@pytest.mark.parametrize(
    "how",
    [
        {"x-api-key": "alice-key"},
        {"Authorization": "Bearer alice-session"},
        {"x-immich-user-token": "alice-session"},
        {"x-immich-session-token": "alice-session"},
        {"Cookie": "other=1; immich_access_token=alice-session"},
        {"?": "apiKey=alice-key"},
        {"?": "sessionKey=alice-session"},
    ],
)
async def test_every_way_to_show_credentials(client: Client, alice: DoubleUser, how: dict[str, str]) -> None:
    immich = client.door.immich
    immich.keys["alice-session"] = DoubleKey(alice, is_api_key=False)
    immich.photo(alice, "发票", name="mine.jpg")
    query = how.get("?", "")
    headers = {name: value for name, value in how.items() if name != "?"}
    status, reply, served = await client.call(f"/api/search/smart?{query}", {"query": "ocr:发票"}, headers)
    assert (status, served) == (200, "ranked"), reply
    assert reply["assets"]["count"] == 1


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}, {"Authorization": "Bearer gone"}])
async def test_strangers_get_immichs_own_refusal(client: Client, headers: dict[str, str]) -> None:
    status, reply, _ = await client.call("/api/search/smart", {"query": "ocr:发票"}, headers)
    assert status == 401
    assert reply["statusCode"] == 401
    assert client.door.search is not None
    assert client.door.search.asked == []


@pytest.mark.parametrize("path", ["/api/search/smart", "/api/search/ocr", "/mesh/search/explain"])
async def test_shared_links_may_not_search(client: Client, alice: DoubleUser, path: str) -> None:
    client.door.immich.shared_links.add("link")
    client.door.immich.photo(alice, "发票")
    body = {"query": "ocr:发票", "ocr": "发票"}
    status, _, _ = await client.call(f"{path}?key=link", body, {})
    assert status == 403
    status, _, _ = await client.call(f"{path}?key=link", body, KEY)
    assert status == 403


async def test_a_shared_link_searches_its_albums_metadata_as_immich_lets_it(client: Client, alice: DoubleUser) -> None:
    """Seen with 3.0.3: the door asks nobody and ranks nothing, Immich answers."""
    immich = client.door.immich
    album = immich.album(alice)
    immich.photo(alice, "发票", name="shared", albums={album.id})
    immich.shared_links.add("link")
    immich.shared_albums["link"] = album.id
    path, body = "/api/search/metadata?key=link", {"ocr": "发票"}
    status, reply, served = await client.call(path, {**body, "albumIds": [str(album.id)]}, {})
    assert status == 200
    assert [asset["originalFileName"] for asset in reply["assets"]["items"]] == ["shared"]
    assert served is None
    assert (await client.call(path, body, {}))[0] == 400
    assert client.door.search is not None
    assert client.door.search.asked == []


async def test_partners_only_when_in_the_timeline(client: Client, alice: DoubleUser) -> None:
    immich = client.door.immich
    bob, carol, eve = immich.user("bob"), immich.user("carol"), immich.user("eve")
    alice.partners = {bob.id: True, carol.id: False}
    for user in (alice, bob, carol, eve):
        immich.photo(user, "发票", name=user.name)
    assert sorted(await client.names("ocr:发票")) == ["alice", "bob"]
    alice.partners[bob.id] = False
    assert await client.names("ocr:发票") == ["alice"]


@pytest.mark.parametrize("leaky", [False, True])
async def test_locked_archived_trashed_and_strangers_stay_hidden(
    client: Client, alice: DoubleUser, leaky: bool
) -> None:
    immich = client.door.immich
    assert client.door.search is not None
    client.door.search.leaky = leaky  # even if the database's scope failed, Immich's word would stand
    for number, visibility in enumerate(("locked", "archive", "hidden", "timeline")):
        immich.photo(alice, "发票" + "x" * number, name=visibility, visibility=visibility)
    immich.photo(alice, "发票", name="trashed", trashed=True)
    immich.photo(immich.user("eve"), "发票", name="eve")
    assert await client.names("ocr:发票") == ["timeline"]
    assert await client.names("ocr:发票", visibility="archive") == ["archive"]


async def test_the_locked_folder_is_left_to_immich(client: Client, alice: DoubleUser) -> None:
    immich = client.door.immich
    immich.photo(alice, "发票", name="secret", visibility="locked")
    status, _, served = await client.call("/api/search/smart", {"query": "ocr:发票", "visibility": "locked"})
    assert (status, served) == (401, "native; reason=filter-not-translatable")
    immich.keys["alice-key"].elevated = True
    assert await client.names("ocr:发票", visibility="locked") == ["secret"]


async def test_refused_photos_are_dropped_and_the_page_refilled(client: Client, alice: DoubleUser) -> None:
    immich = client.door.immich
    photos = [immich.photo(alice, "发票" + "x" * number, name=str(number)) for number in range(7)]
    immich.refused = {photos[0].id, photos[2].id}
    pages, page = [], "1"
    while page:
        _, reply, _ = await client.call("/api/search/smart", {"query": "ocr:发票", "size": 2, "page": int(page)})
        pages.append([item["originalFileName"] for item in reply["assets"]["items"]])
        page = reply["assets"]["nextPage"]
    assert pages == [["1", "3"], ["4", "5"], ["6"]]


async def test_a_hiccup_of_immichs_loses_no_photo(client: Client, alice: DoubleUser) -> None:
    photo = client.door.immich.photo(alice, "发票", name="one")
    client.door.immich.failing[str(photo.id)] = 1
    assert await client.names("ocr:发票") == ["one"]
    client.door.immich.failing[str(photo.id)] = 9
    status, _, _ = await client.call("/api/search/smart", {"query": "ocr:发票"})
    assert status == 502


async def test_a_key_with_asset_read_alone_uses_immichs_filter(client: Client, alice: DoubleUser) -> None:
    immich = client.door.immich
    immich.keys["weak"] = DoubleKey(alice, frozenset({"asset.read"}))
    immich.photo(alice, "发票", name="mine")
    status, reply, served = await client.call("/api/search/smart", {"query": "ocr:发票"}, {"x-api-key": "weak"})
    assert (status, served) == (200, "native; reason=key-may-not-read-user")
    assert [item["originalFileName"] for item in reply["assets"]["items"]] == ["mine"]


async def test_a_key_that_may_not_read_photos_finds_none(client: Client, alice: DoubleUser) -> None:
    client.door.immich.keys["odd"] = DoubleKey(alice, frozenset({"user.read", "partner.read"}))
    client.door.immich.photo(alice, "发票")
    status, _, _ = await client.call("/api/search/smart", {"query": "ocr:发票"}, {"x-api-key": "odd"})
    assert status == 403


async def test_one_call_fetches_a_page_of_immich_3_2(http: aiohttp.ClientSession) -> None:
    immich = ImmichDouble((3, 2, 2))
    alice = immich.user("alice", "alice-key")
    for number in range(5):
        immich.photo(alice, "发票" + "x" * number, name=str(number))
    async with immich.running(), open_door(immich) as door:
        client = Client(http, door)
        assert await client.names("ocr:发票") == ["0", "1", "2", "3", "4"]
        assert not [path for path in immich.paths() if path.startswith("GET /api/assets/")]
        _, reply, _ = await client.call("/api/search/smart", {"query": "ocr:发票"})
        assert reply["assets"]["nextCursor"] is None


FALLBACKS = [
    (UnavailableError("down"), "database-unavailable"),
    (UnsupportedFilterError("no such table"), "filter-not-translatable"),
]


@pytest.mark.parametrize(("error", "reason"), FALLBACKS)
async def test_what_the_database_cannot_do_immich_does(
    client: Client, alice: DoubleUser, error: Any, reason: str
) -> None:
    assert client.door.search is not None
    client.door.search.error = error
    client.door.immich.photo(alice, "发票", name="mine")
    body = {"query": "ocr:发票", "size": 7, "page": 1, "withExif": True, "language": "zh-CN"}
    status, reply, served = await client.call("/api/search/smart", body)
    assert (status, served) == (200, f"native; reason={reason}")
    assert [item["originalFileName"] for item in reply["assets"]["items"]] == ["mine"]
    native = client.door.immich.calls[-1]
    assert native.path == "/api/search/metadata"
    assert native.json() == {"ocr": "发票", "size": 7, "page": 1, "withExif": True}


async def test_without_a_database_the_prefix_still_works(immich: ImmichDouble, http: aiohttp.ClientSession) -> None:
    alice = immich.user("alice", "alice-key")
    immich.photo(alice, "发票", name="mine")
    async with open_door(immich, database=False, hybrid=True) as door:
        client = Client(http, door)
        status, reply, served = await client.call("/api/search/smart", {"query": "ocr：发票"})
        assert (status, served, reply["assets"]["count"]) == (200, "native; reason=no-database", 1)
        status, reply, served = await client.call("/api/search/ocr", {"ocr": "发票"})
        assert (status, served, reply["assets"]["count"]) == (200, "native; reason=no-database", 1)
        _, _, served = await client.call("/api/search/smart", {"query": "a dog"})
        assert served is None
        status, _, served = await client.call("/api/search/smart", {"query": "a dog", "fuse": True})
        assert (status, served) == (200, "native; reason=no-database")
        assert "fuse" not in immich.calls[-1].json()


async def test_a_filter_nobody_knows_is_never_ignored(client: Client, alice: DoubleUser) -> None:
    _, _, served = await client.call("/api/search/smart", {"query": "ocr:发票", "newFilter": 1})
    assert served == "native; reason=filter-not-translatable"
    assert client.door.immich.calls[-1].json()["newFilter"] == 1


async def test_an_invalid_request_gets_immichs_own_400(client: Client, alice: DoubleUser) -> None:
    status, reply, _ = await client.call("/api/search/smart", {"query": "ocr:发票", "size": 5000})
    assert (status, reply["statusCode"]) == (400, 400)


async def test_filters_reach_the_database(client: Client, alice: DoubleUser) -> None:
    await client.names("ocr:发票", city="上海", withDeleted=True, visibility="archive")
    assert client.door.search is not None
    _, query, scope, filters, limit, offset = client.door.search.asked[-1]
    assert (query, limit, offset) == ("发票", 100, 0)
    assert filters.conditions == (Condition(Field.CITY, Op.EQ, "上海"),)
    assert scope.visibilities == {Visibility.ARCHIVE}
    assert scope.with_deleted


async def test_the_seeds_call(client: Client, alice: DoubleUser) -> None:
    client.door.immich.photo(alice, "发票", name="mine")
    status, reply, served = await client.call("/api/search/ocr", {"ocr": "发票", "size": 10})
    assert (status, served) == (200, "ranked")
    assert reply["assets"]["count"] == 1


async def test_hybrid_when_asked_or_set(client: Client, alice: DoubleUser, http: aiohttp.ClientSession) -> None:
    immich = client.door.immich
    immich.photo(alice, "发票", name="mine")
    assert client.door.search is not None
    _, _, served = await client.call("/api/search/smart", {"query": "发票", "fuse": True})
    assert served == "hybrid"
    assert client.door.search.asked[-1][:2] == ("hybrid", "发票")
    async with open_door(immich, hybrid=True) as door:
        _, reply, served = await Client(http, door).call("/api/search/smart", {"query": "a dog"})
        assert (served, reply["assets"]["count"]) == ("hybrid", 1)
        assert door.mesh is not None
        assert door.mesh.asked == [("embed_text", "ViT-B-32__openai")]
        # Immich's own `ocr` filter beside a query has a meaning already.
        _, _, served = await Client(http, door).call("/api/search/smart", {"query": "a dog", "ocr": "发票"})
        assert served is None


async def test_hybrid_without_its_parts_is_immichs_smart_search(client: Client, alice: DoubleUser) -> None:
    assert client.door.mesh is not None
    assert client.door.search is not None
    client.door.mesh.error = UnavailableError("loading")
    _, _, served = await client.call("/api/search/smart", {"query": "a dog", "fuse": True, "language": "en"})
    assert served == "native; reason=embedding-unavailable"
    assert client.door.immich.calls[-1].path == "/api/search/smart"
    client.door.mesh.error = None
    client.door.search.error = DimensionMismatchError("512 is not 768")
    _, _, served = await client.call("/api/search/smart", {"query": "a dog", "fuse": True, "language": "en"})
    assert served == "native; reason=embedding-dimension-mismatch"


async def test_searches_are_counted_by_how_they_were_served(client: Client, alice: DoubleUser) -> None:
    await client.call("/api/search/smart", {"query": "ocr:发票"})
    await client.call("/api/search/smart", {"query": "ocr:发票", "newFilter": 1})
    await client.call("/api/search/smart", {"query": "ocr:发票"}, {"x-api-key": "wrong"})
    await client.call("/api/search/smart", {"query": "a dog"})  # Immich's own, not counted

    def count(served: str, reason: str = "") -> float | None:
        labels = {"served": served, "reason": reason}
        return client.door.registry.get_sample_value("immich_mesh_photos_searches_total", labels)

    assert count("ranked") == count("native", "filter-not-translatable") == count("none") == 1


async def test_explain_shows_ranks_and_boxes(client: Client, alice: DoubleUser) -> None:
    photo = client.door.immich.photo(alice, "发票", name="mine")
    client.door.immich.photo(client.door.immich.user("eve"), "发票", name="eve")
    status, reply, _ = await client.call("/mesh/search/explain", {"query": "ocr:发票"})
    assert status == 200
    assert reply["mode"] == "text"
    [result] = reply["results"]
    assert result["assetId"] == str(photo.id)
    assert result["textRank"] == 0.5
    assert result["lines"] == [{"text": "发票", "box": [0.1, 0.1, 0.6, 0.1, 0.6, 0.2, 0.1, 0.2], "confidence": 0.99}]


async def test_immichs_own_ocr_filter_is_never_lost(client: Client, alice: DoubleUser) -> None:
    assert client.door.search is not None
    await client.call("/api/search/smart", {"query": "ocr:发票", "ocr": "增值税"})
    assert client.door.search.asked[-1][1] == "发票 增值税"
    _, _, served = await client.call("/api/search/smart", {"query": "a dog", "fuse": True, "ocr": "发票"})
    assert served == "native; reason=filter-not-translatable"
    assert client.door.immich.calls[-1].json() == {"query": "a dog", "ocr": "发票"}
    structured = {"query": "ocr:发票", "filter": {"ocr": {"matches": "增值税"}, "city": {"eq": "上海"}}, "page": 2}
    await client.call("/api/search/smart", structured)
    native = client.door.immich.calls[-1]
    assert native.path == "/api/search/smart"
    assert native.json() == {
        "query": "发票",
        "page": 2,
        "filter": {"ocr": {"matches": "发票 增值税"}, "city": {"eq": "上海"}},
    }


async def test_a_long_reply_is_packed_for_who_can_unpack_it(
    client: Client, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    for _ in range(20):
        client.door.immich.photo(alice, "发票")
    url, body = f"{client.door.url}/api/search/smart", {"query": "ocr:发票"}
    async with http.post(url, json=body, headers=KEY | {"Accept-Encoding": "gzip, br"}) as reply:
        packed = await reply.read()
        assert reply.headers["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(packed))["assets"]["count"] == 20
    async with http.post(url, json=body, headers=KEY | {"Accept-Encoding": "identity"}) as reply:
        assert "Content-Encoding" not in reply.headers
        assert len(packed) < len(await reply.read()) / 4


async def test_an_empty_text_finds_nothing(client: Client, alice: DoubleUser) -> None:
    client.door.immich.photo(alice, "发票")
    assert await client.names("ocr:  ") == []


async def test_compressed_and_chunked_searches_are_read_too(
    client: Client, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    client.door.immich.photo(alice, "发票")

    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 5):
            yield data[start : start + 5]

    body = gzip.compress('{"query":"ocr:发票"}'.encode())
    headers = KEY | {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    async with http.post(f"{client.door.url}/api/search/smart", data=pieces(body), headers=headers) as reply:
        assert reply.headers["x-immich-mesh-search"] == "ranked"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"query": 5}', b"\xff", b'{"query":"x"}' + b" " * (2 << 20)])
async def test_what_is_no_search_passes_as_it_came(
    client: Client, alice: DoubleUser, http: aiohttp.ClientSession, body: bytes
) -> None:
    headers = KEY | {"Content-Type": "application/json"}
    async with http.post(f"{client.door.url}/api/search/smart", data=body, headers=headers) as reply:
        await reply.read()
    assert client.door.immich.calls[-1].body == body


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/search/smart", {"query": "ocr:-发票"}),
        ("/api/search/smart", {"query": "ocr:收据 OR -发票"}),
        ("/api/search/metadata", {"ocr": "-发票"}),
        ("/api/search/metadata", {"query": "ocr: -发票"}),
        ("/api/search/ocr", {"ocr": "-发票"}),
        ("/mesh/search/explain", {"query": "ocr:-发票"}),
    ],
)
async def test_an_exclusion_alone_says_nothing(
    client: Client, alice: DoubleUser, path: str, body: dict[str, str]
) -> None:
    client.door.immich.photo(alice, "发票")
    status, reply, _ = await client.call(path, body)
    assert (status, reply["statusCode"]) == (400, 400)
    assert "exclusion" in reply["message"]


async def test_what_only_looks_like_an_exclusion_is_looked_for(client: Client, alice: DoubleUser) -> None:
    for query in ('ocr:"-20"', "ocr:a-b", "ocr:- 20", "ocr:发票 -收据"):
        status, reply, served = await client.call("/api/search/smart", {"query": query})
        assert (status, served) == (200, "ranked"), reply


async def test_a_metadata_search_for_text_is_ranked(client: Client, alice: DoubleUser) -> None:
    for number in range(3):
        client.door.immich.photo(alice, "发票" + "x" * number, name=str(number))
    status, reply, served = await client.call("/api/search/metadata", {"ocr": "ocr:发票"})
    assert (status, served) == (200, "ranked")
    assert [item["originalFileName"] for item in reply["assets"]["items"]] == ["0", "1", "2"]
    assert reply.keys() == recorded("search-metadata-ocr").keys()
    assert reply["assets"].keys() == recorded("search-metadata-ocr")["assets"].keys()
    assert client.door.search is not None
    assert client.door.search.asked[-1][1] == "发票"
    assert client.door.search.asked[-1][4] == 250
    await client.call("/api/search/metadata", {"query": "ocr:发票", "ocr": "增值税", "size": 7})
    assert client.door.search.asked[-1][1] == "发票 增值税"
    assert client.door.search.asked[-1][4] == 7


@pytest.mark.parametrize(
    "body", [{"city": "上海"}, {"query": "a dog"}, {"ocr": ""}, {"ocr": 5}, {"ocr": "发票", "order": "asc"}]
)
async def test_other_metadata_searches_pass_as_they_came(
    client: Client, alice: DoubleUser, body: dict[str, Any]
) -> None:
    await client.call("/api/search/metadata", body)
    assert client.door.immich.calls[-1].json() == body
    assert client.door.search is not None
    assert client.door.search.asked == []


async def test_a_metadata_search_that_cannot_be_ranked_stays_one(client: Client, alice: DoubleUser) -> None:
    client.door.immich.photo(alice, "发票", name="mine")
    body = {"query": "ocr:发票", "cursor": "abc"}
    status, reply, served = await client.call("/api/search/metadata", body)
    assert (status, served) == (200, "native; reason=filter-not-translatable")
    assert [item["originalFileName"] for item in reply["assets"]["items"]] == ["mine"]
    native = client.door.immich.calls[-1]
    assert (native.path, native.json()) == ("/api/search/metadata", {"size": 250, "cursor": "abc", "ocr": "发票"})
    structured = {"ocr": "发票", "filter": {"ocr": {"matches": "增值税"}}}
    await client.call("/api/search/metadata", structured)
    native = client.door.immich.calls[-1]
    assert native.json() == {"size": 250, "filter": {"ocr": {"matches": "发票 增值税"}}}


async def test_in_a_shared_album_everyones_photos_are_found(client: Client, alice: DoubleUser) -> None:
    immich = client.door.immich
    eve = immich.user("eve")
    shared, foreign = immich.album(alice, eve), immich.album(eve)
    immich.photo(eve, "发票", name="hers", albums={shared.id})
    immich.photo(eve, "发票", name="private")
    assert await client.names("ocr:发票") == []
    assert client.door.search is not None
    client.door.search.leaky = True  # Immich's own word keeps the other photo out
    assert await client.names("ocr:发票", albumIds=[str(shared.id)]) == ["hers"]
    client.door.search.leaky = False
    status, _, served = await client.call("/api/search/smart", {"query": "ocr:发票", "albumIds": [str(foreign.id)]})
    assert (status, served) == (400, "native; reason=filter-not-translatable")
    immich.keys["few"] = DoubleKey(alice, frozenset({"asset.read", "user.read", "partner.read"}))
    body = {"query": "ocr:发票", "albumIds": [str(shared.id)]}
    _, _, served = await client.call("/api/search/smart", body, {"x-api-key": "few"})
    assert served == "native; reason=key-may-not-read-user"


async def test_strangers_get_no_explanation(client: Client, alice: DoubleUser) -> None:
    status, _, _ = await client.call("/mesh/search/explain", {"query": 5}, {})
    assert status == 401


async def test_people_only_when_asked_for(client: Client, alice: DoubleUser) -> None:
    client.door.immich.photo(alice, "发票")
    client.door.immich.persons = [{"id": "p", "name": "Grandma"}]
    for more, people in (({}, []), ({"withPeople": True}, client.door.immich.persons)):
        _, reply, _ = await client.call("/api/search/metadata", {"ocr": "发票", **more})
        assert reply["assets"]["items"][0]["people"] == people
