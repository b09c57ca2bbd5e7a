"""A video's text from several of its pictures: from the command through the front door to what is written."""

import io
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from mesh.cli.clients.front_door_client import FrontDoorClient
from mesh.cli.commands.reprocess_run import CLIP, OCR, Journal, PhotoOutcome, reprocess
from mesh.core.errors import OverloadedError
from router.front_door.refresh import pictures
from router.front_door.refresh.joining import MAX_LINES, joined
from sql.refresh import OcrLine
from tests.builders.video import BLUE, GREEN, RED, video
from tests.doubles.front_door import OpenDoor
from tests.doubles.immich import DoubleAsset, DoubleKey, DoubleUser

KEY = {"x-api-key": "alice-key"}
BOX = (0.1, 0.1, 0.6, 0.1, 0.6, 0.2, 0.1, 0.2)


def line(text: str, score: float = 0.9) -> OcrLine:
    return OcrLine(text, BOX, 0.9, score)


def texts(*found: list[str]) -> list[str]:
    return [one.text for one in joined([[line(text) for text in lines] for lines in found])]


def test_each_line_once_in_the_order_of_first_sight() -> None:
    assert texts(["Intro", "第一章"], ["第二章", "INTRO"], [], ["Ende", "第一章 "]) == [
        "Intro",
        "第一章",
        "第二章",
        "Ende",
    ]


def test_a_line_that_was_read_with_a_mistake_is_no_other_line() -> None:
    lines = [[line("增值税电子普通发栗", 0.82)], [line("增值税电子普通发票", 0.97)], [line("增值税电于普通发票", 0.9)]]
    assert [(one.text, one.text_score) for one in joined(lines)] == [("增值税电子普通发票", 0.97)]


@pytest.mark.parametrize(
    "different", [("Invoice 1001", "Invoice 1002"), ("第1章 开场白", "第2章 开场白"), ("是", "否"), ("10:20", "10:26")]
)
def test_lines_that_differ_in_a_number_or_are_short_are_different(different: tuple[str, str]) -> None:
    assert texts(*[[one] for one in different]) == list(different)


def test_a_hostile_video_gives_no_more_lines_than_a_photo() -> None:
    assert len(texts(*[[f"{picture}.{number}" for number in range(400)] for picture in range(4)])) == MAX_LINES


def says(image: bytes) -> tuple[str, ...]:
    """The preview of the double is no image; a picture says which of its colours is strongest."""
    if image == b"\xff\xd8preview":
        return ("Titel",)
    seen = Image.open(io.BytesIO(image)).getpixel((8, 8))
    assert isinstance(seen, tuple)
    return ("Titel", ("Szene rot", "Szene grün", "Szene blau")[seen.index(max(seen))])


@pytest.fixture
def clip(door: OpenDoor, alice: DoubleUser) -> DoubleAsset:
    assert door.mesh is not None
    door.mesh.says = says
    return door.immich.photo(alice, type="VIDEO", name="clip.mp4", video=video([RED, GREEN, BLUE]))


async def run(door: OpenDoor, tmp_path: Path, *assets: DoubleAsset, frames: int = 3) -> list[PhotoOutcome]:
    work = {str(asset.id): frozenset({OCR, CLIP}) for asset in assets}
    async with FrontDoorClient(door.url, "alice-key") as client:
        report = await reprocess(client, work, Journal(tmp_path / "journal"), concurrency=1, video_frames=frames)
    return report.outcomes


async def test_the_whole_way(door: OpenDoor, clip: DoubleAsset, alice: DoubleUser, tmp_path: Path) -> None:
    photo = door.immich.photo(alice)
    [of_video, of_photo] = await run(door, tmp_path, clip, photo)
    assert of_video == PhotoOutcome(
        str(clip.id), (), ("Titel", "Szene rot", "Szene grün", "Szene blau"), clip=True, name="clip.mp4"
    )
    assert of_photo.after == ("Titel",)
    assert door.refresh is not None
    assert [written.text for written in door.refresh.texts[clip.id]] == list(of_video.after or ())
    assert door.registry.get_sample_value("immich_mesh_photos_refreshes_total", {"outcome": "ok"}) == 3


async def test_off_by_default(door: OpenDoor, clip: DoubleAsset, tmp_path: Path) -> None:
    [outcome] = await run(door, tmp_path, clip, frames=0)
    assert outcome.after == ("Titel",)
    assert not [path for path in door.immich.paths() if path.endswith("playback")]


async def test_a_video_that_cannot_be_decoded_is_reported_and_stays(
    door: OpenDoor, clip: DoubleAsset, tmp_path: Path
) -> None:
    clip.video = b"no video"
    [outcome] = await run(door, tmp_path, clip)
    assert "cannot be decoded" in outcome.error
    assert door.refresh is not None
    assert door.refresh.texts == {}


async def test_a_busy_mesh_changes_nothing(door: OpenDoor, clip: DoubleAsset) -> None:
    assert door.mesh is not None
    assert door.refresh is not None
    door.mesh.error = OverloadedError("full", 7)
    status, told = await post(door, clip, picture())
    assert (status, told["message"]) == (503, "full")
    assert door.refresh.texts == {}


def picture(data: bytes = b"\xff\xd8preview") -> bytes:
    return len(data).to_bytes(4, "big") + data


async def post(
    door: OpenDoor, clip: DoubleAsset, body: bytes, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str]]:
    query = {"assetId": str(clip.id)}
    url = f"{door.url}/mesh/refresh/video"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, params=query, data=body, headers=headers or KEY) as reply,
    ):
        return reply.status, await reply.json()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (picture()[:-1], "broke off"),
        (b"\0\0", "broke off"),
        (b"\xff\xff\xff\xff", "larger than 8 MB"),
        (picture(b""), "empty"),
        (picture() * (pictures.MAX_PICTURES + 1), "more than 32"),
    ],
)
async def test_a_broken_call_changes_nothing(door: OpenDoor, clip: DoubleAsset, body: bytes, told: str) -> None:
    assert door.refresh is not None
    status, answer = await post(door, clip, body)
    assert status == 400
    assert told in answer["message"]
    assert door.refresh.texts == {}


async def test_only_owners_with_a_key_refresh(door: OpenDoor, clip: DoubleAsset) -> None:
    door.immich.keys["bob-key"] = DoubleKey(door.immich.user("bob"))
    door.immich.keys["weak"] = DoubleKey(DoubleUser("alice", clip.owner), frozenset({"user.read", "asset.read"}))
    assert (await post(door, clip, picture(), {"x-api-key": "bob-key"}))[0] == 400
    assert (await post(door, clip, picture(), {"x-api-key": "weak"}))[0] == 403
    # What another site's form could send with the browser's cookie.
    assert (await post(door, clip, picture(), {"Cookie": "immich_access_token=alice"}))[0] == 415
    assert door.mesh is not None
    assert door.mesh.asked == []
