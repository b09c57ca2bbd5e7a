"""A small sample of the hard set, read by the service: a regression test of everything together."""

import numpy as np
import pytest
from immich_mesh.ocr.v1 import ocr_pb2

from bench.ocr.evaluate import ReadLine, evaluate
from bench.ocr.scene import LabelledLine
from tests.integration.ocr.conftest import OcrCaller, labelled, names

pytestmark = pytest.mark.asyncio(loop_scope="module")


FORGIVEN = {"vertical.jpg": 1}
"""Characters that may be wrong: 鮮 for 鲜 stands sideways, compressed to half quality."""


def read_lines(reply: ocr_pb2.RecognizeResponse) -> list[ReadLine]:
    return [ReadLine(line.text, corners(line.box)) for line in reply.lines]


def corners(box: ocr_pb2.Quad) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    points = (box.top_left, box.top_right, box.bottom_right, box.bottom_left)
    return np.array([(point.x, point.y) for point in points], np.float32)


@pytest.mark.parametrize("name", names())
async def test_every_character_box_and_place_in_order(ocr: OcrCaller, name: str) -> None:
    photo, truth = labelled(name)
    reply = await ocr.read(photo)
    lines = read_lines(reply)
    score = evaluate(truth, lines)
    assert score.errors <= FORGIVEN.get(name, 0), [line.text for line in lines]
    assert score.false_positives == 0
    assert score.right_words == score.words
    assert score.found == score.labelled == score.read
    assert score.tau in (None, 1.0)
    for line in lines:
        assert nearest_corner(line, truth) == 0, "the first corner is the text's own top left"
    assert all(0.5 <= line.detection_score <= 1 and 0.8 <= line.recognition_score <= 1 for line in reply.lines)


def nearest_corner(line: ReadLine, truth: list[LabelledLine]) -> int:
    """Which of a line's corners is nearest to the top left of the labelled line that says the same."""
    label = min(truth, key=lambda label: float(np.linalg.norm(label.outline.mean(axis=0) - line.quad.mean(axis=0))))
    return int(np.linalg.norm(line.quad - label.outline[0], axis=1).argmin())
