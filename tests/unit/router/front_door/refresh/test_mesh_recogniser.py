"""Refreshed photos and queries go through the router's own routes, and come back in Immich's terms."""

import pytest

from mesh.core.errors import MeshError
from router.domain.requests import PredictRequest
from router.domain.results import ClipImageResult, ClipTextResult, NativeResult, OcrResult, Result, TextLine
from router.domain.tasks import ClipTextual, ClipVisual, TextRecognition
from router.front_door.recognition import OcrModel
from router.front_door.refresh.mesh_recogniser import MeshRecogniser
from sql.refresh import OcrLine


class Predict:
    """Answers with one result, and keeps what was asked."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.asked: list[PredictRequest] = []

    async def __call__(self, request: PredictRequest) -> list[Result]:
        self.asked.append(request)
        return [self.result]


async def test_lines_with_boxes_as_shares_of_the_photo() -> None:
    corners = (10.0, 20.0, 101.0, 20.0, 101.0, 40.0, -0.5, 40.0)  # a hair outside, as rounding leaves it
    predict = Predict(OcrResult([TextLine("发票", corners, 0.9, 0.8)], 100, 200, "PP-OCRv6_small"))
    read = await MeshRecogniser(predict).read_text(b"jpeg", OcrModel("m", 0.3, 0.6, 1440))
    assert read.lines == (OcrLine("发票", (0.1, 0.1, 1.0, 0.1, 1.0, 0.2, 0.0, 0.2), 0.9, 0.8),)
    assert (read.width, read.height) == (100, 200)
    [request] = predict.asked
    assert request.tasks == [TextRecognition("m", 0.3, 0.6, 1440)]
    assert request.image is not None
    assert request.image.data == b"jpeg"


async def test_vectors() -> None:
    predict = Predict(ClipImageResult([0.6, 0.8], 10, 10, "m"))
    assert await MeshRecogniser(predict).embed_image(b"jpeg", "m") == [0.6, 0.8]
    assert predict.asked[0].tasks == [ClipVisual("m")]
    predict = Predict(ClipTextResult([0.8, 0.6], "m"))
    assert await MeshRecogniser(predict).embed_text("一只狗", "m", "zh-CN") == [0.8, 0.6]
    [request] = predict.asked
    assert request.tasks == [ClipTextual("m", "zh-CN")]
    assert request.text is not None
    assert request.text.data.decode() == "一只狗"


async def test_a_native_servers_answers() -> None:
    box = [0.1, 0.1, 0.6, 0.1, 0.6, 0.2, 0.1, 0.2]
    fields = {
        "ocr": {"text": ["a", "b"], "box": box + box[::-1], "boxScore": [0.9, 0.8], "textScore": [0.7, 0.6]},
        "imageWidth": 100,
        "imageHeight": 200,
        "clip": "[0.6,0.8]",
    }
    recogniser = MeshRecogniser(Predict(NativeResult(b"", "application/json", fields)))
    read = await recogniser.read_text(b"jpeg", OcrModel())
    assert read.lines == (OcrLine("a", tuple(box), 0.9, 0.7), OcrLine("b", tuple(box[::-1]), 0.8, 0.6))
    assert await recogniser.embed_image(b"jpeg", "m") == [0.6, 0.8]
    empty = MeshRecogniser(Predict(NativeResult(b"", "application/json", {})))
    with pytest.raises(MeshError, match="no 'clip'"):
        await empty.embed_text("x", "m", "")
