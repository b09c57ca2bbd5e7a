"""The admin page in a real browser, before a running router."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import AdminStage, Browser, Driver, Work
from tests.browser.looks import OVERHANG, admin_views, mobile, speak
from tests.doubles.immich import ImmichDouble

FINDS = "return document.querySelector(arguments[0])?.innerText ?? ''"
SHAPES = """
const [photo] = document.querySelectorAll('#photo img'); const frame = photo.getBoundingClientRect();
return [...document.querySelectorAll('#photo svg > *')].map((shape) => {
  const box = shape.getBoundingClientRect();
  return [shape.getAttribute('class'), (box.x - frame.x) / frame.width, (box.y - frame.y) / frame.height,
          box.width / frame.width, box.height / frame.height];
});
"""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of the size that the double answers for."""
    path = tmp_path / "photo.png"
    Image.new("RGB", (400, 300), "white").save(path)
    return path


def run(script: str, *arguments: Any) -> Work:
    """What a script gives."""
    return lambda driver: driver.execute_script(script, *arguments)


def text(selector: str) -> Work:
    """The text of an element, as it is seen."""
    return run(FINDS, selector)


def click(how: str, where: str) -> Work:
    """Clicks an element, once it is there."""

    def act(driver: Driver) -> bool:
        driver.find_element(how, where).click()
        return True

    return act


def shows(selector: str, wanted: str) -> Work:
    """Whether the text of an element contains another."""
    return lambda driver: wanted in text(selector)(driver)


async def open_page(browser: Browser, stage: AdminStage, view: str = "connected") -> None:
    await browser.do(lambda driver: driver.get(f"{stage.url}/#/{view}"))
    await browser.until(lambda driver: text("#state")(driver) == "ready")


async def show(browser: Browser, photo: Path) -> None:
    """Chooses a photo and waits for all three answers."""
    await browser.do(lambda driver: driver.find_element("id", "file").send_keys(str(photo)))
    await browser.until_run("return document.querySelector('#found-vector canvas')")
    await browser.until(lambda driver: len(driver.execute_script(SHAPES)) == 2)


async def test_clusters_and_models_are_shown(browser: Browser, stage: AdminStage) -> None:
    await open_page(browser, stage, "mesh")
    await browser.until(shows("#clusters", "healthy"))
    await browser.until(shows("#models", "visual loaded"))
    assert await browser.do(text("#version"))
    assert await browser.complaints() == []


async def test_a_model_that_cannot_be_loaded_is_told_first_and_once(browser: Browser, stage: AdminStage) -> None:
    await open_page(browser, stage)
    stage.service.load_error = "cannot read the model"
    await browser.until(lambda driver: text("#state")(driver) == "no service is ready")
    await browser.until(shows("#connected", "cannot answer: no model can be loaded"))
    told = await browser.do(text("#connected"))
    # One service answers for all three: each cluster has its model, and each model's reason stands once.
    assert told.count("cannot read the model") == 3
    assert "can serve" not in told
    assert "yes" not in await browser.do(text("#verdict"))
    marks = "return [...document.querySelectorAll('.check .mark')].map((mark) => mark.textContent).join('')"
    assert "✕" not in (await browser.run(marks)).lstrip("✕")
    await browser.run("location.hash = '#/mesh'")
    await browser.until(shows("#models", "failed"))
    await browser.until(shows("#clusters", "cannot answer: no model can be loaded"))
    mesh = await browser.do(text("main"))
    assert "can serve" not in mesh
    assert "cannot read the model" not in mesh
    stage.service.load_error = ""
    await browser.until(lambda driver: text("#state")(driver) == "ready")
    await browser.run("location.hash = '#/connected'")
    await browser.until(lambda driver: "cannot read the model" not in text("#connected")(driver))


async def test_a_cluster_whose_tries_all_fail_is_not_called_well(browser: Browser, stage: AdminStage) -> None:
    await open_page(browser, stage, "mesh")
    await browser.until(shows("#clusters", "can serve"))
    (endpoint,) = stage.router.clusters.clusters["ocr"].endpoints
    endpoint.total += 7
    endpoint.failures += 7
    await browser.until(shows("#clusters", "every try failed in the last minute (7)"))
    await browser.until(lambda driver: text("#state")(driver) == "partly ready")
    endpoint.total += 3
    await browser.until(shows("#clusters", "7 of 10 tries failed in the last minute"))


async def test_a_photo_shows_its_text_faces_and_vector(browser: Browser, stage: AdminStage, photo: Path) -> None:
    await open_page(browser, stage, "photo")
    await show(browser, photo)
    assert "发票 <b>1</b> 0.95" in await browser.do(text("#found-text"))
    assert "50 × 60 pixels, certain to 0.75" in await browser.do(text("#found-faces"))
    line, face = sorted(await browser.do(run(SHAPES)), reverse=True)
    assert line[0] == "line"
    assert line[1:] == pytest.approx([0.1, 0.1, 0.5, 0.1], abs=0.02)
    assert face[0] == "face"
    assert face[1:] == pytest.approx([0.025, 1 / 3, 0.125, 0.2], abs=0.02)
    await browser.until_run("return document.querySelectorAll('.timing li').length === 3")
    timing = await browser.do(text("#timing"))
    # What a service tells of that the page has no word for is shown with the rest of its time.
    for stage_shown in ("Decoded 12 ms", "Detection 40 ms", "Recognition 88 ms", "Prepared and sorted 3 ms"):
        assert stage_shown in timing
    assert "imageWidth" in await browser.run("return document.querySelector('#json').textContent")
    assert await browser.complaints() == []


GIVE = """
const [how] = arguments;
const canvas = document.createElement('canvas');
[canvas.width, canvas.height] = [400, 300];
canvas.toBlob((blob) => {
  const data = new DataTransfer();
  data.items.add(new File([blob], 'photo.png', {type: 'image/png'}));
  const event = how === 'drop' ? new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})
    : new ClipboardEvent('paste', {clipboardData: data, bubbles: true});
  document.body.dispatchEvent(event);
});
"""


@pytest.mark.parametrize("how", ["drop", "paste"])
async def test_a_photo_that_is_dropped_or_pasted_anywhere_is_tried(
    browser: Browser, stage: AdminStage, how: str
) -> None:
    await open_page(browser, stage)
    await browser.run(GIVE, how)
    await browser.until(shows("#found-text", "发票"))
    assert await browser.run("return location.hash") == "#/photo"


async def test_a_phone_can_take_the_photo(browser: Browser, stage: AdminStage) -> None:
    await open_page(browser, stage, "photo")
    camera = "return ['accept', 'capture'].map((name) => document.querySelector('#camera').getAttribute(name))"
    assert await browser.run(camera) == ["image/*", "environment"]
    clicked = "const input = document.querySelector('#camera'); input.click = () => { document.title = 'asked' };"
    await browser.run(clicked + "document.querySelector('#take').click()")
    assert await browser.run("return document.title") == "asked"


async def test_phrases_are_scored_best_first(browser: Browser, stage: AdminStage, photo: Path) -> None:
    await open_page(browser, stage, "photo")
    await show(browser, photo)

    async def ask(phrase: str) -> None:
        def typed(driver: Driver) -> None:
            driver.find_element("id", "sentence").send_keys(phrase)
            driver.find_element("css selector", "#ask button").click()

        await browser.do(typed)
        await browser.until(shows("#fit", phrase))

    await ask("<b>一只狗</b>")
    assert "“<b>一只狗</b>”: cosine 0.6000 100 %" in " ".join((await browser.do(text("#fit"))).split())
    stage.service.text_vector = (0.8, 0.6)
    await ask("a cat")
    lines = [line for line in (await browser.do(text("#fit"))).splitlines() if "cosine" in line]
    assert [line.split("”")[0] for line in lines] == ["“a cat", "“<b>一只狗</b>"]


async def test_requests_appear_and_can_be_filtered(browser: Browser, stage: AdminStage, photo: Path) -> None:
    await open_page(browser, stage, "photo")
    await show(browser, photo)
    await browser.run("location.hash = '#/mesh'")
    await browser.until(shows("#requests", "facial-recognition"))
    await browser.do(click("id", "only-errors"))
    await browser.until(lambda driver: text("#requests")(driver) == "")


async def test_a_model_is_unloaded_and_loaded_by_its_button(browser: Browser, stage: AdminStage) -> None:
    await open_page(browser, stage, "mesh")
    for label, order, state in (("Unload", "unload", "visual cached"), ("Load", "load", "visual loaded")):
        path = f"//tbody[@id='models']/tr[1]//button[text()='{label}']"
        await browser.until(click("xpath", path))
        await browser.until(shows("#models tr", state))
        assert (order, "double") in stage.service.orders


async def test_draining_is_ordered_and_seen(browser: Browser, stage: AdminStage) -> None:
    await open_page(browser, stage, "mesh")
    await browser.do(run("window.confirm = () => true"))
    await browser.do(click("id", "drain"))
    await browser.until(lambda driver: text("#state")(driver) == "draining")
    assert stage.router.status.draining


LONG = "XLM-Roberta-Large-Vit-B-16Plus__a_name_that_goes_on_and_on_without_any_end"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "language"), [(360, "en"), (360, "zh-CN"), (1280, "en")])
async def test_nothing_hangs_over_the_edge_and_everything_can_be_read(
    browser: Browser, connected: tuple[AdminStage, ImmichDouble], photo: Path, width: int, theme: str, language: str
) -> None:
    """No sideways scrolling at a phone's width, and text stands out from what is behind it by WCAG's 4.5 to 1."""
    stage, immich = connected
    stage.service.name = LONG
    immich.queues["ocr"].jobs = 123_456
    for cluster in stage.router.clusters.clusters.values():
        cluster.endpoints[0].total = 98_765
        cluster.endpoints[0].failures = 54_321
    await speak(browser, language)
    await mobile(browser, width)
    await browser.open(stage.url)
    await browser.run(f"localStorage.setItem('theme', '{theme}'); location.reload()")
    async for view in admin_views(browser):
        if view == "photo":
            await show(browser, photo)
        assert await browser.run(OVERHANG) == 0, view
        assert await browser.run(CONTRAST) >= 4.5, view
        cut = await browser.run(CUT_OFF)
        assert cut == [], view
    shot = base64.b64decode(await browser.do(lambda driver: driver.get_screenshot_as_base64()))
    edge = np.asarray(Image.open(io.BytesIO(shot)).convert("L"))[400, 2]
    assert (edge < 60) == (theme == "dark")


CUT_OFF = """
return [...document.querySelectorAll('main .scroll, main .card')]
  .filter((node) => node.offsetParent && node.scrollWidth > node.clientWidth + 1)
  .map((node) => `${node.className} ${node.scrollWidth} > ${node.clientWidth}: ${node.innerText.slice(0, 60)}`);
"""
CONTRAST = """
const light = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (!colour.endsWith(', 0)') && colour !== 'transparent') return colour;
  }
  return 'rgb(255, 255, 255)';
};
const ratios = [...document.querySelectorAll('h1, h2, h3, p, td, th, a, li, .label, .soft, .pill, button:enabled')]
  .filter((node) => node.innerText?.trim() && node.offsetParent)
  .map((node) => [light(getComputedStyle(node).color), light(behind(node))])
  .map(([one, other]) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05));
return Math.min(...ratios);
"""


async def test_the_mt_photos_documentation_can_be_tried(browser: Browser, stage: AdminStage) -> None:
    url = f"http://{stage.router.listener('mt_photos').address}/docs"

    def try_search(driver: Driver) -> None:
        driver.find_element("id", "key").send_keys("mt-secret")
        operation = driver.find_element("xpath", "//details[.//code[text()='/clip/txt']]")
        operation.find_element("tag name", "summary").click()
        operation.find_element("tag name", "button").click()

    await browser.do(lambda driver: driver.get(url))
    await browser.until(lambda driver: driver.find_elements("tag name", "details"))
    await browser.do(try_search)
    await browser.until(shows("details[open] pre", "HTTP 200"))
    assert "0.6000000238418579" in await browser.do(text("details[open] pre"))
    assert await browser.complaints() == []
