"""Recognition for refreshed photos and hybrid queries, through the router's own routes: the same clusters, retries and
deadlines as Immich's requests get."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson

from mesh.core.context import request_id
from mesh.core.errors import MeshError
from router.domain.requests import Content, PredictRequest
from router.domain.results import ClipImageResult, ClipTextResult, NativeResult, OcrResult, Result, TextLine
from router.domain.tasks import CLIP, OCR, ClipTextual, ClipVisual, TextRecognition
from router.front_door.recognition import OcrModel, ReadText
from sql.refresh import OcrLine

Predict = Callable[[PredictRequest], Awaitable[list[Result]]]


class MeshRecogniser:
    """Implements `Recogniser` with the router's `predict`."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict

    async def read_text(self, image: bytes, model: OcrModel) -> ReadText:
        """The lines of an encoded image."""
        task = TextRecognition(model.name, model.min_detection_score, model.min_recognition_score, model.max_resolution)
        result = await self._one(PredictRequest([task], image=Content(image), request_id=request_id.get()))
        if isinstance(result, NativeResult):
            return _native_text(result.fields)
        assert isinstance(result, OcrResult)
        size = (result.image_width, result.image_height)
        lines = tuple(
            OcrLine(line.text, _normalised(line, *size), line.detection_score, line.recognition_score)
            for line in result.lines
        )
        return ReadText(lines, *size)

    async def embed_image(self, image: bytes, model: str) -> Sequence[float]:
        """The CLIP vector of an encoded image."""
        return await self._vector(
            PredictRequest([ClipVisual(model)], image=Content(image), request_id=request_id.get())
        )

    async def embed_text(self, text: str, model: str, language: str) -> Sequence[float]:
        """The CLIP vector of a query."""
        task = ClipTextual(model, language)
        return await self._vector(PredictRequest([task], text=Content(text.encode()), request_id=request_id.get()))

    async def _vector(self, request: PredictRequest) -> Sequence[float]:
        result = await self._one(request)
        if isinstance(result, NativeResult):
            vector: Sequence[float] = orjson.loads(_field(result.fields, CLIP))
            return vector
        assert isinstance(result, ClipImageResult | ClipTextResult)
        return result.embedding

    async def _one(self, request: PredictRequest) -> Result:
        [result] = await self._predict(request)
        return result


def _normalised(line: TextLine, width: int, height: int) -> tuple[float, ...]:
    """The corners as shares of the photo's sides, 0..1: what Immich stores."""
    sides = (width, height) * 4
    return tuple(min(1.0, max(0.0, corner / side)) for corner, side in zip(line.corners, sides, strict=True))


def _field(fields: dict[str, Any], name: str) -> Any:
    if name not in fields:
        raise MeshError(f"the native server's answer has no {name!r}")
    return fields[name]


def _native_text(fields: dict[str, Any]) -> ReadText:
    """What a native Immich ML server read: boxes as one flat list of eight numbers for each text."""
    found = _field(fields, OCR)
    rows = zip(found["text"], found["boxScore"], found["textScore"], strict=True)
    lines = tuple(
        OcrLine(text, tuple(found["box"][8 * number : 8 * number + 8]), box_score, text_score)
        for number, (text, box_score, text_score) in enumerate(rows)
    )
    return ReadText(lines, int(_field(fields, "imageWidth")), int(_field(fields, "imageHeight")))
