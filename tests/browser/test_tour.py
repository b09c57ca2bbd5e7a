"""A way through all pages, as docs/tour.md shows it; `IMMICH_MESH_PICTURES=FOLDER` keeps its pictures."""

import base64
import io
import os
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from tests.browser.conftest import AdminStage, Album, Browser
from tests.browser.looks import mobile
from tests.browser.test_jobs import fail
from tests.doubles.immich import DoubleAsset, ImmichDouble

PICTURES = os.environ.get("IMMICH_MESH_PICTURES", "")
RECEIPTS = (
    ("Corner Bakery", "2 bread   7.80", "receipt 1042", "#e7dcc8"),
    ("Rail ticket", "Bern to Basel", "receipt 88", "#cfdde6"),
    ("Hotel du Lac", "1 night 120.00", "receipt 7", "#dfe6d2"),
    ("Bookshop", "3 books 41.50", "receipt 5511", "#e9d5d5"),
)


def receipt(lines: tuple[str, ...], colour: str) -> bytes:
    """A photo of a slip of paper; its lines stand where the doubles say that they do."""
    image = Image.new("RGB", (640, 480), colour)
    draw = ImageDraw.Draw(image)
    draw.rectangle((40, 24, 600, 460), fill="#fdfcf8", outline="#b8b2a4")
    font = ImageFont.load_default(40)
    for at, line in enumerate(lines):
        draw.text((74, 48 + 90 * at), line, fill="#26221c", font=font)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def photos(album: Album) -> list[DoubleAsset]:
    """Alice's receipts; the first line of each is the one that is found."""
    made = []
    for number, (first, second, third, colour) in enumerate(RECEIPTS):
        lines = (third, first, second)
        image = receipt(lines, colour)
        name = f"IMG_20240{number + 1}12.jpg"
        made.append(album.immich.photo(album.alice, third, name=name, preview=image))
    return made


async def picture(browser: Browser, name: str) -> None:
    """Keeps what is on screen, small."""
    if not PICTURES:
        return
    shot = base64.b64decode(await browser.do(lambda driver: driver.get_screenshot_as_base64()))
    Image.open(io.BytesIO(shot)).save(Path(PICTURES) / f"{name}.webp", quality=72, method=6)


async def test_everyones_tour(browser: Browser, album: Album) -> None:
    first, *_ = photos(album)
    album.door.mesh.lines = ("receipt 1042", "Corner Bakery")  # type: ignore[union-attr]
    await browser.command(
        "Emulation.setDeviceMetricsOverride", width=1000, height=620, deviceScaleFactor=1, mobile=False
    )
    await browser.open(f"{album.url}/mesh/#/search/ocr%3Areceipt")
    await browser.until_run(
        "return [...document.querySelectorAll('.tile img')].filter((i) => i.naturalWidth).length === 4"
    )
    await picture(browser, "search")
    await browser.open(f"{album.url}/mesh/#/photo/{first.id}")
    await browser.until_run(
        "return document.querySelector('.facts .text') && document.querySelector('img').naturalWidth"
    )
    await browser.run("document.querySelector('.buttons button').click()")
    await browser.until_run("return document.querySelector('.sides')")
    await picture(browser, "photo")
    refresh = album.door.refresh
    assert refresh is not None
    refresh.lost = {"ocr": list(album.immich.assets), "clip": [first.id]}
    await mobile(browser, 390)
    await browser.run("localStorage.setItem('immich-mesh-theme', 'dark')")
    await browser.open(f"{album.url}/mesh/?phone#/missing")
    await browser.until_run(
        "const start = document.querySelector('.primary:not([hidden])'); start?.click(); return start"
    )
    await browser.until_run("return document.querySelector('[role=status]').innerText.includes('done')")
    await browser.until_run("return document.querySelector('.counts strong').innerText === '0'")
    await picture(browser, "missing")


@pytest.fixture
def immich_urls() -> list[str]:
    return ["http://127.0.0.1:9"]


async def show_operators_pages(browser: Browser, stage: AdminStage, immich: ImmichDouble, photo: Path) -> None:
    """A mesh at work: Immich calls, and a queue is busy."""
    listener = stage.router.listener("immich_ml")
    async with stage.admin.get(f"http://{listener.address}/ping", headers={"User-Agent": "immich-server/3.0.3"}):
        pass
    listener.host = "192.0.2.10"
    urls = tuple(f"http://192.0.2.10:{port}" for port in (3003, 3004))
    settings = stage.router.status.settings
    ml = settings.listeners.immich_ml.model_copy(update={"urls": urls})
    listeners = settings.listeners.model_copy(update={"immich_ml": ml})
    stage.router.status.settings = settings.model_copy(update={"listeners": listeners})
    immich.queues["ocr"].jobs = 12_345
    await browser.open(stage.url)
    await browser.until_run("return document.querySelectorAll('.check').length > 8")
    await picture(browser, "admin")
    await browser.run("location.hash = '#/photo'")
    await browser.do(lambda driver: driver.find_element("id", "file").send_keys(str(photo)))
    await browser.until_run("return document.querySelectorAll('.timing li').length === 3")
    for phrase, vector in (("a receipt", (0.31, 0.95)), ("a train", (0.29, 0.96))):
        stage.service.text_vector = vector
        await browser.run(
            "document.querySelector('#sentence').value = arguments[0]; document.querySelector('#ask').requestSubmit()",
            phrase,
        )
        await browser.until_run("return document.querySelector('#fit').innerText.includes(arguments[0])", phrase)
    await picture(browser, "try")
    await browser.run("location.hash = '#/jobs'")
    await browser.until_run("return document.querySelector('.queue')")
    await picture(browser, "jobs")


async def test_the_operators_tour(browser: Browser, connected: tuple[AdminStage, ImmichDouble], tmp_path: Path) -> None:
    stage, immich = connected
    photo = tmp_path / "receipt.jpg"
    photo.write_bytes(receipt(("receipt 1042", "Corner Bakery", "2 bread   7.80"), "#e7dcc8"))
    await browser.command(
        "Emulation.setDeviceMetricsOverride", width=1000, height=760, deviceScaleFactor=1, mobile=False
    )
    for _ in range(3):
        await fail(stage, "ocr")
    await show_operators_pages(browser, stage, immich, photo)
    await mobile(browser, 360)
    await browser.run("localStorage.setItem('theme', 'dark'); location.reload()")
    await browser.until_run("return document.querySelector('#trouble button')?.offsetParent")
    await picture(browser, "jobs-phone")
