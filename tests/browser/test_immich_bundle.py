"""The script in Immich's real web app, where a build of it is at hand: `IMMICH_WEB_BUILD` names the folder."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser.conftest import Album, Browser, Driver
from tests.browser.photos import preview
from tests.browser.test_immich_page import ITEMS, PANEL, until_panel
from tests.doubles.front_door import open_door
from tests.doubles.immich import DoubleAsset, DoubleKey, ImmichDouble
from tests.doubles.immich_bundle import ImmichBundle

FOLDER = Path(os.environ.get("IMMICH_WEB_BUILD", ""))
pytestmark = pytest.mark.skipif(
    not (FOLDER / "_app").is_dir(), reason="IMMICH_WEB_BUILD names no build of Immich's web app (its folder web/build)"
)

OPENER = """
const item = document.querySelector('[data-immich-mesh]');
const menu = item?.closest('[role=menu]');
const opener = menu && document.querySelector(`[aria-controls="${menu.id}"]`);
opener?.click();
return Boolean(opener);
"""
SEEN = """
return [...document.querySelectorAll('[data-immich-mesh]')].map((item) => {
  const {x, y, width, height} = item.getBoundingClientRect();
  return [item.textContent.trim(), item.contains(document.elementFromPoint(x + width / 2, y + height / 2))];
});
"""


@pytest.fixture
async def real(browser: Browser) -> AsyncIterator[Album]:
    """Alice's photos in Immich's own web app behind a front door; the browser has her session."""
    immich = ImmichDouble((3, 0, 3))
    alice = immich.user("alice")
    immich.web = ImmichBundle(FOLDER, immich, alice)
    immich.keys["session"] = DoubleKey(alice, is_api_key=False)
    async with immich.running(), open_door(immich) as door:
        await browser.sign_in(door.url, "session")
        known = {"name": "immich_is_authenticated", "value": "true", "sameSite": "Lax"}
        await browser.do(lambda driver: driver.add_cookie(known))
        yield Album(immich, door, alice)


async def open_photo(browser: Browser, album: Album, photo: DoubleAsset) -> None:
    await browser.open(f"{album.url}/photos/{photo.id}")
    await browser.until_run(ITEMS)


async def choose(browser: Browser, item: str) -> None:
    """Opens Immich's menu and clicks an item of ours, as a person does: where it is seen."""
    await browser.until_run(OPENER)
    await browser.until(lambda driver: [item, True] in driver.execute_script(SEEN))

    def press(driver: Driver) -> None:
        driver.find_element("xpath", f"//*[@data-immich-mesh and normalize-space()='{item}']").click()

    await browser.do(press)


@pytest.mark.parametrize("kind", ["IMAGE", "VIDEO"])
async def test_an_open_photos_and_videos_menu_refreshes_it(browser: Browser, real: Album, kind: str) -> None:
    photo = real.immich.photo(real.alice, "old", name="a.jpg", type=kind, preview=preview())
    await open_photo(browser, real, photo)
    assert [text for text, _ in await browser.run(SEEN)] == ["Refresh OCR", "Refresh smart search"]
    await choose(browser, "Refresh OCR")
    await until_panel(browser, "Refreshed 1 of 1")
    assert photo.id in real.door.refresh.texts  # type: ignore[union-attr]
    await choose(browser, "Refresh smart search")
    await until_panel(browser, "new vector")


async def test_a_selection_is_refreshed(browser: Browser, real: Album) -> None:
    photos = [real.immich.photo(real.alice, name=f"{number}.jpg", preview=preview()) for number in range(3)]
    await browser.open(f"{real.url}/photos")
    await browser.until(lambda driver: len(driver.find_elements("css selector", "[data-asset]")) == 3)
    for photo in photos[:2]:
        select = f"[data-asset='{photo.id}'] button"
        await browser.run("document.querySelector(arguments[0].replace(' button', '')).dispatchEvent("
                          "new MouseEvent('mouseenter'))", select)  # fmt: skip
        await browser.until_run("const b = document.querySelector(arguments[0]); b?.click(); return b", select)
    await browser.until_run(ITEMS)
    await choose(browser, "Refresh OCR")
    await until_panel(browser, "Refreshed 2 of 2")
    assert set(real.door.refresh.texts) == {photo.id for photo in photos[:2]}  # type: ignore[union-attr]


async def test_the_search_says_that_ocr_works_and_nothing_is_complained_about(browser: Browser, real: Album) -> None:
    real.immich.photo(real.alice, preview=preview())
    await browser.open(f"{real.url}/photos")
    hint = "return document.querySelector('[role=search] input')?.placeholder.includes('ocr:')"
    await browser.until_run(hint)
    worker = "return navigator.serviceWorker?.getRegistration().then((found) => Boolean(found?.active))"
    await browser.until_run(worker)
    ours = [told for told in await browser.complaints() if "/mesh/" in told or "Content Security" in told]
    assert ours == []


async def test_anothers_photo_is_not_offered(browser: Browser, real: Album) -> None:
    bob = real.immich.user("bob")
    real.alice.partners[bob.id] = True
    photo = real.immich.photo(bob, preview=preview())
    await browser.open(f"{real.url}/photos/{photo.id}")
    await browser.until_run("return document.querySelector('#immich-asset-viewer [role=menu]')")
    await browser.until(lambda _: f"GET /api/assets/{photo.id}" in real.immich.paths())
    assert await browser.run(ITEMS) == []
    assert await browser.run(PANEL) == ""
