"""The same graphs at equal settings: this service reads what rapidocr-onnxruntime reads, in the same places."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from rapidocr_onnxruntime import RapidOCR

from bench.ocr.geometry import shared_area
from ocr_service.detection.detector import TextDetector
from ocr_service.options import Options
from ocr_service.reader import read_photo
from ocr_service.recognition.recogniser import TextRecogniser
from tests.integration.ocr.conftest import labelled

SHORT_SIDE = 736


@pytest.mark.parametrize("name", ["clean.jpg", "mixed.jpg", "kana.jpg"])
async def test_same_texts_and_boxes(
    parts: tuple[TextDetector, TextRecogniser], graphs: tuple[Path, Path], name: str
) -> None:
    photo = cv2.imdecode(np.frombuffer(labelled(name)[0], np.uint8), cv2.IMREAD_COLOR)
    assert photo is not None
    # At this size neither scales; RapidOCR's own thresholds, no classifier.
    scale = SHORT_SIDE / min(photo.shape[:2])
    pixels = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    options = Options(min_detection_score=0.5, min_recognition_score=0.5, max_resolution=SHORT_SIDE)
    ours = await read_photo(pixels, *parts, options)
    peer = RapidOCR(det_model_path=str(graphs[0]), rec_model_path=str(graphs[1]), intra_op_num_threads=1)
    theirs, _ = peer(pixels, use_cls=False)
    assert theirs is not None
    assert len(ours) == len(theirs)
    for quad, text, score in theirs:
        corners = np.array(quad, np.float32)
        twin = max(ours, key=lambda line: shared_area(line.quad, corners))
        # RapidOCR pads a line to its group's widest, which may swallow a space; the characters are the same.
        assert "".join(twin.text.split()) == "".join(text.split())
        assert twin.recognition_score == pytest.approx(score, abs=0.05)
        np.testing.assert_allclose(twin.quad, corners, atol=1.0)  # RapidOCR cuts off fractions
