"""Replies, as Immich's parsers and database want them."""

import json
import math
from typing import Any

import orjson

from router.dispatch.wire.assemble import assemble
from router.domain.results import (
    ClipImageResult,
    ClipTextResult,
    Face,
    FaceResult,
    NativeResult,
    OcrResult,
    Result,
    TextLine,
)
from router.domain.tasks import ClipTextual, ClipVisual, FaceRecognition, OcrDialect, Task, TextRecognition

VECTOR = [0.6000000238418579, -0.800000011920929]
LINE = TextLine("发票", (10, 20, 110, 20, 110, 60, 10, 60.5), 0.9, 0.8765)
OCR = OcrResult([LINE], 200, 100, "m")


def reply(task: Task, result: Result) -> Any:
    return json.loads(assemble([task], [result]))


def test_clip_is_a_string_that_holds_an_array() -> None:
    assert reply(ClipTextual("m"), ClipTextResult(VECTOR, "m")) == {"clip": json.dumps(VECTOR, separators=(",", ":"))}
    found = reply(ClipVisual("m"), ClipImageResult(VECTOR, 800, 600, "m"))
    assert json.loads(found["clip"]) == VECTOR
    assert (found["imageWidth"], found["imageHeight"]) == (800, 600)


def test_faces_have_whole_numbers_and_vectors_in_strings() -> None:
    found = reply(FaceRecognition("m"), FaceResult([Face(1, 2, 30, 40, 0.5, VECTOR)], 800, 600, "m"))
    (face,) = found["facial-recognition"]
    assert face["boundingBox"] == {"x1": 1, "y1": 2, "x2": 30, "y2": 40}
    assert all(isinstance(value, int) for value in face["boundingBox"].values())
    assert json.loads(face["embedding"]) == VECTOR
    assert face["score"] == 0.5


def test_ocr_is_four_aligned_lists_with_normalised_boxes() -> None:
    found = reply(TextRecognition("m"), OCR)
    assert found["ocr"]["text"] == ["发票"]
    assert found["ocr"]["box"] == [0.05, 0.2, 0.55, 0.2, 0.55, 0.6, 0.05, 0.605]
    assert (found["ocr"]["boxScore"], found["ocr"]["textScore"]) == ([0.9], [0.8765])
    assert (found["imageWidth"], found["imageHeight"]) == (200, 100)


def test_boxes_stay_within_the_photo() -> None:
    line = TextLine("x", (-0.5, -0.5, 200.5, 0, 200.5, 100.5, 0, 100), 0.9, 0.9)
    box = reply(TextRecognition("m"), OcrResult([line], 200, 100, "m"))["ocr"]["box"]
    assert (min(box), max(box)) == (0.0, 1.0)


def test_a_photo_without_anything_gives_empty_lists() -> None:
    empty: dict[str, Any] = {"text": [], "box": [], "boxScore": [], "textScore": []}
    assert reply(TextRecognition("m"), OcrResult([], 2, 3, "m")) == {"ocr": empty, "imageWidth": 2, "imageHeight": 3}
    found = reply(FaceRecognition("m"), FaceResult([], 2, 3, "m"))
    assert found == {"facial-recognition": [], "imageWidth": 2, "imageHeight": 3}


def test_the_seed_dialect_gives_corners_in_pixels() -> None:
    found = reply(TextRecognition("ocr", dialect=OcrDialect.JOINED), OCR)
    assert found["ocr"] == "发票"
    assert found["result"] == {
        "texts": ["发票"],
        "scores": ["0.88"],
        "boxes": [{"x1": 10, "y1": 20, "x2": 110, "y2": 60.5}],
    }
    assert (found["imageWidth"], found["imageHeight"]) == (200, 100)


def test_several_tasks_are_one_object() -> None:
    found = json.loads(
        assemble(
            [ClipVisual("m"), TextRecognition("m"), FaceRecognition("m")],
            [ClipImageResult(VECTOR, 200, 100, "m"), OCR, FaceResult([], 200, 100, "m")],
        )
    )
    assert set(found) == {"clip", "ocr", "facial-recognition", "imageWidth", "imageHeight"}


def test_a_native_answer_alone_is_passed_on_byte_for_byte_and_merged_with_others() -> None:
    body = b'{ "facial-recognition": [],  "imageWidth": 5, "imageHeight": 6 }'
    native = NativeResult(body, "application/json", orjson.loads(body))
    assert assemble([FaceRecognition("m")], [native]) == body
    merged = json.loads(assemble([FaceRecognition("m"), ClipTextual("m")], [native, ClipTextResult(VECTOR, "m")]))
    assert set(merged) == {"facial-recognition", "clip", "imageWidth", "imageHeight"}


def test_single_precision_survives_the_string() -> None:
    import struct

    values = [struct.unpack("f", struct.pack("f", math.sin(number)))[0] for number in range(64)]
    found = json.loads(reply(ClipTextual("m"), ClipTextResult(values, "m"))["clip"])
    assert found == values
