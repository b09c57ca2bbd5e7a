"""The recorded requests of a real Immich, replayed byte for byte; the replies read as Immich reads them."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from bench.chaos import answers
from router.dispatch.wire.forms import parse_form
from tests.contract.recorded import PREDICTIONS, RecordedRequest, recorded
from tests.doubles.router import front
from tests.doubles.services import running_services


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with running_services() as services, front(services) as stage:
        yield stage.port


async def replay(port: int, *requests: RecordedRequest) -> list[tuple[str, dict[str, str], bytes]]:
    """Sends the bytes on one connection, one request after the other: status line, headers and body of each reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    replies = []
    for request in requests:
        writer.write(request.raw)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines)}
        replies.append((status, headers, await reader.readexactly(int(headers["content-length"]))))
    writer.close()
    return replies


def payload(request: RecordedRequest) -> bytes:
    form = parse_form(request.body, request.header("content-type"))
    return (form.get("image") or form["text"]).data


async def test_ping(port: int) -> None:
    ((status, headers, body),) = await replay(port, recorded("ping"))
    assert (status, body) == ("HTTP/1.1 200 OK", b"pong")
    assert headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("name", PREDICTIONS)
async def test_every_recorded_request_gets_its_answer(port: int, name: str) -> None:
    request = recorded(name)
    ((status, headers, body),) = await replay(port, request)
    assert status == "HTTP/1.1 200 OK"
    assert headers["content-type"] == "application/json"
    task = "facial-recognition" if "facial" in name else name.split("-")[1]
    assert answers.is_right(task, payload(request), body)
    reply = json.loads(body)
    assert ("imageWidth" in reply, "imageHeight" in reply) == (("textual" not in name),) * 2
    if "textual" not in name:
        assert (reply["imageWidth"], reply["imageHeight"]) == (answers.WIDTH, answers.HEIGHT)


async def test_one_connection_serves_them_all(port: int) -> None:
    replies = await replay(port, *(recorded(name) for name in ("ping", *PREDICTIONS, "ping")))
    assert {status for status, _, _ in replies} == {"HTTP/1.1 200 OK"}
    assert all(headers.get("connection", "keep-alive") == "keep-alive" for _, headers, _ in replies)


async def test_immichs_schema_of_the_replies(port: int) -> None:
    """The types that Immich's server declares for each reply, and what its database takes."""
    clip, faces, ocr = [
        json.loads(body)
        for _, _, body in await replay(
            port, *(recorded(f"predict-{name}") for name in ("clip-visual", "facial-recognition", "ocr"))
        )
    ]
    assert isinstance(clip["clip"], str)
    assert all(isinstance(number, float) for number in json.loads(clip["clip"]))
    for face in faces["facial-recognition"]:
        assert set(face) == {"boundingBox", "embedding", "score"}
        assert set(face["boundingBox"]) == {"x1", "y1", "x2", "y2"}
        assert all(float(value).is_integer() for value in face["boundingBox"].values())
        assert isinstance(face["embedding"], str)
    assert set(ocr["ocr"]) == {"text", "box", "boxScore", "textScore"}
    assert len(ocr["ocr"]["box"]) == 8 * len(ocr["ocr"]["text"])
    assert all(0 <= number <= 1 for number in ocr["ocr"]["box"])
