"""The script in Immich's own page: refresh items in its menus, progress, what changed, and the hint in the search."""

import asyncio
from importlib import import_module

import pytest

from tests.browser.conftest import Album, Browser, Driver
from tests.browser.looks import speak
from tests.doubles.immich import DoubleAsset

PANEL = "return document.querySelector('immich-mesh-panel')?.shadowRoot.textContent ?? ''"
CLICK = """
const [label] = arguments;
const root = document.querySelector('immich-mesh-panel')?.shadowRoot;
const all = [...document.querySelectorAll('button, [role=menuitem], [data-asset]'),
             ...(root?.querySelectorAll('button') ?? [])];
const found = all.find((node) => node.textContent === label);
found?.click();
return Boolean(found);
"""
COVERED = """
const {x, y, width, height} = document.querySelector("#immich-asset-viewer button").getBoundingClientRect();
return document.elementFromPoint(x + width / 2, y + height / 2).closest("[role=menu]") !== null;
"""
HINT = "return document.querySelector('[role=search] input').placeholder.includes('ocr:')"
ITEMS = "return [...document.querySelectorAll('[data-immich-mesh]')].map((item) => item.textContent)"


async def click(browser: Browser, label: str) -> None:
    await browser.until_run(CLICK, label)


async def open_photo(browser: Browser, album: Album, photo: DoubleAsset) -> None:
    album.immich.web.photos = [str(photo.id)]  # type: ignore[union-attr]
    await browser.open(f"{album.url}/photos/{photo.id}")


async def looked_again(browser: Browser) -> None:
    """The script has seen the page as it is now: it has put back a hint that was taken away."""
    await browser.run("document.querySelector('[role=search] input').placeholder = 'Search'")
    await browser.until_run(HINT)


async def until_panel(browser: Browser, text: str) -> None:
    await browser.until(lambda driver: text in driver.execute_script(PANEL))


async def test_an_open_photos_menu_refreshes_its_text_and_tells_what_changed(browser: Browser, album: Album) -> None:
    photo = album.immich.photo(album.alice, name="<img src=x onerror=alert(1)>.jpg")
    album.door.mesh.lines = ("<b>发票</b> & co",)  # type: ignore[union-attr]
    await open_photo(browser, album, photo)
    await browser.until_run(ITEMS)
    assert await browser.run(ITEMS) == ["Refresh OCR", "Refresh smart search"]
    await click(browser, "More")
    assert await browser.run(COVERED)
    await looked_again(browser)
    assert await browser.run(ITEMS) == ["Refresh OCR", "Refresh smart search"]
    await click(browser, "Refresh OCR")
    await until_panel(browser, "Refreshed 1 of 1")
    assert "1 lines new, 0 gone" in await browser.run(PANEL)
    assert "<b>发票</b> & co" in await browser.run(PANEL)
    assert "<img src=x" in await browser.run(PANEL)
    assert photo.id in album.door.refresh.texts  # type: ignore[union-attr]
    await click(browser, "Refresh smart search")
    await until_panel(browser, "new vector")
    assert photo.id in album.door.refresh.embeddings  # type: ignore[union-attr]
    assert await browser.complaints() == []


async def test_a_second_refresh_does_not_end_the_first(browser: Browser, album: Album) -> None:
    photo = album.immich.photo(album.alice)
    gate = album.door.mesh.wait_for = asyncio.Event()  # type: ignore[union-attr]
    await open_photo(browser, album, photo)
    await browser.until_run(ITEMS)
    await click(browser, "Refresh OCR")
    await until_panel(browser, "Refreshing … 0 of 1")
    await click(browser, "Refresh smart search")
    await until_panel(browser, "Refreshing … 0 of 2")
    gate.set()
    await until_panel(browser, "Refreshed 2 of 2")
    assert photo.id in album.door.refresh.texts  # type: ignore[union-attr]
    assert photo.id in album.door.refresh.embeddings  # type: ignore[union-attr]


async def test_the_items_stay_while_the_menu_lies_over_its_button(browser: Browser, album: Album) -> None:
    await open_photo(browser, album, album.immich.photo(album.alice))
    await browser.until_run(ITEMS)
    await click(browser, "More")
    covered = """
const opener = document.querySelector('#immich-asset-viewer button');
const {x, y} = opener.getBoundingClientRect();
return !opener.contains(document.elementFromPoint(x + 3, y + 3));
"""
    assert await browser.until_run(covered)
    looked = f"const [done] = arguments; setTimeout(() => done((() => {{ {ITEMS} }})().length), 400)"
    assert await browser.do(lambda driver: driver.execute_async_script(looked)) == 2
    assert await browser.run("return document.querySelectorAll('[data-immich-mesh] svg path[d]').length") == 2


async def test_the_items_work_by_immichs_own_keys(browser: Browser, album: Album) -> None:
    photo = album.immich.photo(album.alice)
    await open_photo(browser, album, photo)
    await browser.until_run(ITEMS)
    keys = import_module("selenium.webdriver.common.keys").Keys

    def press(driver: Driver) -> None:
        opener = driver.find_element("css selector", "#immich-asset-viewer button")
        opener.send_keys(keys.ARROW_UP)
        opener.send_keys(keys.ENTER)

    await browser.do(press)
    await until_panel(browser, "Refreshed 1 of 1")


async def test_immichs_own_items_and_the_page_below_stay_as_they_are(browser: Browser, album: Album) -> None:
    photo = album.immich.photo(album.alice)
    await open_photo(browser, album, photo)
    await browser.until_run(ITEMS)
    below = "return document.querySelectorAll('body > div [data-immich-mesh]').length"
    assert await browser.run(below) == 0
    await click(browser, "Refresh metadata")
    await browser.until(lambda _: "POST /api/assets/jobs" in album.immich.paths())


async def test_another_persons_photo_cannot_be_refreshed(browser: Browser, album: Album) -> None:
    bob = album.immich.user("bob")
    album.alice.partners[bob.id] = True
    photo = album.immich.photo(bob)
    await open_photo(browser, album, photo)
    await browser.until(lambda _: f"GET /api/assets/{photo.id}" in album.immich.paths())
    await browser.until_run("return document.querySelector('[role=search] input').placeholder.includes('ocr:')")
    assert await browser.run(ITEMS) == []
    assert await browser.run(PANEL) == ""


async def test_a_bundle_whose_menu_is_not_found_leaves_a_button(browser: Browser, album: Album) -> None:
    photo = album.immich.photo(album.alice)
    album.immich.web.menu = "none"  # type: ignore[union-attr]
    await open_photo(browser, album, photo)
    await until_panel(browser, "Refresh OCR")
    await click(browser, "Refresh OCR")
    await until_panel(browser, "Refreshed 1 of 1")
    assert await browser.complaints() == []


async def test_a_selection_is_refreshed_with_pause(browser: Browser, album: Album) -> None:
    photos = [album.immich.photo(album.alice, name=f"{number}.jpg") for number in range(5)]
    album.immich.web.photos = [str(photo.id) for photo in photos]  # type: ignore[union-attr]
    await browser.open(f"{album.url}/photos")
    for photo in photos[:4]:
        await click(browser, str(photo.id)[:4])
    await browser.until_run(ITEMS)
    gate = album.door.mesh.wait_for = album.door.refresh.written  # type: ignore[union-attr]
    gate.clear()
    await click(browser, "Refresh OCR")
    await click(browser, "Pause")
    gate.set()
    await until_panel(browser, "paused 2 of 4")
    await click(browser, "Go on")
    await until_panel(browser, "Refreshed 4 of 4")
    assert set(album.door.refresh.texts) == {photo.id for photo in photos[:4]}  # type: ignore[union-attr]


async def test_what_fails_says_why_and_can_be_tried_again(browser: Browser, album: Album) -> None:
    photo = album.immich.photo(album.alice, preview=None)
    await open_photo(browser, album, photo)
    await click(browser, "Refresh OCR")
    await until_panel(browser, "Immich has no preview of it")
    photo.preview = b"\xff\xd8preview"
    await click(browser, "Try what failed again")
    await until_panel(browser, "1 lines new")


async def test_the_language_that_was_chosen_in_immich_is_spoken(browser: Browser, album: Album) -> None:
    await browser.run("localStorage.setItem('lang', 'zh_SIMPLIFIED')")
    await open_photo(browser, album, album.immich.photo(album.alice))
    assert "刷新文字识别" in await browser.until_run(ITEMS)


@pytest.mark.parametrize(("language", "item"), [("zh-CN", "刷新文字识别"), ("de-DE", "Refresh OCR")])
async def test_the_browsers_language_is_spoken(browser: Browser, album: Album, language: str, item: str) -> None:
    await speak(browser, language)
    await open_photo(browser, album, album.immich.photo(album.alice))
    assert item in await browser.until_run(ITEMS)
