"""The front door's own pages at `/mesh/`: search, a photo, what is missing."""

from uuid import UUID

import pytest

from mesh.core.errors import UnavailableError
from sql.refresh import MissingReason
from tests.browser.conftest import Album, Browser
from tests.browser.looks import OVERHANG, mobile, speak
from tests.browser.photos import preview

HOSTILE = "<img src=x onerror=document.title='broken'> & \"发票\""
TEXT = "return document.querySelector(arguments[0])?.innerText ?? ''"
SEARCH = """
const input = document.querySelector('[type=search]');
input.value = arguments[0];
input.form.requestSubmit();
"""
PRESS = """
const found = [...document.querySelectorAll('button:not([hidden])')].find((b) => b.textContent === arguments[0]);
if (!found || found.disabled) return false;
found.click();
return true;
"""
TILES = "return document.querySelectorAll('.tile').length"


async def until_text(browser: Browser, selector: str, text: str) -> str:
    await browser.until(lambda driver: text in driver.execute_script(TEXT, selector))
    return str(await browser.run(TEXT, selector))


async def search(browser: Browser, query: str) -> None:
    await browser.until_run("return document.querySelector('[type=search]')")
    await browser.run(SEARCH, query)


async def test_photos_are_found_by_their_text_with_the_words_marked(browser: Browser, album: Album) -> None:
    photo = album.immich.photo(album.alice, f"发票号码 {HOSTILE}", name=f"{HOSTILE}.jpg", preview=preview())
    album.immich.photo(album.alice, "something else")
    await browser.open(f"{album.url}/mesh/")
    await search(browser, "ocr:发票")
    await until_text(browser, "[role=status]", "1 found")
    assert HOSTILE in await browser.run(TEXT, ".tile .lines")
    assert await browser.run(TEXT, ".tile mark") == "发票"
    assert f"{HOSTILE}.jpg" in await browser.run(TEXT, ".tile .name")
    assert "text, rank" in await browser.run(TEXT, ".tile .soft")
    assert await browser.run("return document.querySelectorAll('.tile svg polygon').length") == 1
    loaded = "return document.querySelector('.tile img').naturalWidth"
    assert await browser.until_run(loaded) == 320
    [frame, drawing] = await browser.run(
        "return ['img', 'svg'].map((tag) => {"
        "const {x, y, width, height} = document.querySelector(`.tile ${tag}`).getBoundingClientRect();"
        "return [x, y, width, height]})"
    )
    assert drawing == pytest.approx(frame, abs=1)
    assert "broken" not in await browser.run("return document.title")
    assert str(photo.id) in await browser.run("return document.querySelector('.tile a').href")
    assert await browser.complaints() == []


async def test_results_come_as_they_are_scrolled_to(browser: Browser, album: Album) -> None:
    for number in range(200):
        album.immich.photo(album.alice, "发票", name=f"{number}.jpg", preview=preview())
    await browser.open(f"{album.url}/mesh/#/search/ocr%3A%E5%8F%91%E7%A5%A8")
    await browser.until_run(TILES)
    await browser.until(lambda driver: "so far" in driver.execute_script(TEXT, "[role=status]"))
    assert await browser.run(TILES) < 200
    await browser.until_run(f"scrollTo(0, document.body.scrollHeight); {TILES} === 200")
    await until_text(browser, "[role=status]", "200 found")


async def test_filters_narrow_the_search(browser: Browser, album: Album) -> None:
    album.immich.photo(album.alice, "发票")
    album.immich.persons = [{"id": "5b7a7a1e-6f6b-4f0e-9c75-000000000001", "name": HOSTILE}]
    await browser.open(f"{album.url}/mesh/#/search/ocr%3A%E5%8F%91%E7%A5%A8")
    await until_text(browser, "[role=status]", "1 found")
    await browser.run("document.querySelector('.filters').open = true")
    await browser.until_run("return document.querySelector('[name=person]').length === 2")
    assert await browser.run("return document.querySelector('[name=person]').options[1].text") == HOSTILE
    await browser.run(
        "const kind = document.querySelector('[name=kind]'); kind.value = 'VIDEO';"
        "kind.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    await browser.until(lambda _: len(album.door.search.asked) > 1)  # type: ignore[union-attr]
    assert "VIDEO" in repr(album.door.search.asked[-1][3])  # type: ignore[union-attr]


async def test_without_a_database_immichs_own_results_are_shown(browser: Browser, album: Album) -> None:
    album.immich.photo(album.alice, "发票", name="mine.jpg")
    album.door.search.error = UnavailableError("the database is away")  # type: ignore[union-attr]
    await browser.open(f"{album.url}/mesh/#/search/ocr%3A%E5%8F%91%E7%A5%A8")
    await until_text(browser, ".tile .name", "mine.jpg")


async def test_a_photo_shows_its_lines_and_is_refreshed_side_by_side(browser: Browser, album: Album) -> None:
    photo = album.immich.photo(album.alice, f"发票\n{HOSTILE}", name="a.jpg", preview=preview())
    album.door.refresh.lost["clip"] = [photo.id]  # type: ignore[union-attr]
    album.door.mesh.lines = (f"read anew {HOSTILE}",)  # type: ignore[union-attr]
    await browser.open(f"{album.url}/mesh/#/photo/{photo.id}")
    await until_text(browser, ".facts .text", HOSTILE)
    assert await browser.run("return document.querySelectorAll('.picture polygon').length") == 2
    await until_text(browser, ".facts", "missing: plain searches cannot find this photo")
    await browser.until_run(PRESS, "Refresh OCR")
    await until_text(browser, ".sides", f"read anew {HOSTILE}")
    assert "Before" in await browser.run(TEXT, ".sides")
    await browser.until_run(PRESS, "Refresh smart search")
    await until_text(browser, ".facts", "New vector of 3 numbers.")
    assert await browser.complaints() == []


async def test_a_partners_photo_says_what_it_has_and_offers_no_refresh(browser: Browser, album: Album) -> None:
    bob = album.immich.user("bob")
    album.alice.partners[bob.id] = True
    photo = album.immich.photo(bob, "发票", preview=preview())
    album.door.refresh.lost["clip"] = [photo.id]  # type: ignore[union-attr]
    await browser.open(f"{album.url}/mesh/#/photo/{photo.id}")
    await until_text(browser, ".facts", "missing: plain searches cannot find this photo")
    album.door.refresh.lost["clip"] = []  # type: ignore[union-attr]
    await browser.run("location.reload()")
    await until_text(browser, ".facts", "present, 512 numbers; Immich is set to ViT-B-32__openai")
    assert "Refresh" not in await browser.run(TEXT, ".facts")


async def test_another_persons_photo_is_not_shown(browser: Browser, album: Album) -> None:
    photo = album.immich.photo(album.immich.user("bob"), "secret")
    await browser.open(f"{album.url}/mesh/#/photo/{photo.id}")
    told = await until_text(browser, "[role=alert]", "That did not work")
    assert "secret" not in told


async def test_what_is_missing_is_healed_with_pause_and_failures_with_reason(browser: Browser, album: Album) -> None:
    good = [album.immich.photo(album.alice, preview=preview()) for _ in range(5)]
    bad = album.immich.photo(album.alice, preview=None)
    refresh = album.door.refresh
    assert refresh is not None
    refresh.lost = {"ocr": [photo.id for photo in [*good, bad]], "clip": [good[0].id]}
    gate = album.door.mesh.wait_for = refresh.written  # type: ignore[union-attr]
    await browser.open(f"{album.url}/mesh/#/missing")
    assert "6 photos without text recognition" in await until_text(browser, ".counts", "1 photos without a vector")
    await browser.until_run(PRESS, "Heal them")
    await browser.until_run(PRESS, "Pause")
    gate.set()
    await until_text(browser, "[role=status]", "2 of 6 · paused")
    await browser.until_run(PRESS, "Go on")
    await until_text(browser, "[role=status]", "6 of 6 · done · 1 failed")
    assert "Immich has no preview of it" in await browser.run(TEXT, ".failures")
    assert set(refresh.texts) == {photo.id for photo in good}
    assert set(refresh.embeddings) == {good[0].id}
    bad.preview = preview()
    await browser.until_run(PRESS, "Try what failed again")
    await until_text(browser, "[role=status]", "6 of 6 · done")
    assert bad.id in refresh.texts
    assert "0 photos without a vector" in await until_text(browser, ".counts", "0 photos without text recognition")


async def test_faces_are_looked_for_by_immich_photo_by_photo(browser: Browser, album: Album) -> None:
    refresh = album.door.refresh
    assert refresh is not None
    photos = [album.immich.photo(album.alice, preview=preview()) for _ in range(3)]
    refresh.faceless = {photo.id for photo in photos}
    asked: list[tuple[str, list[UUID]]] = []

    def job(name: str, ids: list[UUID]) -> None:
        asked.append((name, ids))
        refresh.faceless -= set(ids)

    album.immich.do_job = job
    await browser.open(f"{album.url}/mesh/#/missing")
    await until_text(browser, ".counts", "3 photos in which nobody looked for faces")
    await browser.until_run(PRESS, "Heal them")
    await until_text(browser, "[role=status]", "3 of 3 · done")
    await until_text(browser, ".counts", "0 photos in which nobody looked for faces")
    assert sorted(asked, key=str) == sorted((("refresh-faces", [photo.id]) for photo in photos), key=str)
    assert refresh.texts == {}


async def test_what_cannot_be_read_is_named_and_not_offered(browser: Browser, album: Album) -> None:
    refresh = album.door.refresh
    assert refresh is not None
    unreadable = album.immich.photo(album.alice, preview=None)
    empty = album.immich.photo(album.alice, preview=preview())
    refresh.lost = {"ocr": [unreadable.id, empty.id], "clip": [unreadable.id]}
    refresh.reasons = {unreadable.id: MissingReason.NO_PREVIEW, empty.id: MissingReason.NOTHING_FOUND}
    album.door.mesh.lines = ()  # type: ignore[union-attr]
    await browser.open(f"{album.url}/mesh/#/missing")
    await until_text(browser, "main", "1 without a preview: cannot be read")
    await until_text(browser, "main", "1 of them were read once and nothing was found")
    await browser.until_run(PRESS, "Heal them")
    await until_text(browser, "[role=status]", "1 of 1 · done")
    assert set(refresh.texts) == {empty.id}
    await browser.until(lambda driver: "nothing was found" not in driver.execute_script(TEXT, "main"))
    await browser.open(f"{album.url}/mesh/#/photo/{unreadable.id}")
    await until_text(browser, ".facts", "Immich has no preview of it")


async def test_who_is_not_signed_in_is_sent_to_immich(browser: Browser, album: Album) -> None:
    await browser.do(lambda driver: driver.delete_all_cookies())
    await browser.open(f"{album.url}/mesh/")
    await until_text(browser, "main", "Sign in there first")
    assert "/auth/login" in await browser.run("return document.querySelector('main a').href")


async def test_no_credential_stands_in_an_address(browser: Browser, album: Album) -> None:
    photo = album.immich.photo(album.alice, "发票", preview=preview())
    await browser.open(f"{album.url}/mesh/#/search/ocr%3A%E5%8F%91%E7%A5%A8")
    await browser.until_run(TILES)
    await browser.open(f"{album.url}/mesh/#/photo/{photo.id}")
    await until_text(browser, ".facts .text", "发票")
    used = await browser.run("return performance.getEntriesByType('resource').map(({name}) => name)")
    assert all(url.startswith(album.url) for url in used)
    assert "session" not in " ".join(used)
    assert all(not call.query.keys() & {"apiKey", "sessionKey"} for call in album.immich.calls)


@pytest.mark.parametrize("page", ["#/search/ocr%3A%E5%8F%91%E7%A5%A8", "#/photo/", "#/missing"])
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_phone_shows_everything_in_both_languages(
    browser: Browser, album: Album, page: str, theme: str
) -> None:
    await speak(browser, "zh-CN")
    await mobile(browser, 360)
    photo = album.immich.photo(album.alice, "发票" * 200 + "x" * 300, name="n" * 120, preview=preview())
    await browser.open(f"{album.url}/mesh/{page}{photo.id if page == '#/photo/' else ''}")
    await browser.run(f"localStorage.setItem('immich-mesh-theme', '{theme}'); location.reload()")
    await until_text(browser, "nav", "缺失的数据")
    await browser.until_run("return document.querySelector('main').innerText.length > 20")
    assert await browser.run(OVERHANG) == 0
    assert await browser.complaints() == []
