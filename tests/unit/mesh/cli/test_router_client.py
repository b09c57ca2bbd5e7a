"""What `call` sends to the router, and what it makes of the answers."""

import json
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import httpx
import pytest

from mesh.cli.clients.client import OcrOptions
from mesh.cli.clients.router_client import RouterClient
from mesh.cli.output.outcome import CommandError, ExitCode

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler) -> RouterClient:
    return RouterClient("http://127.0.0.1:3003/", 5.0, httpx.MockTransport(handler))


def payload(part: Any) -> bytes:
    """A part's bytes (typeshed knows the older message class alone)."""
    return bytes(part.get_payload(decode=True))


def parts(request: httpx.Request) -> dict[str, bytes]:
    """The multipart body's parts by name, read by the standard library."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + request.read())
    return {str(part.get_param("name", header="content-disposition")): payload(part) for part in message.iter_parts()}


def test_ocr_is_asked_as_immich_asks_and_boxes_come_back_in_pixels() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "http://127.0.0.1:3003/predict"
        sent = parts(request)
        assert sent["image"] == b"photo"
        assert json.loads(sent["entries"]) == {
            "ocr": {
                "detection": {"modelName": "PP-OCRv5_mobile", "options": {"minScore": 0.4, "maxResolution": 960}},
                "recognition": {"modelName": "PP-OCRv5_mobile", "options": {"minScore": 0.9}},
            }
        }
        box = [0.1, 0.2, 0.5, 0.2, 0.5, 0.4, 0.1, 0.4, *[0.0] * 8]
        ocr = {"text": ["发票", "b"], "box": box, "boxScore": [0.9, 0.8], "textScore": [0.99, 0.7]}
        return httpx.Response(200, json={"ocr": ocr, "imageWidth": 1000, "imageHeight": 500})

    found = client(answer).recognize(b"photo", OcrOptions(None, 0.4, 0.9, 960))
    assert (found.width, found.height) == (1000, 500)
    assert found.lines[0].text == "发票"
    assert found.lines[0].box == ((100.0, 100.0), (500.0, 100.0), (500.0, 200.0), (100.0, 200.0))
    assert (found.lines[0].detection_score, found.lines[0].recognition_score) == (0.9, 0.99)


def test_faces_and_vectors_are_unpacked_from_their_strings() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        entries = json.loads(parts(request)["entries"])
        if "clip" in entries:
            return httpx.Response(200, json={"clip": "[0.6,0.8]", "imageWidth": 4, "imageHeight": 2})
        face = {"boundingBox": {"x1": 1, "y1": 2, "x2": 3, "y2": 4}, "embedding": "[1.0,0.0]", "score": 0.7}
        return httpx.Response(200, json={"facial-recognition": [face], "imageWidth": 4, "imageHeight": 5})

    faces = client(answer).detect(b"photo", None, None)
    assert faces.faces[0].box == (1.0, 2.0, 3.0, 4.0)
    assert faces.faces[0].embedding == (1.0, 0.0)
    assert client(answer).encode_image(b"photo", None).embedding == (0.6, 0.8)


def test_a_sentence_goes_as_the_text_part_with_its_language() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        sent = parts(request)
        assert sent["text"].decode() == "一只狗"
        textual = json.loads(sent["entries"])["clip"]["textual"]
        assert textual == {"modelName": "ViT-B-32__openai", "options": {"language": "zh-CN"}}
        return httpx.Response(200, json={"clip": "[1.0]"})

    assert client(answer).encode_text("一只狗", None, "zh-CN").embedding == (1.0,)


ERROR = {"error": {"code": "INVALID_ARGUMENT", "message": "not an image:\n send a photo", "request_id": "r1"}}


@pytest.mark.parametrize(
    ("response", "code", "message"),
    [
        (httpx.Response(400, json=ERROR), ExitCode.REFUSED, "not an image: send a photo (HTTP 400, request r1)"),
        (httpx.Response(503, json=ERROR), ExitCode.UNREACHABLE, "(HTTP 503, request r1)"),
        (httpx.Response(500, json=ERROR), ExitCode.FAILED, "(HTTP 500, request r1)"),
        (httpx.Response(404, text="nginx"), ExitCode.REFUSED, "is it the router?"),
        (httpx.Response(200, text="<html>"), ExitCode.FAILED, "something other than JSON"),
    ],
)
def test_failures_are_one_line_with_their_exit_code(response: httpx.Response, code: ExitCode, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        client(lambda _: response).encode_image(b"photo", None)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (httpx.ConnectError("refused"), "cannot reach the router at http://127.0.0.1:3003 (refused): start it with"),
        (httpx.ReadTimeout("slow"), "no answer from http://127.0.0.1:3003 in time"),
    ],
)
def test_a_router_that_is_not_there_is_told_from_one_that_refuses(error: Exception, message: str) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(CommandError) as caught:
        client(fail).encode_image(b"photo", None)
    assert message in str(caught.value)
    assert caught.value.code is ExitCode.UNREACHABLE


@pytest.mark.parametrize("url", ["localhost:3003", "ftp://x", "http://"])
def test_an_address_that_is_none_is_wrong_usage(url: str) -> None:
    with pytest.raises(CommandError) as caught:
        RouterClient(url, 1.0)
    assert caught.value.code is ExitCode.USAGE
