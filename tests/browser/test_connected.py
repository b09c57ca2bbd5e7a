"""The operator's first page: is my Immich connected, what is to be done, and which model answered."""

from typing import Any

from aiohttp import FormData
from pydantic import SecretStr

from tests.browser.conftest import AdminStage, Browser
from tests.doubles.immich import ImmichDouble

HOSTILE = "<img src=x onerror=document.title='broken'>"
ROW = """
const [subject] = arguments;
const rows = [...document.querySelectorAll('.check')];
const row = rows.find((row) => row.querySelector('.subject').textContent === subject);
return row ? [row.querySelector('.mark').getAttribute('aria-label'), row.querySelector('.seen').innerText] : ['', ''];
"""
TEXT = "return document.querySelector(arguments[0])?.innerText ?? ''"

IMMICH = {"User-Agent": "immich-server/2.7.5"}
"""As recorded."""


async def row(browser: Browser, subject: str, mark: str) -> str:
    """What a row says, once it has this mark."""
    await browser.until(lambda driver: driver.execute_script(ROW, subject)[0] == mark)
    return str((await browser.run(ROW, subject))[1])


async def call(stage: AdminStage, model: str = "asked") -> None:
    """A prediction as Immich sends it."""
    form = FormData()
    form.add_field(
        "entries", f'{{"ocr":{{"detection":{{"modelName":"{model}"}},"recognition":{{"modelName":"{model}"}}}}}}'
    )
    form.add_field("image", b"photo", filename="blob")
    url = f"http://{stage.router.listener('immich_ml').address}/predict"
    async with stage.admin.post(url, data=form, headers=IMMICH) as reply:
        assert reply.status == 200


async def test_the_last_call_is_shown_and_from_where(browser: Browser, stage: AdminStage) -> None:
    await browser.open(stage.url)
    assert "none since this router started" in await row(browser, "Last call from Immich", "to mend")
    async with stage.admin.get(f"http://{stage.router.listener('immich_ml').address}/ping", headers=IMMICH):
        pass
    assert "from 127.0.0.1 (ping)" in await row(browser, "Last call from Immich", "well")
    await call(stage)
    await browser.until(lambda driver: "(ocr)" in driver.execute_script(ROW, "Last call from Immich")[1])
    assert await browser.complaints() == []


def told(stage: AdminStage, **changes: Any) -> None:
    """Changes what the listener for Immich is set to."""
    settings = stage.router.status.settings
    ml = settings.listeners.immich_ml.model_copy(update=changes)
    listeners = settings.listeners.model_copy(update={"immich_ml": ml})
    stage.router.status.settings = settings.model_copy(update={"listeners": listeners})


async def test_both_addresses_for_immich_are_there_to_copy(browser: Browser, stage: AdminStage) -> None:
    await browser.open(stage.url)
    port = stage.router.listener("immich_ml").port
    loopback = await row(browser, "URLs for Immich", "to look at")
    assert f"http://127.0.0.1:{port}" in loopback
    assert "only this machine reaches them" in loopback
    stage.router.listener("immich_ml").host = "0.0.0.0"
    unknown = await row(browser, "URLs for Immich", "note")
    assert f"http://‹this machine's address›:{port}" in unknown, "localhost is no address for an Immich elsewhere"
    stage.router.listener("immich_ml").host = "192.0.2.7"
    told(stage, urls=("http://192.0.2.7:3003",), path=SecretStr("hidden-path"))
    await browser.until(lambda driver: "one router only" in driver.execute_script(ROW, "URLs for Immich")[1])
    told(stage, urls=("http://192.0.2.7:3003", "http://192.0.2.7:3004"), path=SecretStr("hidden-path"))
    both = await row(browser, "URLs for Immich", "note")
    assert "http://192.0.2.7:3003" in both
    assert "http://192.0.2.7:3004" in both
    assert "enter both in Immich" in both
    assert "followed by the secret path" in both
    assert "hidden-path" not in await browser.run("return document.documentElement.outerHTML")


async def test_services_say_what_they_answer_with(browser: Browser, stage: AdminStage) -> None:
    await browser.open(stage.url)
    assert "can serve: double on CPU" in await row(browser, "Text (OCR)", "well")
    stage.service.load_error = HOSTILE
    assert "cannot answer" in await row(browser, "Text (OCR)", "to mend")
    told = await row(browser, "Model", "to mend")
    assert HOSTILE in told
    assert "HF_ENDPOINT=https://hf-mirror.com" in told
    assert await browser.run("return document.title") == "Connection · Immich Mesh"


async def test_a_mirror_is_used_by_one_button(browser: Browser, stage: AdminStage) -> None:
    stage.service.load_error = "the hub does not answer"
    await browser.open(stage.url)
    await row(browser, "Model", "to mend")
    await browser.run(
        "[...document.querySelectorAll('.remedy button')].find((b) => b.textContent.includes('hf-mirror.com')).click()"
    )
    assert "can serve" in await row(browser, "Text (OCR)", "well")
    assert stage.service.hub == "https://hf-mirror.com"
    assert ("load", "double") in stage.service.orders


async def test_a_download_says_how_fast_it_is_and_when_it_is_there(browser: Browser, stage: AdminStage) -> None:
    stage.service.downloaded = 0.1
    await browser.open(stage.url)
    await browser.until(lambda driver: "downloading, 10 % of 200 MB" in driver.execute_script(ROW, "Model")[1])
    stage.service.downloaded = 0.2
    told = "return [...document.querySelectorAll('.check')].map((row) => row.innerText).join()"
    await browser.until(lambda driver: " per second, " in driver.execute_script(told))
    assert "20 % of 200 MB" in await browser.run(told)


async def test_the_model_that_answered_is_shown_beside_the_one_asked_for(browser: Browser, stage: AdminStage) -> None:
    await call(stage, "asked_for")
    await browser.open(f"{stage.url}/#/mesh")
    await browser.until(lambda driver: "asked for asked_for" in driver.execute_script(TEXT, "#requests"))
    assert "double" in await browser.run(TEXT, "#requests")


async def test_hostile_names_of_models_are_text(browser: Browser, stage: AdminStage) -> None:
    stage.service.name = HOSTILE
    await call(stage)
    await browser.open(stage.url)
    for view, place in (("connected", "#connected"), ("mesh", "#requests"), ("mesh", "#models")):
        await browser.run(f"location.hash = '#/{view}'")
        await browser.until(lambda driver, place=place: HOSTILE in driver.execute_script(TEXT, place))  # type: ignore[misc]
    assert await browser.run("return document.querySelectorAll('main img').length") == 0
    assert "broken" not in await browser.run("return document.title")
    assert await browser.complaints() == []


async def test_immichs_own_settings_are_checked(browser: Browser, connected: tuple[AdminStage, ImmichDouble]) -> None:
    stage, _ = connected
    await browser.open(stage.url)
    assert "3.0.3" in await row(browser, "Immich", "well")
    assert HOSTILE in str(await browser.run("return document.querySelector('#connected').innerText"))
    door = await row(browser, "Photo front door", "well")
    assert f":{stage.router.listener('photos').port}" in door
    assert "none is configured" in await row(browser, "Database", "to look at")
    assert "to mend" in await browser.run(TEXT, "#verdict")
    assert await browser.run("return document.title") == "Connection · Immich Mesh"
