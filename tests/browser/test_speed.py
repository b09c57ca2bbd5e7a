"""The pages are there at once, and of long results only what is in sight is drawn."""

from tests.browser.conftest import AdminStage, Album, Browser
from tests.browser.photos import preview
from tests.waiting import PATIENCE_SECONDS

READY_MS = 1000
MANY = 10_000
DRAWN = 200

WATCH = """
addEventListener('DOMContentLoaded', () => {
  const note = () => { if (!window.usable && document.querySelector('SHOWN')) window.usable = performance.now(); };
  new MutationObserver(note).observe(document, {subtree: true, childList: true, attributes: true});
  note();
});
"""
"""Notes when the first thing that can be used is in the page, its scripts having run."""
SCROLLS = """
const done = arguments[0];
const frames = [];
let last = performance.now(), at = 0;
const drawn = () => [...document.querySelectorAll('.tile > a')]
  .filter((link) => link.checkVisibility({contentVisibilityAuto: true})).length;
const step = () => {
  const now = performance.now();
  frames.push(now - last);
  last = now;
  at += 900;
  scrollTo(0, at);
  if (frames.length < 240 && at < document.body.scrollHeight) requestAnimationFrame(step);
  else done([document.querySelectorAll('.tile').length, drawn(), frames.slice(1).sort((one, other) => one - other)]);
};
requestAnimationFrame(step);
"""
MAKE = """
const list = document.querySelector('.results');
const tile = document.querySelector('.tile');
for (let at = document.querySelectorAll('.tile').length; at < arguments[0]; at += 1) list.append(tile.cloneNode(true));
"""


async def test_the_pages_are_usable_within_a_second(browser: Browser, album: Album, stage: AdminStage) -> None:
    for url, shown in ((f"{album.url}/mesh/", "[type=search]"), (f"{stage.url}/", ".check")):
        source = WATCH.replace("SHOWN", shown)
        added = await browser.do(
            lambda driver, source=source: driver.execute_cdp_cmd(  # type: ignore[misc]
                "Page.addScriptToEvaluateOnNewDocument", {"source": source}
            )
        )
        await browser.open(url)
        took = await browser.until_run("return window.usable")
        await browser.command("Page.removeScriptToEvaluateOnNewDocument", **added)
        print(f"{url}: usable after {took:.0f} ms")
        assert took < READY_MS


async def test_ten_thousand_results_scroll(browser: Browser, album: Album) -> None:
    album.immich.photo(album.alice, "发票", preview=preview())
    await browser.open(f"{album.url}/mesh/#/search/ocr%3A%E5%8F%91%E7%A5%A8")
    await browser.until_run("return document.querySelector('.tile')")
    await browser.run(MAKE, MANY)
    await browser.do(lambda driver: driver.set_script_timeout(PATIENCE_SECONDS))
    count, drawn, frames = await browser.do(lambda driver: driver.execute_async_script(SCROLLS))
    middle, tail = frames[len(frames) // 2], frames[len(frames) * 95 // 100]
    print(f"{count} tiles, {drawn} drawn, {len(frames)} frames: {middle:.0f} ms, 95 % {tail:.0f}, {frames[-1]:.0f} ms")
    assert count == MANY
    assert 0 < drawn < DRAWN
