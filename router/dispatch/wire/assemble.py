"""Answers in the words of Immich's machine-learning API, byte for byte what its parsers expect.

`clip` and a face's `embedding` are STRINGS that hold a JSON array; face boxes are whole numbers (Immich's database
takes nothing else); OCR boxes are eight numbers for each text, normalised to 0..1. Where recognition alone is asked for
the answer is in pixels, with upright boxes whose x2 and y2 are corners, not width and height.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from router.domain.results import ClipImageResult, ClipTextResult, FaceResult, NativeResult, OcrResult, Result
from router.domain.tasks import OcrDialect, Task, TextRecognition


def assemble(tasks: Sequence[Task], results: Sequence[Result]) -> bytes:
    """The JSON reply to a prediction request: one object with a key for each task and, for images, their size."""
    if len(results) == 1 and isinstance(results[0], NativeResult):
        return results[0].body
    reply: dict[str, Any] = {}
    for task, result in zip(tasks, results, strict=True):
        _add(reply, task, result)
    return orjson.dumps(reply)


def _add(reply: dict[str, Any], task: Task, result: Result) -> None:
    match result:
        case ClipTextResult():
            reply[task.task] = _vector(result.embedding)
            return
        case NativeResult():
            reply.update(result.fields)
            return
        case ClipImageResult():
            reply[task.task] = _vector(result.embedding)
        case FaceResult():
            reply[task.task] = _faces(result)
        case OcrResult():
            if isinstance(task, TextRecognition) and task.dialect is OcrDialect.JOINED:
                reply.update(_joined_ocr(result))
            else:
                reply[task.task] = _ocr(result)
    reply["imageWidth"] = result.image_width
    reply["imageHeight"] = result.image_height


def _vector(embedding: list[float]) -> str:
    return orjson.dumps(embedding).decode()


def _faces(result: FaceResult) -> list[dict[str, Any]]:
    return [
        {
            "boundingBox": {"x1": face.x1, "y1": face.y1, "x2": face.x2, "y2": face.y2},
            "embedding": _vector(face.embedding),
            "score": face.score,
        }
        for face in result.faces
    ]


def _ocr(result: OcrResult) -> dict[str, Any]:
    width, height = result.image_width, result.image_height
    boxes: list[float] = []
    for line in result.lines:
        for x, y in zip(line.corners[::2], line.corners[1::2], strict=True):
            boxes += (min(1.0, max(0.0, x / width)), min(1.0, max(0.0, y / height)))
    return {
        "text": [line.text for line in result.lines],
        "box": boxes,
        "boxScore": [line.detection_score for line in result.lines],
        "textScore": [line.recognition_score for line in result.lines],
    }


def _joined_ocr(result: OcrResult) -> dict[str, Any]:
    boxes = []
    for line in result.lines:
        xs, ys = line.corners[::2], line.corners[1::2]
        boxes.append({"x1": min(xs), "y1": min(ys), "x2": max(xs), "y2": max(ys)})
    texts = [line.text for line in result.lines]
    scores = [f"{line.recognition_score:.2f}" for line in result.lines]
    return {"ocr": " ".join(texts), "result": {"texts": texts, "scores": scores, "boxes": boxes}}
