"""Pictures of videos: which are taken, which way up, and what a hostile video can cost."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image

from mesh.cli.output.outcome import CommandError
from mesh.cli.video import decoder, frames
from mesh.cli.video.decoder import UnreadableError, pictures
from mesh.cli.video.frames import DecodeOrder, VideoError, decoded, demand_decoder
from mesh.cli.video.ranged_file import BLOCK_BYTES, RangedFile, StreamError
from tests.builders.video import BLUE, GREEN, GREY, RED, Colour, turned, video
from tests.doubles.immich import DoubleAsset, ImmichDouble
from tests.waiting import until

NEAR = 30
"""How far a colour may be from what was drawn, after a video's and a photo's compression."""


def image(picture: bytes) -> Image.Image:
    return Image.open(io.BytesIO(picture)).convert("RGB")


def colour(picture: bytes, at: tuple[int, int] = (8, 8)) -> Colour:
    """Which of the builder's colours a picture has at a place."""
    seen = image(picture).getpixel(at)
    assert isinstance(seen, tuple)
    [found] = [
        one for one in (RED, GREEN, BLUE, GREY) if max(abs(a - b) for a, b in zip(one, seen, strict=True)) < NEAR
    ]
    return found


def taken(data: bytes, count: int) -> list[bytes]:
    return list(pictures(io.BytesIO(data), count))


def test_pictures_are_spread_over_the_video() -> None:
    assert [colour(one) for one in taken(video([RED, GREEN, BLUE]), 3)] == [RED, GREEN, BLUE]
    assert [colour(one) for one in taken(video([RED, GREEN, BLUE]), 1)] == [GREEN]


def test_a_video_that_does_not_say_its_length() -> None:
    found = [colour(one) for one in taken(video([RED, GREEN, BLUE], container="webm"), 3)]
    assert found[:2] == [RED, BLUE]


def test_more_pictures_are_asked_for_than_there_are() -> None:
    found = taken(video([RED], size=(32, 32)), 32)
    assert 1 <= len(found) <= 10


def test_a_phone_held_upright() -> None:
    """Its sensor lies on its side: what is left there is at the top."""
    [picture] = taken(turned(video([RED], right=GREEN)), 1)
    assert image(picture).size == (64, 96)
    assert [colour(picture, (32, row)) for row in (10, 85)] == [RED, GREEN]


def test_pictures_are_no_larger_than_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "SHORT_SIDE", 32)
    assert image(taken(video([RED]), 1)[0]).size == (48, 32)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://%s\n#EXT-X-ENDLIST\n"


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(video([RED]))
    for hostile in (PLAYLIST % bytes(secret), b"ffconcat version 1.0\nfile %s\n" % bytes(secret)):
        with pytest.raises(UnreadableError):
            taken(hostile, 1)


@pytest.mark.parametrize("data", [b"", bytes(4096), b"\xff\xd8preview", video([RED])[:900]])
def test_what_is_no_video_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        taken(data, 2)


def test_what_was_decoded_before_the_damage_is_kept() -> None:
    whole = video([RED, GREEN, BLUE], seconds=4)
    start = whole.index(b"mdat") + 4
    middle = (start + whole.index(b"moov")) // 2
    damaged = whole[:middle] + bytes(whole.index(b"moov") - middle) + whole[whole.index(b"moov") :]
    assert colour(taken(damaged, 3)[0]) == RED


def test_pictures_larger_than_8k_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "MAX_PIXELS", 95 * 64)
    with pytest.raises(UnreadableError):
        taken(video([RED]), 1)


def ranges(data: bytes, asked: list[str]) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["Range"])
        first, last = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
        piece = data[first : last + 1]
        span = f"bytes {first}-{first + len(piece) - 1}/{len(data)}"
        return httpx.Response(206, content=piece, headers={"Content-Range": span})

    return httpx.Client(transport=httpx.MockTransport(answer))


def test_only_what_is_needed_of_a_long_file_is_fetched() -> None:
    data, asked = bytes(range(256)) * (40 * BLOCK_BYTES // 256), list[str]()
    file = RangedFile(ranges(data, asked), "http://immich/video", max_bytes=1 << 30)
    assert file.seek(-10, io.SEEK_END) == len(data) - 10
    assert file.read(100) == data[-10:]
    assert file.read(1) == b""
    file.seek(20)
    assert (file.read(5), file.tell()) == (data[20:25], 25)
    assert len(asked) == 2


def test_a_file_that_leads_in_circles_ends() -> None:
    file = RangedFile(ranges(bytes(40 * BLOCK_BYTES), []), "http://immich/video", max_bytes=20 * BLOCK_BYTES)
    for number in range(1, 20):
        file.seek(BLOCK_BYTES * number)
        file.read(1)
    file.seek(0)
    with pytest.raises(StreamError, match="too much"):
        file.read(1)


def test_a_hiccup_is_waited_for_and_a_refusal_is_final() -> None:
    good = httpx.Response(206, content=b"ab", headers={"Content-Range": "bytes 0-1/2"})
    replies: list[httpx.Response | Exception] = [httpx.Response(503), httpx.ConnectError("gone"), good]
    waits: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    client = httpx.Client(transport=httpx.MockTransport(answer))
    assert RangedFile(client, "http://immich", max_bytes=9, sleep=waits.append).read() == b"ab"
    assert waits == [1.0, 2.0]
    replies += [httpx.Response(403)]
    with pytest.raises(StreamError, match="403"):
        RangedFile(client, "http://immich", max_bytes=9, sleep=waits.append)
    replies += [httpx.Response(200, content=b"all of it")]
    with pytest.raises(StreamError, match="does not answer parts"):
        RangedFile(client, "http://immich", max_bytes=9, sleep=waits.append)
    assert waits == [1.0, 2.0]


@pytest.fixture
async def immich() -> AsyncIterator[ImmichDouble]:
    double = ImmichDouble()
    async with double.running():
        yield double


@pytest.fixture
def clip(immich: ImmichDouble) -> DoubleAsset:
    return immich.photo(immich.user("alice", "alice-key"), type="VIDEO", video=video([RED, GREEN]))


def order(immich: ImmichDouble, clip: DoubleAsset, key: str = "alice-key", **more: float) -> DecodeOrder:
    url = f"{immich.url}/api/assets/{clip.id}/video/playback"
    return DecodeOrder(url, 2, {"x-api-key": key}, trust_env=False, **more)  # type: ignore[arg-type]


async def test_a_process_of_its_own_reads_the_stream(immich: ImmichDouble, clip: DoubleAsset) -> None:
    assert [colour(one) for one in await decoded(order(immich, clip))] == [RED, GREEN]
    with pytest.raises(VideoError, match="401"):
        await decoded(order(immich, clip, "wrong"))


async def test_a_video_takes_no_more_memory_than_it_may(immich: ImmichDouble, clip: DoubleAsset) -> None:
    clip.video = video([GREY], size=(4096, 2304))
    assert await decoded(order(immich, clip))
    with pytest.raises(VideoError):
        await decoded(order(immich, clip, memory_bytes=250 << 20))


async def test_a_video_takes_no_longer_than_it_may(immich: ImmichDouble, clip: DoubleAsset) -> None:
    immich.silent.add(f"/api/assets/{clip.id}/video/playback")
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(VideoError, match=r"longer than 0\.5 s"):
        await decoded(order(immich, clip, wall_seconds=0.5))
    assert {child.pid for child in psutil.Process().children()} == before


async def test_an_interrupted_run_leaves_no_process(immich: ImmichDouble, clip: DoubleAsset) -> None:
    immich.silent.add(f"/api/assets/{clip.id}/video/playback")
    before = {child.pid for child in psutil.Process().children()}
    running = asyncio.create_task(decoded(order(immich, clip)))
    await until(lambda: immich.calls)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert {child.pid for child in psutil.Process().children()} == before


def test_without_the_library_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "find_spec", lambda name: None)
    with pytest.raises(CommandError, match="extra `video`"):
        demand_decoder()
