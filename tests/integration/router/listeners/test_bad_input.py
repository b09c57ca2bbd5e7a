"""What bad input gets: its status and message, a healthy process after, and no harm to anyone else's request."""

import asyncio
import io
import json
import resource
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mesh.core.errors import (
    DimensionMismatchError,
    InvalidInputError,
    MeshError,
    ModelNotFoundError,
)
from tests.doubles.router import Front
from tests.doubles.services import raising

CLIP = '{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}'
TEXT = '{"clip":{"textual":{"modelName":"ViT-B-32__openai","options":{}}}}'
FACE = (
    '{"facial-recognition":{"detection":{"modelName":"buffalo_l","options":{"minScore":%s}},'
    '"recognition":{"modelName":"buffalo_l"}}}'
)


@pytest.mark.parametrize(
    ("entries", "image", "text", "status", "code", "message"),
    [
        ("not json", b"x", None, 422, "invalid_entries", "not JSON"),
        ("[]", b"x", None, 422, "invalid_entries", "must be a JSON object"),
        ('{"clip":"x"}', b"x", None, 422, "invalid_entries", "entries.clip"),
        ('{"pose":{"x":{"modelName":"m"}}}', b"x", None, 422, "invalid_entries", "nobody serves this task"),
        ('{"clip":{"audio":{"modelName":"m"}}}', b"x", None, 422, "invalid_entries", "nobody serves this task"),
        (TEXT, None, None, 400, "invalid_input", "'image' or 'text'"),
        (TEXT, b"x", None, 400, "invalid_input", "needs the part 'text'"),
        (CLIP, None, "dog", 400, "invalid_input", "needs the part 'image'"),
        (CLIP, b"", None, 400, "invalid_input", "'image' is empty"),
        (TEXT, None, "", 400, "invalid_input", "'text' is empty"),
        (FACE % '"abc"', b"x", None, 422, "invalid_entries", "minScore"),
        (FACE % "7", b"x", None, 422, "invalid_entries", "minScore"),
        (CLIP.replace("ViT-B-32__openai", "../../etc/passwd"), b"x", None, 422, "invalid_entries", "model name"),
        (CLIP.replace("ViT-B-32__openai", "ViT-L-14__openai"), b"x", None, 422, "dimension_mismatch", "choose one of"),
    ],
)
async def test_the_router_refuses_it(
    stage: Front, entries: str, image: bytes | None, text: str | None, status: int, code: str, message: str
) -> None:
    found, body = await stage.predict(entries, image, text)
    assert (found, body["error"]["code"]) == (status, code)
    assert message in body["error"]["message"]
    assert body["error"]["request_id"]
    assert stage.services.calls == []
    assert (await stage.predict(CLIP))[0] == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [(InvalidInputError, 400), (ModelNotFoundError, 404), (DimensionMismatchError, 422)],
)
async def test_a_service_refuses_it_once(stage: Front, error: type[MeshError], status: int) -> None:
    stage.services.behave = raising(error("this is no photo: send JPEG"))
    found, body = await stage.predict(CLIP)
    assert (found, body["error"]["code"]) == (status, error.word)
    assert body["error"]["message"] == "this is no photo: send JPEG"
    assert len(stage.services.calls) == 1


async def test_a_service_that_breaks_is_tried_twice_and_shows_nothing_of_itself(stage: Front) -> None:
    stage.services.behave = raising(MeshError("Traceback: secret"))
    found, body = await stage.predict(CLIP)
    assert (found, body["error"]["code"]) == (500, "internal")
    assert "secret" not in json.dumps(body)
    assert len(stage.services.calls) == 2


async def test_entries_missing(stage: Front) -> None:
    async with stage.client.post("/predict", data={"image": io.BytesIO(b"x")}) as reply:
        assert reply.status == 422
        assert "the part 'entries' is missing" in (await reply.json())["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"--x\r\n", b"\x00" * 100])
async def test_a_body_that_is_no_form(stage: Front, body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    async with stage.client.post("/predict", data=body, headers=headers) as reply:
        assert reply.status == 400
        assert (await reply.json())["error"]["code"] == "invalid_input"


async def test_json_instead_of_a_form(stage: Front) -> None:
    async with stage.client.post("/predict", json={"entries": {}}) as reply:
        assert reply.status == 400
        assert "multipart/form-data" in (await reply.json())["error"]["message"]


async def test_65_mib_are_refused_before_they_are_read(stage: Front) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    writer.write(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n")
    writer.write(b"Content-Length: %d\r\n\r\n" % (65 << 20))
    assert b" 413 " in await reader.readline()
    writer.close()


async def _chunks(total: int) -> Any:
    for _ in range(total // 65536):
        yield bytes(65536)


async def test_a_chunked_body_without_end_is_refused_and_leaves_no_memory(stage: Front) -> None:
    assert (await stage.predict(CLIP))[0] == 200
    before = _resident_bytes()
    for _ in range(3):
        headers = {"content-type": "multipart/form-data; boundary=x"}
        try:
            async with stage.client.post("/predict", data=_chunks(80 << 20), headers=headers) as reply:
                assert reply.status == 413
        except aiohttp.ClientError:
            pass  # the refusal came while the body was still being sent
    assert (await stage.predict(CLIP))[0] == 200
    assert _resident_bytes() - before < 100 << 20


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


async def test_bad_and_good_requests_side_by_side(stage: Front) -> None:
    bad = [stage.predict("{", b"x"), stage.predict(CLIP, b""), stage.predict(TEXT, b"x", None)] * 10
    good = [stage.predict(CLIP, b"photo %d" % number) for number in range(30)]
    statuses = [status for status, _ in await asyncio.gather(*good, *bad)]
    assert statuses == [200] * 30 + [422, 400, 400] * 10


async def test_other_paths_and_methods(stage: Front) -> None:
    for method, path, status in [("GET", "/predict", 405), ("POST", "/ping", 405), ("GET", "/nothing", 404)]:
        async with stage.client.request(method, path) as reply:
            assert reply.status == status
            assert "message" in (await reply.json())["error"]
    async with stage.client.get("/") as reply:
        assert await reply.json() == {"message": "Immich ML"}
