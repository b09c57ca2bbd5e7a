"""The admin page in a real browser, before a running router."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import Browser, Driver, Stage, Work

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


async def open_page(browser: Browser, stage: Stage) -> None:
    await browser.do(lambda driver: driver.get(stage.url))
    await browser.until(lambda driver: text("#state")(driver) == "ready")


async def show(browser: Browser, photo: Path) -> None:
    """Chooses a photo and waits for all three answers."""
    await browser.do(lambda driver: driver.find_element("id", "file").send_keys(str(photo)))
    await browser.until(shows("#found-vector", "512 numbers"))
    await browser.until(lambda driver: len(driver.execute_script(SHAPES)) == 2)


async def test_clusters_and_models_are_shown(browser: Browser, stage: Stage) -> None:
    await open_page(browser, stage)
    await browser.until(shows("#clusters", "healthy"))
    await browser.until(shows("#models", "visual loaded"))
    assert await browser.do(text("#version"))
    assert await browser.complaints() == []


async def test_a_model_that_cannot_be_loaded_is_told_first_and_once(browser: Browser, stage: Stage) -> None:
    await open_page(browser, stage)
    assert await browser.do(text("#attention")) == ""
    stage.service.load_error = "cannot read the model"
    await browser.until(lambda driver: text("#state")(driver) == "no service is ready")
    await browser.until(shows("#clusters", "cannot answer: no model can be loaded"))
    assert "can serve" not in await browser.do(text("#clusters"))
    assert "yes" not in await browser.do(text("#verdict"))
    told = await browser.do(text("#attention"))
    assert told.splitlines()[0] == "ocr: double cannot be loaded: cannot read the model"
    assert (await browser.do(text("#models tr"))).count("cannot read the model") == 1
    stage.service.load_error = ""
    await browser.until(lambda driver: text("#state")(driver) == "ready")
    assert await browser.do(text("#attention")) == ""


async def test_a_photo_shows_its_text_faces_and_vector(browser: Browser, stage: Stage, photo: Path) -> None:
    await open_page(browser, stage)
    await show(browser, photo)
    assert "发票 <b>1</b> 0.95" in await browser.do(text("#found-text"))
    assert "50 × 60 pixels, certain to 0.75" in await browser.do(text("#found-faces"))
    line, face = sorted(await browser.do(run(SHAPES)), reverse=True)
    assert line[0] == "line"
    assert line[1:] == pytest.approx([0.1, 0.1, 0.5, 0.1], abs=0.02)
    assert face[0] == "face"
    assert face[1:] == pytest.approx([0.025, 1 / 3, 0.125, 0.2], abs=0.02)
    assert await browser.complaints() == []


async def test_a_sentence_is_compared_with_the_photo(browser: Browser, stage: Stage, photo: Path) -> None:
    await open_page(browser, stage)
    await show(browser, photo)

    def ask(driver: Driver) -> None:
        driver.find_element("id", "sentence").send_keys("一只狗")
        driver.find_element("css selector", "#ask button").click()

    await browser.do(ask)
    await browser.until(lambda driver: text("#fit")(driver) == "“一只狗”: cosine 0.6000")


async def test_requests_appear_and_can_be_filtered(browser: Browser, stage: Stage, photo: Path) -> None:
    await open_page(browser, stage)
    await show(browser, photo)
    await browser.until(shows("#requests", "facial-recognition"))
    await browser.do(click("id", "only-errors"))
    await browser.until(lambda driver: text("#requests")(driver) == "")


async def test_a_model_is_unloaded_and_loaded_by_its_button(browser: Browser, stage: Stage) -> None:
    await open_page(browser, stage)
    for label, order, state in (("Unload", "unload", "visual cached"), ("Load", "load", "visual loaded")):
        path = f"//tbody[@id='models']/tr[1]//button[text()='{label}']"
        await browser.until(click("xpath", path))
        await browser.until(shows("#models tr", state))
        assert (order, "double") in stage.service.orders


async def test_draining_is_ordered_and_seen(browser: Browser, stage: Stage) -> None:
    await open_page(browser, stage)
    await browser.do(run("window.confirm = () => true"))
    await browser.do(click("id", "drain"))
    await browser.until(lambda driver: text("#state")(driver) == "draining")
    assert stage.router.status.draining


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")])
async def test_nothing_hangs_over_the_edge_and_everything_can_be_read(
    browser: Browser, stage: Stage, photo: Path, width: int, theme: str
) -> None:
    """No sideways scrolling at a phone's width, and text stands out from what is behind it by WCAG's 4.5 to 1."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    await browser.do(lambda driver: driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size))
    await browser.do(lambda driver: driver.get(stage.url))
    await browser.do(lambda driver: driver.execute_script(f"localStorage.setItem('theme', '{theme}')"))
    await open_page(browser, stage)
    await show(browser, photo)
    assert await browser.do(run(OVERHANG)) == 0
    assert await browser.do(run(CONTRAST)) >= 4.5
    shot = base64.b64decode(await browser.do(lambda driver: driver.get_screenshot_as_base64()))
    edge = np.asarray(Image.open(io.BytesIO(shot)).convert("L"))[400, 2]
    assert (edge < 60) == (theme == "dark")


OVERHANG = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
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


async def test_the_mt_photos_documentation_can_be_tried(browser: Browser, stage: Stage) -> None:
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
