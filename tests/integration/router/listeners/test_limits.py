"""How much memory clients can make the router hold, and what each of their requests may ask for."""

import asyncio
import json
from pathlib import Path

import pytest
import yaml

from tests.doubles.router import Front, front, quiet_listeners
from tests.doubles.services import Services
from tests.integration.router.listeners.test_listener import CLIP, connect, status
from tests.integration.router.test_process import line_with, loopback, start
from tests.waiting import PATIENCE_SECONDS, until

VALUES = Path(__file__).parents[4] / "helm" / "immich-mesh" / "values.yaml"
MIB = 1024 * 1024
PART = b'--X\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
END = (
    b'\r\n--X\r\nContent-Disposition: form-data; name="entries"\r\n\r\n'
    b'{"ocr":{"detection":{"modelName":"x"},"recognition":{"modelName":"x"}}}\r\n--X--\r\n'
)


def head(length: int) -> bytes:
    return (
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=X\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    )


def peak_bytes(pid: int) -> int:
    """The most memory that the process has held so far."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("whole", [False, True])
async def test_sixteen_large_bodies_stay_within_the_charts_memory(whole: bool) -> None:
    """Half sent, or sent and held because no service is there: none may cost the pod its life."""
    limit = yaml.safe_load(VALUES.read_text("utf-8"))["router"]["resources"]["limits"]["memory"]
    assert limit == "1Gi"
    environment, port = loopback()
    nobody = dict.fromkeys(("ROUTER_OCR_ENDPOINTS", "ROUTER_CLIP_ENDPOINTS", "ROUTER_FACE_ENDPOINTS"), "127.0.0.1:9")
    process = await start(environment | nobody)
    writers: list[asyncio.StreamWriter] = []
    try:
        await line_with(process, "listening")
        photo = bytes(MIB)

        async def send() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(writer)
            writer.write(head(len(PART) + 61 * MIB + len(END)) + PART)
            try:
                for _ in range(61 if whole else 60):
                    writer.write(photo)
                    await writer.drain()
                if whole:
                    writer.write(END)
            except ConnectionError:
                return  # refused

        sending = [asyncio.create_task(send()) for _ in range(16)]
        # Those for whom there is no room are held back by TCP, so not everybody comes to an end.
        await asyncio.wait(sending, timeout=20)
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        assert 200 * MIB < peak_bytes(process.pid) < 1024 * MIB
        for writer in writers:
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await asyncio.wait_for(status(reader), PATIENCE_SECONDS) == 200
        writer.close()
    finally:
        process.kill()
        await process.communicate()


async def test_a_small_photo_passes_half_sent_large_ones(services: Services) -> None:
    rules = quiet_listeners(max_body_bytes=200_000, max_buffered_bytes=200_000)
    async with front(services, listeners=rules) as stage:
        reader, writer = await connect(stage)
        writer.write(head(199_000) + PART + bytes(190_000))
        metric = stage.router.metrics.in_flight.labels("immich_ml")
        await until(lambda: metric._value.get() == 1)
        assert (await stage.predict(CLIP, bytes(20_000)))[0] == 200
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_SECONDS)
        assert b" 503 " in answer
        assert b"retry-after: 5" in answer.lower()
        writer.close()
        assert (await stage.predict(CLIP, bytes(150_000)))[0] == 200  # nothing of it is still counted


@pytest.mark.parametrize(
    ("entries", "text", "code"),
    [
        ('{"clip":{"textual":{"modelName":"ViT-B-32__openai"}}}', "x" * 20_000, "body_too_large"),
        (json.dumps({f"task{n}": {"x": {"modelName": "m"}} for n in range(17)}), "x", "invalid_entries"),
    ],
)
async def test_what_one_request_may_ask_for(stage: Front, entries: str, text: str, code: str) -> None:
    _, body = await stage.predict(entries, None, text)
    assert body["error"]["code"] == code
    assert stage.services.calls == []


async def test_an_url_encoded_body_is_refused_before_it_is_there(stage: Front) -> None:
    reader, writer = await connect(stage)
    writer.write(
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 60000000\r\n\r\n" + b"a=b&" * 100_000
    )
    assert await asyncio.wait_for(status(reader), PATIENCE_SECONDS) == 413
    writer.close()
