"""A way through all pages, as docs/tour.md shows it; `IMMICH_MESH_PICTURES=FOLDER` keeps its pictures."""

import base64
import io
import os
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from tests.browser.conftest import AdminStage, Album, Browser
from tests.browser.looks import mobile
from tests.doubles.immich import DoubleAsset

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


@pytest.mark.parametrize("width", [1000, 390])
async def test_the_operators_tour(browser: Browser, stage: AdminStage, width: int) -> None:
    async with stage.admin.get(f"http://{stage.router.listener('immich_ml').address}/ping"):
        pass
    await mobile(browser, width)
    await browser.open(stage.url)
    await browser.until_run("return document.querySelector('.check') && document.querySelector('#models tr')")
    await picture(browser, f"admin-{width}")
