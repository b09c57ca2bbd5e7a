"""Whose photos a search finds: credentials, partners, albums, links, the locked folder."""

import pytest

from tests.doubles.immich import DoubleKey, DoubleUser
from tests.doubles.search_client import KEY, SearchClient


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
async def test_every_way_to_show_credentials(client: SearchClient, alice: DoubleUser, how: dict[str, str]) -> None:
    immich = client.door.immich
    immich.keys["alice-session"] = DoubleKey(alice, is_api_key=False)
    immich.photo(alice, "发票", name="mine.jpg")
    query = how.get("?", "")
    headers = {name: value for name, value in how.items() if name != "?"}
    status, reply, served = await client.call(f"/api/search/smart?{query}", {"query": "ocr:发票"}, headers)
    assert (status, served) == (200, "ranked"), reply
    assert reply["assets"]["count"] == 1


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}, {"Authorization": "Bearer gone"}])
async def test_strangers_get_immichs_own_refusal(client: SearchClient, headers: dict[str, str]) -> None:
    status, reply, _ = await client.call("/api/search/smart", {"query": "ocr:发票"}, headers)
    assert status == 401
    assert reply["statusCode"] == 401
    assert client.door.search is not None
    assert client.door.search.asked == []


@pytest.mark.parametrize("path", ["/api/search/smart", "/api/search/ocr", "/mesh/search/explain"])
async def test_shared_links_may_not_search(client: SearchClient, alice: DoubleUser, path: str) -> None:
    client.door.immich.shared_links.add("link")
    client.door.immich.photo(alice, "发票")
    body = {"query": "ocr:发票", "ocr": "发票"}
    status, _, _ = await client.call(f"{path}?key=link", body, {})
    assert status == 403
    status, _, _ = await client.call(f"{path}?key=link", body, KEY)
    assert status == 403


async def test_a_shared_link_searches_its_albums_metadata_as_immich_lets_it(
    client: SearchClient, alice: DoubleUser
) -> None:
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


async def test_partners_only_when_in_the_timeline(client: SearchClient, alice: DoubleUser) -> None:
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
    client: SearchClient, alice: DoubleUser, leaky: bool
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


async def test_the_locked_folder_is_left_to_immich(client: SearchClient, alice: DoubleUser) -> None:
    immich = client.door.immich
    immich.photo(alice, "发票", name="secret", visibility="locked")
    status, _, served = await client.call("/api/search/smart", {"query": "ocr:发票", "visibility": "locked"})
    assert (status, served) == (401, "native; reason=filter-not-translatable")
    immich.keys["alice-key"].elevated = True
    assert await client.names("ocr:发票", visibility="locked") == ["secret"]


async def test_refused_photos_are_dropped_and_the_page_refilled(client: SearchClient, alice: DoubleUser) -> None:
    immich = client.door.immich
    photos = [immich.photo(alice, "发票" + "x" * number, name=str(number)) for number in range(7)]
    immich.refused = {photos[0].id, photos[2].id}
    pages, page = [], "1"
    while page:
        _, reply, _ = await client.call("/api/search/smart", {"query": "ocr:发票", "size": 2, "page": int(page)})
        pages.append([item["originalFileName"] for item in reply["assets"]["items"]])
        page = reply["assets"]["nextPage"]
    assert pages == [["1", "3"], ["4", "5"], ["6"]]


async def test_a_hiccup_of_immichs_loses_no_photo(client: SearchClient, alice: DoubleUser) -> None:
    photo = client.door.immich.photo(alice, "发票", name="one")
    client.door.immich.failing[str(photo.id)] = 1
    assert await client.names("ocr:发票") == ["one"]
    client.door.immich.failing[str(photo.id)] = 9
    status, _, _ = await client.call("/api/search/smart", {"query": "ocr:发票"})
    assert status == 502


async def test_a_key_with_asset_read_alone_uses_immichs_filter(client: SearchClient, alice: DoubleUser) -> None:
    immich = client.door.immich
    immich.keys["weak"] = DoubleKey(alice, frozenset({"asset.read"}))
    immich.photo(alice, "发票", name="mine")
    status, reply, served = await client.call("/api/search/smart", {"query": "ocr:发票"}, {"x-api-key": "weak"})
    assert (status, served) == (200, "native; reason=key-may-not-read-user")
    assert [item["originalFileName"] for item in reply["assets"]["items"]] == ["mine"]


async def test_a_key_that_may_not_read_photos_finds_none(client: SearchClient, alice: DoubleUser) -> None:
    client.door.immich.keys["odd"] = DoubleKey(alice, frozenset({"user.read", "partner.read"}))
    client.door.immich.photo(alice, "发票")
    status, _, _ = await client.call("/api/search/smart", {"query": "ocr:发票"}, {"x-api-key": "odd"})
    assert status == 403


async def test_in_a_shared_album_everyones_photos_are_found(client: SearchClient, alice: DoubleUser) -> None:
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


async def test_strangers_get_no_explanation(client: SearchClient, alice: DoubleUser) -> None:
    status, _, _ = await client.call("/mesh/search/explain", {"query": 5}, {})
    assert status == 401


async def test_people_only_when_asked_for(client: SearchClient, alice: DoubleUser) -> None:
    client.door.immich.photo(alice, "发票")
    client.door.immich.persons = [{"id": "p", "name": "Grandma"}]
    for more, people in (({}, []), ({"withPeople": True}, client.door.immich.persons)):
        _, reply, _ = await client.call("/api/search/metadata", {"ocr": "发票", **more})
        assert reply["assets"]["items"][0]["people"] == people
