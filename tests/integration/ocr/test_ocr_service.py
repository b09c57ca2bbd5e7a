"""The OCR service by a client: options, odd photos, refusals."""

import asyncio
import unicodedata

import cv2
import grpc
import numpy as np
import pytest
from immich_mesh.ocr.v1 import ocr_pb2

from mesh.core import stages
from mesh.core.rpc.status import find
from tests.integration.ocr.conftest import DEFAULT_MODEL, OcrCaller, labelled
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")


def png(pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def printed(text: str, rows: int, columns: int, scale: float = 2.0) -> bytes:
    """A photo with a line of Latin text in OpenCV's own letters."""
    page = np.full((rows, columns, 3), 245, np.uint8)
    cv2.putText(
        page, text, (20, rows // 2), cv2.FONT_HERSHEY_DUPLEX, scale, (20, 20, 20), max(1, round(scale)), cv2.LINE_AA
    )
    return png(page)


def texts(reply: ocr_pb2.RecognizeResponse) -> list[str]:
    return [line.text for line in reply.lines]


async def test_reply_says_size_and_model(ocr: OcrCaller) -> None:
    reply = await ocr.read(printed("Invoice 2024", 400, 900))
    assert texts(reply) == ["Invoice 2024"]
    assert (reply.image_width, reply.image_height, reply.model_name) == (900, 400, DEFAULT_MODEL)


async def test_stages_are_told_to_whoever_asks(ocr: OcrCaller) -> None:
    request = ocr_pb2.RecognizeRequest(image=printed("Invoice 2024", 400, 900))
    call = ocr.stub.Recognize(request, timeout=PATIENCE_SECONDS, metadata=((stages.ASK, "1"),))
    await call
    told = stages.parsed(find(await call.trailing_metadata(), stages.TOLD))
    assert {"decode", "detection", "recognition", "other"} <= told.keys()
    assert all(told[stage] > 0 for stage in ("decode", "detection", "recognition"))
    unasked = ocr.stub.Recognize(request, timeout=PATIENCE_SECONDS)
    await unasked
    assert find(await unasked.trailing_metadata(), stages.TOLD) == ""


async def test_another_model_by_name_and_alias(ocr: OcrCaller) -> None:
    photo = printed("Invoice 2024", 400, 900)
    for name in ("PP-OCRv4_mobile", "PP-OCRv4"):
        reply = await ocr.read(photo, model_name=name)
        assert texts(reply) == ["Invoice 2024"]
        assert reply.model_name == "PP-OCRv4_mobile"


async def test_min_scores_drop_lines(ocr: OcrCaller) -> None:
    photo, _ = labelled("small.jpg")
    everything = await ocr.read(photo, min_detection_score=0.0, min_recognition_score=0.0)
    boxes = sorted(line.detection_score for line in everything.lines)
    readings = sorted(line.recognition_score for line in everything.lines)
    by_box = await ocr.read(photo, min_detection_score=boxes[-2], min_recognition_score=0.0)
    # A line that is too faint at first may be certain when it is looked at closer.
    assert 2 <= len(by_box.lines) < len(everything.lines)
    assert min(line.detection_score for line in by_box.lines) >= boxes[-2]
    by_text = await ocr.read(photo, min_detection_score=0.0, min_recognition_score=(readings[0] + readings[1]) / 2)
    assert 0 < len(by_text.lines) < len(everything.lines)
    assert not (await ocr.read(photo, min_detection_score=1.0)).lines


async def test_max_resolution_caps_the_first_look(ocr: OcrCaller) -> None:
    photo, truth = labelled("small.jpg")
    assert len((await ocr.read(photo, max_resolution=736)).lines) == len(truth)
    assert len((await ocr.read(photo, max_resolution=32)).lines) < len(truth)


@pytest.mark.parametrize("language", ["zh-CN", "en", "de-DE", "nonsense"])
async def test_a_language_is_a_hint(ocr: OcrCaller, language: str) -> None:
    photo, truth = labelled("small.jpg")
    assert texts(await ocr.read(photo, language=language)) == [line.text for line in truth]


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(1, 1), (1, 4000), (4000, 1), (7, 9), (31, 31), (33, 500), (300, 400), (1200, 6000), (640, 480)],
)
@pytest.mark.parametrize("grey", [0, 255])
async def test_photos_of_any_shape_without_text_are_empty(ocr: OcrCaller, rows: int, columns: int, grey: int) -> None:
    reply = await ocr.read(png(np.full((rows, columns, 3), grey, np.uint8)))
    assert (reply.image_width, reply.image_height) == (columns, rows)
    assert not reply.lines


@pytest.mark.parametrize(("rows", "columns"), [(60, 460), (300, 460), (1200, 6000), (1500, 500)])
async def test_text_in_photos_of_any_shape(ocr: OcrCaller, rows: int, columns: int) -> None:
    reply = await ocr.read(printed("Hello photos", rows, columns, 1.6))
    assert texts(reply) == ["Hello photos"]


async def test_noise_gives_no_blank_text_and_no_control_characters(ocr: OcrCaller) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (500, 700, 3), np.uint8)
    reply = await ocr.read(png(noise), min_detection_score=0.0, min_recognition_score=0.0)
    for text in texts(reply):
        assert text == text.strip() != ""
        assert not any(unicodedata.category(character) == "Cc" for character in text)


async def test_boxes_lie_within_the_photo(ocr: OcrCaller) -> None:
    page = np.full((200, 500, 3), 255, np.uint8)
    cv2.putText(page, "cut off at the edges", (-20, 28), cv2.FONT_HERSHEY_DUPLEX, 1.6, (0, 0, 0), 3, cv2.LINE_AA)
    reply = await ocr.read(png(page), min_recognition_score=0.0)
    assert reply.lines
    for line in reply.lines:
        for corner in (line.box.top_left, line.box.top_right, line.box.bottom_right, line.box.bottom_left):
            assert 0 <= corner.x <= 500
            assert 0 <= corner.y <= 200


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"image": b""}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"image": b"not an image"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"min_detection_score": 7.0}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"min_recognition_score": -0.1}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"min_recognition_score": float("nan")}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"max_resolution": 31}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"model_name": "../../etc/passwd"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"model_name": "PP-OCRv9"}, grpc.StatusCode.NOT_FOUND),
    ],
)
async def test_refusals(ocr: OcrCaller, fields: dict[str, object], code: grpc.StatusCode) -> None:
    image = printed("still here", 200, 500)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await ocr.read(**({"image": image} | fields))  # type: ignore[arg-type]
    assert refusal.value.code() is code
    assert refusal.value.details()
    assert texts(await ocr.read(image)) == ["still here"]


async def test_options_of_calls_side_by_side_do_not_mix(ocr: OcrCaller) -> None:
    photo, truth = labelled("small.jpg")
    calls = [ocr.read(photo, min_detection_score=score) for score in (0.5, 1.0) * 8]
    counts = [len(reply.lines) for reply in await asyncio.gather(*calls)]
    assert counts == [len(truth), 0] * 8
