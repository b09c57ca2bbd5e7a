"""The operator's page of jobs: what waits, what failed and why, Immich's queues, another try."""

import json

import aiohttp
from aiohttp import FormData

from tests.browser.conftest import AdminStage, Browser
from tests.doubles.immich import ImmichDouble

HOSTILE = "<img src=x onerror=document.title='broken'>"
TEXT = "return document.querySelector(arguments[0])?.innerText ?? ''"
PRESS = """
const [within, label] = arguments;
const row = [...document.querySelectorAll('li')].find((item) => item.innerText.startsWith(within));
const button = [...(row?.querySelectorAll('button') ?? [])].find((one) => one.textContent === label);
button?.click();
return Boolean(button);
"""

Connected = tuple[AdminStage, ImmichDouble]


async def fail(stage: AdminStage, task: str) -> None:
    """A request of Immich's that nobody can answer."""
    form = FormData()
    form.add_field("entries", json.dumps({task: {"recognition": {"modelName": "m"}, "detection": {"modelName": "m"}}}))
    form.add_field("image", b"", filename="blob")
    url = f"http://{stage.router.listener('immich_ml').address}/predict"
    async with aiohttp.ClientSession() as client, client.post(url, data=form) as reply:
        assert reply.status >= 400


async def test_queues_are_paused_resumed_and_started(browser: Browser, connected: Connected) -> None:
    stage, immich = connected
    immich.queues["backgroundTask"].jobs = 12_345
    await browser.open(f"{stage.url}/#/jobs")
    await browser.until(lambda driver: "Smart search" in driver.execute_script(TEXT, "#queues"))
    assert "12.3K waiting" in (await browser.run(TEXT, "#queues")).replace("\n", " ")
    await browser.until_run(PRESS, "Smart search", "Pause")
    await browser.until(lambda _: immich.queues["smartSearch"].paused)
    await browser.until_run(PRESS, "Smart search", "Go on")
    await browser.until(lambda _: not immich.queues["smartSearch"].paused)
    await browser.until_run(PRESS, "Smart search", "Queue what is missing")
    await browser.until(lambda _: immich.queues["smartSearch"].started == 1)
    assert await browser.complaints() == []


async def test_what_failed_is_a_sentence_with_another_try(browser: Browser, connected: Connected) -> None:
    stage, immich = connected
    for _ in range(3):
        await fail(stage, "ocr")
    await browser.open(f"{stage.url}/#/jobs")
    await browser.until(lambda driver: "Text (OCR): 3 requests failed" in driver.execute_script(TEXT, "#trouble"))
    await browser.until_run(PRESS, "Text (OCR): 3 requests failed", "Queue what is missing")
    await browser.until(lambda _: immich.queues["ocr"].started == 1)


async def test_without_a_key_it_says_what_to_set_and_what_to_do_in_immich(browser: Browser, stage: AdminStage) -> None:
    await fail(stage, "ocr")
    await browser.open(f"{stage.url}/#/jobs")
    await browser.until(lambda driver: "ROUTER_HEALING__API_KEY" in driver.execute_script(TEXT, "#queues-problem"))
    await browser.until(lambda driver: "Immich keeps no failed job" in driver.execute_script(TEXT, "#trouble"))


async def test_what_immich_refuses_is_told(browser: Browser, connected: Connected) -> None:
    stage, immich = connected
    await browser.open(f"{stage.url}/#/jobs")
    await browser.until_run("return document.querySelector('.queue')")
    immich.keys.clear()
    await browser.until(lambda driver: "refuses the API key" in driver.execute_script(TEXT, "#queues-problem"))


async def test_hostile_names_of_queues_are_text(browser: Browser, connected: Connected) -> None:
    stage, immich = connected
    immich.queues = {HOSTILE: immich.queues["ocr"]}
    await browser.open(f"{stage.url}/#/jobs")
    await browser.until(lambda driver: HOSTILE in driver.execute_script(TEXT, "#queues"))
    assert await browser.run("return document.querySelectorAll('main img').length") == 0
