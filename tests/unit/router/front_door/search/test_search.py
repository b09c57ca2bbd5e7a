"""The changed searches, from a client's side: what is found, in which shape, how it was found."""

import gzip
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from sql.filters import Condition, Field, Op, Visibility
from tests.doubles.front_door import open_door
from tests.doubles.immich import DoubleUser, ImmichDouble, recorded
from tests.doubles.search_client import KEY, SearchClient


@pytest.mark.parametrize("prefix", ["ocr:", "ocr：", "OCR:", "Ocr ：  ", "  ocr : ", "ＯＣＲ："])
async def test_the_prefix_in_every_writing(client: SearchClient, alice: DoubleUser, prefix: str) -> None:
    client.door.immich.photo(alice, "增值税发票", name="invoice.jpg")
    client.door.immich.photo(alice, "收据", name="receipt.jpg")
    status, reply, served = await client.call("/api/search/smart", {"query": f"{prefix}发票"})
    assert (status, served) == (200, "ranked")
    assert [item["originalFileName"] for item in reply["assets"]["items"]] == ["invoice.jpg"]


@pytest.mark.parametrize("with_exif", [True, False])
async def test_the_reply_has_immichs_exact_shape(client: SearchClient, alice: DoubleUser, with_exif: bool) -> None:
    photo = client.door.immich.photo(alice, "发票")
    _, reply, _ = await client.call("/api/search/smart", {"query": "ocr:发票", "withExif": with_exif})
    expected = recorded("search-smart")
    expected["assets"] |= {"total": 1, "count": 1, "nextPage": None}
    expected["assets"]["items"] = [client.door.immich.item(photo, with_exif=with_exif)]
    [got], [want] = reply["assets"].pop("items"), expected["assets"].pop("items")
    assert reply == expected
    assert got.keys() == want.keys()
    assert got["people"] == []


async def test_one_call_fetches_a_page_of_immich_3_2(http: aiohttp.ClientSession) -> None:
    immich = ImmichDouble((3, 2, 2))
    alice = immich.user("alice", "alice-key")
    for number in range(5):
        immich.photo(alice, "发票" + "x" * number, name=str(number))
    async with immich.running(), open_door(immich) as door:
        client = SearchClient(http, door)
        assert await client.names("ocr:发票") == ["0", "1", "2", "3", "4"]
        assert not [path for path in immich.paths() if path.startswith("GET /api/assets/")]
        _, reply, _ = await client.call("/api/search/smart", {"query": "ocr:发票"})
        assert reply["assets"]["nextCursor"] is None


async def test_an_invalid_request_gets_immichs_own_400(client: SearchClient, alice: DoubleUser) -> None:
    status, reply, _ = await client.call("/api/search/smart", {"query": "ocr:发票", "size": 5000})
    assert (status, reply["statusCode"]) == (400, 400)


async def test_filters_reach_the_database(client: SearchClient, alice: DoubleUser) -> None:
    await client.names("ocr:发票", city="上海", withDeleted=True, visibility="archive")
    assert client.door.search is not None
    _, query, scope, filters, limit, offset = client.door.search.asked[-1]
    assert (query, limit, offset) == ("发票", 100, 0)
    assert filters.conditions == (Condition(Field.CITY, Op.EQ, "上海"),)
    assert scope.visibilities == {Visibility.ARCHIVE}
    assert scope.with_deleted


async def test_the_predecessors_call(client: SearchClient, alice: DoubleUser) -> None:
    client.door.immich.photo(alice, "发票", name="mine")
    status, reply, served = await client.call("/api/search/ocr", {"ocr": "发票", "size": 10})
    assert (status, served) == (200, "ranked")
    assert reply["assets"]["count"] == 1


async def test_explain_shows_ranks_and_boxes(client: SearchClient, alice: DoubleUser) -> None:
    photo = client.door.immich.photo(alice, "发票", name="mine")
    client.door.immich.photo(client.door.immich.user("eve"), "发票", name="eve")
    status, reply, _ = await client.call("/mesh/search/explain", {"query": "ocr:发票"})
    assert status == 200
    assert reply["mode"] == "text"
    [result] = reply["results"]
    assert result["assetId"] == str(photo.id)
    assert result["textRank"] == 0.5
    assert result["lines"] == [{"text": "发票", "box": [0.1, 0.1, 0.6, 0.1, 0.6, 0.2, 0.1, 0.2], "confidence": 0.99}]


async def test_a_long_reply_is_packed_for_who_can_unpack_it(
    client: SearchClient, alice: DoubleUser, http: aiohttp.ClientSession
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


async def test_an_empty_text_finds_nothing(client: SearchClient, alice: DoubleUser) -> None:
    client.door.immich.photo(alice, "发票")
    assert await client.names("ocr:  ") == []


async def test_compressed_and_chunked_searches_are_read_too(
    client: SearchClient, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    client.door.immich.photo(alice, "发票")

    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 5):
            yield data[start : start + 5]

    body = gzip.compress('{"query":"ocr:发票"}'.encode())
    headers = KEY | {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    async with http.post(f"{client.door.url}/api/search/smart", data=pieces(body), headers=headers) as reply:
        assert reply.headers["x-immich-mesh-search"] == "ranked"


async def test_what_only_looks_like_an_exclusion_is_looked_for(client: SearchClient, alice: DoubleUser) -> None:
    for query in ('ocr:"-20"', "ocr:a-b", "ocr:- 20", "ocr:发票 -收据"):
        status, reply, served = await client.call("/api/search/smart", {"query": query})
        assert (status, served) == (200, "ranked"), reply
