"""Who served a search: the mesh, ranked or hybrid, or Immich where that knows better or the mesh cannot."""

from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from mesh.core.errors import DimensionMismatchError, UnavailableError
from sql.filters import UnsupportedFilterError
from tests.doubles.front_door import open_door
from tests.doubles.immich import DoubleUser, ImmichDouble, recorded
from tests.doubles.search_client import KEY, SearchClient

FALLBACKS = [
    (UnavailableError("down"), "database-unavailable"),
    (UnsupportedFilterError("no such table"), "filter-not-translatable"),
]


@pytest.mark.parametrize("body", [{"query": "ocr"}, {"query": "procr:x"}, {"queryAssetId": str(uuid4()), "query": "x"}])
async def test_any_other_query_is_immichs(client: SearchClient, alice: DoubleUser, body: dict[str, Any]) -> None:
    _, _, served = await client.call("/api/search/smart", body)
    assert served is None
    assert client.door.immich.paths() == ["POST /api/search/smart"]
    assert client.door.immich.calls[0].json() == body


@pytest.mark.parametrize(("error", "reason"), FALLBACKS)
async def test_what_the_database_cannot_do_immich_does(
    client: SearchClient, alice: DoubleUser, error: Any, reason: str
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
        client = SearchClient(http, door)
        status, reply, served = await client.call("/api/search/smart", {"query": "ocr：发票"})
        assert (status, served, reply["assets"]["count"]) == (200, "native; reason=no-database", 1)
        status, reply, served = await client.call("/api/search/ocr", {"ocr": "发票"})
        assert (status, served, reply["assets"]["count"]) == (200, "native; reason=no-database", 1)
        _, _, served = await client.call("/api/search/smart", {"query": "a dog"})
        assert served is None
        status, _, served = await client.call("/api/search/smart", {"query": "a dog", "fuse": True})
        assert (status, served) == (200, "native; reason=no-database")
        assert "fuse" not in immich.calls[-1].json()


async def test_a_filter_nobody_knows_is_never_ignored(client: SearchClient, alice: DoubleUser) -> None:
    _, _, served = await client.call("/api/search/smart", {"query": "ocr:发票", "newFilter": 1})
    assert served == "native; reason=filter-not-translatable"
    assert client.door.immich.calls[-1].json()["newFilter"] == 1


async def test_hybrid_when_asked_or_set(client: SearchClient, alice: DoubleUser, http: aiohttp.ClientSession) -> None:
    immich = client.door.immich
    immich.photo(alice, "发票", name="mine")
    assert client.door.search is not None
    _, _, served = await client.call("/api/search/smart", {"query": "发票", "fuse": True})
    assert served == "hybrid"
    assert client.door.search.asked[-1][:2] == ("hybrid", "发票")
    async with open_door(immich, hybrid=True) as door:
        _, reply, served = await SearchClient(http, door).call("/api/search/smart", {"query": "a dog"})
        assert (served, reply["assets"]["count"]) == ("hybrid", 1)
        assert door.mesh is not None
        assert door.mesh.asked == [("embed_text", "ViT-B-32__openai")]
        # Immich's own `ocr` filter beside a query has a meaning already.
        _, _, served = await SearchClient(http, door).call("/api/search/smart", {"query": "a dog", "ocr": "发票"})
        assert served is None


async def test_hybrid_without_its_parts_is_immichs_smart_search(client: SearchClient, alice: DoubleUser) -> None:
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


async def test_searches_are_counted_by_how_they_were_served(client: SearchClient, alice: DoubleUser) -> None:
    await client.call("/api/search/smart", {"query": "ocr:发票"})
    await client.call("/api/search/smart", {"query": "ocr:发票", "newFilter": 1})
    await client.call("/api/search/smart", {"query": "ocr:发票"}, {"x-api-key": "wrong"})
    await client.call("/api/search/smart", {"query": "a dog"})  # Immich's own, not counted

    def count(served: str, reason: str = "") -> float | None:
        labels = {"served": served, "reason": reason}
        return client.door.registry.get_sample_value("immich_mesh_photos_searches_total", labels)

    assert count("ranked") == count("native", "filter-not-translatable") == count("none") == 1


async def test_immichs_own_ocr_filter_is_never_lost(client: SearchClient, alice: DoubleUser) -> None:
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


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"query": 5}', b"\xff", b'{"query":"x"}' + b" " * (2 << 20)])
async def test_what_is_no_search_passes_as_it_came(
    client: SearchClient, alice: DoubleUser, http: aiohttp.ClientSession, body: bytes
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
    client: SearchClient, alice: DoubleUser, path: str, body: dict[str, str]
) -> None:
    client.door.immich.photo(alice, "发票")
    status, reply, _ = await client.call(path, body)
    assert (status, reply["statusCode"]) == (400, 400)
    assert "exclusion" in reply["message"]


async def test_a_metadata_search_for_text_is_ranked(client: SearchClient, alice: DoubleUser) -> None:
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
    client: SearchClient, alice: DoubleUser, body: dict[str, Any]
) -> None:
    await client.call("/api/search/metadata", body)
    assert client.door.immich.calls[-1].json() == body
    assert client.door.search is not None
    assert client.door.search.asked == []


async def test_a_metadata_search_that_cannot_be_ranked_stays_one(client: SearchClient, alice: DoubleUser) -> None:
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
