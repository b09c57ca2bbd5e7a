"""What the front door shows people: its own pages, and the script in Immich's page."""

import gzip
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest

from router.front_door.pages.files import BASE, NAMES, PageFiles
from router.front_door.pages.injection import MAX_PAGE_BYTES
from tests.doubles.front_door import OpenDoor, open_door
from tests.doubles.immich import DoubleKey, DoubleUser, ImmichDouble
from tests.doubles.immich_web import HELMET, PAGE, ImmichWeb

OPENS = {"Accept": "text/html,application/xhtml+xml", "Accept-Encoding": "gzip, br"}
ELEMENT = re.compile(rb'<script type="module" src="/mesh/immich\.js\?v=[0-9a-f]+(&amp;refresh=1)?"></script></head>')


@pytest.fixture
def web(immich: ImmichDouble) -> ImmichWeb:
    immich.web = ImmichWeb()
    return immich.web


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that unpacks, as a browser does."""
    async with aiohttp.ClientSession(headers=OPENS) as session:
        yield session


async def test_immichs_page_gets_one_script_and_keeps_its_headers(
    door: OpenDoor, web: ImmichWeb, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(f"{door.url}/photos") as through, browser.get(f"{door.immich.url}/photos") as direct:
        page, own = await through.read(), await direct.read()
        assert len(ELEMENT.findall(page)) == 1
        assert re.sub(rb'<script type="module" src="/mesh/.*?</script>', b"", page) == own
        assert through.headers["Content-Security-Policy"] == HELMET
        assert through.headers["Cache-Control"] == direct.headers["Cache-Control"]
        assert through.headers["ETag"] != direct.headers["ETag"]
        assert "Last-Modified" not in through.headers


async def test_a_packed_page_is_unpacked_and_packed_again(
    door: OpenDoor, web: ImmichWeb, http: aiohttp.ClientSession
) -> None:
    web.packed, web.page = True, PAGE + "<!-- " + "long " * 2000 + "-->"
    async with http.get(f"{door.url}/photos", headers=OPENS) as reply:
        assert reply.headers["Content-Encoding"] == "gzip"
        assert ELEMENT.search(gzip.decompress(await reply.read()))
    async with http.get(f"{door.url}/photos", headers=OPENS | {"Accept-Encoding": "identity"}) as reply:
        assert "Content-Encoding" not in reply.headers
        assert ELEMENT.search(await reply.read())


async def test_the_page_is_asked_for_again_by_its_tag(
    door: OpenDoor, web: ImmichWeb, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(f"{door.url}/photos") as reply:
        tag = reply.headers["ETag"]
    async with browser.get(f"{door.url}/photos", headers={"If-None-Match": tag}) as reply:
        assert reply.status == 304
        assert reply.headers["ETag"] == tag
    web.page += "<!-- another version -->"
    async with browser.get(f"{door.url}/photos", headers={"If-None-Match": tag}) as reply:
        assert reply.status == 200


async def test_a_browser_that_knows_the_page_without_the_script_gets_it_anew(
    door: OpenDoor, web: ImmichWeb, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(f"{door.immich.url}/photos") as direct:
        tag, date = direct.headers["ETag"], direct.headers["Last-Modified"]
    known = {"If-None-Match": tag, "If-Modified-Since": date}
    async with browser.get(f"{door.url}/photos", headers=known) as reply:
        assert reply.status == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/_app/start.js", OPENS),
        ("/api/anything", OPENS),
        ("/photos", {"Accept": "*/*"}),
        ("/photos", OPENS | {"Sec-Fetch-Mode": "no-cors"}),
    ],
)
async def test_nothing_but_an_opened_page_is_changed(
    door: OpenDoor, web: ImmichWeb, http: aiohttp.ClientSession, path: str, headers: dict[str, str]
) -> None:
    async with http.get(door.url + path, headers=headers) as reply:
        assert b"/mesh/immich.js" not in await reply.read()
        assert reply.headers.get("ETag", "").find("-mesh") == -1


@pytest.mark.parametrize("page", ["no head at all", "<head>" + "x" * MAX_PAGE_BYTES + "</head>"])
async def test_a_page_of_another_kind_passes_as_it_is(
    door: OpenDoor, web: ImmichWeb, http: aiohttp.ClientSession, page: str
) -> None:
    web.page = page
    async with http.get(f"{door.url}/photos", headers=OPENS) as reply:
        assert await reply.text() == page


async def test_it_can_be_switched_off(immich: ImmichDouble, web: ImmichWeb, http: aiohttp.ClientSession) -> None:
    async with open_door(immich, immich_page=False) as door, http.get(f"{door.url}/photos", headers=OPENS) as reply:
        assert b"/mesh/immich.js" not in await reply.read()


async def test_without_a_database_only_the_search_is_explained(
    immich: ImmichDouble, web: ImmichWeb, browser: aiohttp.ClientSession
) -> None:
    async with open_door(immich, database=False) as door, browser.get(f"{door.url}/photos") as reply:
        found = ELEMENT.search(await reply.read())
    assert found is not None
    assert found.group(1) is None


async def test_every_file_is_served_and_known_again(door: OpenDoor, browser: aiohttp.ClientSession) -> None:
    for name in NAMES:
        url = door.url + BASE + ("" if name == "index.html" else name)
        async with browser.get(url) as reply:
            assert reply.status == 200
            assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
            tag = reply.headers["ETag"]
        async with browser.get(url, headers={"If-None-Match": tag}) as reply:
            assert reply.status == 304
    assert set(door.immich.paths()) == set()


async def test_a_program_is_told_what_this_is_and_a_person_is_shown_it(
    door: OpenDoor, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(f"{door.url}/mesh", headers={"Accept": "*/*"}) as reply:
        assert (await reply.json())["service"] == "immich-mesh photo front door"
    async with browser.get(f"{door.url}/mesh", allow_redirects=False) as reply:
        assert reply.status == 302
        assert reply.headers["Location"] == "/mesh/"


def test_no_file_asks_for_anything_from_elsewhere() -> None:
    for name, file in PageFiles()._files.items():
        text = file._data.decode()
        assert "http://www.w3.org/2000/svg" in text or "http:" not in text, name
        assert "https:" not in text, name
        assert "innerHTML" not in text, name


def test_all_pages_together_are_small() -> None:
    assert sum(len(file._data) for file in PageFiles()._files.values()) < 100_000


@pytest.mark.parametrize(("kind", "status"), [("application/json", 200), ("text/plain", 415)])
async def test_another_sites_form_cannot_refresh_by_the_browsers_cookie(
    door: OpenDoor, immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession, kind: str, status: int
) -> None:
    immich.keys["session"] = DoubleKey(alice, is_api_key=False)
    photo = immich.photo(alice)
    headers = {"Cookie": "immich_access_token=session", "Content-Type": kind}
    body = f'{{"assetId": "{photo.id}", "ocr": true}}'
    async with http.post(f"{door.url}/mesh/refresh", data=body, headers=headers) as reply:
        assert reply.status == status
    body = f'{{"assetIds": ["{photo.id}"], "name": "refresh-ocr"}}'
    async with http.post(f"{door.url}/api/assets/jobs", data=body, headers=headers) as reply:
        assert (reply.status == 204) == (status == 200)
