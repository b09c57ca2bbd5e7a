"""axe-core finds nothing to complain about, in light and dark, on a desk and on a phone."""

from pathlib import Path

import pytest
from PIL import Image

from tests.browser.conftest import AdminStage, Album, Browser
from tests.browser.looks import admin_views, mobile, speak
from tests.doubles.immich import ImmichDouble

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
RUN = """
const [element, done] = arguments;
axe.run(element ? document.querySelector(element) : document).then(({violations}) =>
  done(violations.map(({id, nodes}) => `${id}: ${nodes.map(({html}) => html.slice(0, 200)).join(' | ')}`)));
"""

pytestmark = pytest.mark.skipif(not AXE.exists(), reason="not installed: axe-core (make test-browser)")


async def violations(browser: Browser, element: str = "") -> list[str]:
    """What axe finds."""
    script = AXE.read_text(encoding="utf-8")
    await browser.do(lambda driver: driver.execute_script(script))
    found: list[str] = await browser.do(lambda driver: driver.execute_async_script(RUN, element))
    return found


LOOKS = [(1280, "light", "en"), (360, "dark", "en"), (1280, "dark", "zh-CN"), (360, "light", "zh-CN")]


@pytest.mark.parametrize(("width", "theme", "language"), LOOKS)
async def test_the_admin_pages(
    browser: Browser, connected: tuple[AdminStage, ImmichDouble], width: int, theme: str, language: str, tmp_path: Path
) -> None:
    stage, _ = connected
    photo = tmp_path / "photo.png"
    Image.new("RGB", (400, 300), "white").save(photo)
    await speak(browser, language)
    await mobile(browser, width)
    await browser.open(stage.url)
    await browser.run(f"localStorage.setItem('theme', '{theme}'); location.reload()")
    async for view in admin_views(browser):
        if view == "photo":
            await browser.do(lambda driver: driver.find_element("id", "file").send_keys(str(photo)))
            await browser.until_run("return document.querySelectorAll('.timing li').length === 3")
        assert await violations(browser) == [], view


@pytest.mark.parametrize(("width", "theme", "language"), LOOKS)
async def test_the_pages_for_everyone(browser: Browser, album: Album, width: int, theme: str, language: str) -> None:
    photo = album.immich.photo(album.alice, "发票 42", name="a.jpg")
    album.door.refresh.lost["ocr"] = [photo.id]  # type: ignore[union-attr]
    await speak(browser, language)
    await mobile(browser, width)
    await browser.run(f"localStorage.setItem('immich-mesh-theme', '{theme}')")
    for page, shown in (
        ("search/ocr%3A%E5%8F%91%E7%A5%A8", ".tile mark"),
        (f"photo/{photo.id}", ".facts .text"),
        ("missing", ".counts strong"),
    ):
        await browser.open(f"{album.url}/mesh/#/{page}")
        await browser.until_run(f"return document.querySelector('{shown}')")
        assert await violations(browser) == [], page


async def test_the_panel_in_immichs_page(browser: Browser, album: Album) -> None:
    photo = album.immich.photo(album.alice, name="a.jpg")
    album.immich.web.photos = [str(photo.id)]  # type: ignore[union-attr]
    await browser.open(f"{album.url}/photos/{photo.id}")
    await browser.until_run("const item = document.querySelector('[data-immich-mesh]'); item?.click(); return item")
    panel = "return document.querySelector('immich-mesh-panel')?.shadowRoot.textContent.includes('1 of 1')"
    await browser.until_run(panel)
    assert await violations(browser, "immich-mesh-panel") == []
