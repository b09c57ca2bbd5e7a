"""The pages are there at once, and of long results only what is in sight is drawn."""

from tests.browser.conftest import AdminStage, Album, Browser
from tests.waiting import PATIENCE_SECONDS

READY_MS = 1000
MANY = 10_000
DRAWN = 200

LOADED = """
const done = arguments[0];
const [page] = performance.getEntriesByType('navigation');
const last = Math.max(page.domContentLoadedEventEnd, ...performance.getEntriesByType('resource')
  .filter(({name}) => /\\.(js|css)/.test(name)).map(({responseEnd}) => responseEnd));
done(last);
"""
SCROLLS = """
const done = arguments[0];
let worst = 0, last = performance.now(), at = 0;
const drawn = () => [...document.querySelectorAll('.tile > a')]
  .filter((link) => link.checkVisibility({contentVisibilityAuto: true})).length;
const step = () => {
  const now = performance.now();
  worst = Math.max(worst, now - last);
  last = now;
  at += document.body.scrollHeight / 20;
  scrollTo(0, at);
  if (at < document.body.scrollHeight) requestAnimationFrame(step);
  else done([document.querySelectorAll('.tile').length, drawn(), worst]);
};
requestAnimationFrame(step);
"""
MAKE = """
const list = document.querySelector('.results');
const tile = document.querySelector('.tile');
for (let at = document.querySelectorAll('.tile').length; at < arguments[0]; at += 1) list.append(tile.cloneNode(true));
"""


async def test_the_pages_are_ready_within_a_second(browser: Browser, album: Album, stage: AdminStage) -> None:
    for url, shown in ((f"{album.url}/mesh/", "[type=search]"), (stage.url, ".check")):
        await browser.open(url)
        await browser.until_run(f"return document.querySelector('{shown}')")
        took = await browser.do(lambda driver: driver.execute_async_script(LOADED))
        print(f"{url}: {took:.0f} ms")
        assert took < READY_MS


async def test_ten_thousand_results_scroll(browser: Browser, album: Album) -> None:
    album.immich.photo(album.alice, "发票")
    await browser.open(f"{album.url}/mesh/#/search/ocr%3A%E5%8F%91%E7%A5%A8")
    await browser.until_run("return document.querySelector('.tile')")
    await browser.run(MAKE, MANY)
    await browser.do(lambda driver: driver.set_script_timeout(PATIENCE_SECONDS))
    count, drawn, worst = await browser.do(lambda driver: driver.execute_async_script(SCROLLS))
    print(f"{count} tiles, {drawn} drawn, longest frame {worst:.0f} ms")
    assert count == MANY
    assert 0 < drawn < DRAWN
