"""The known-answer models answer as their helpers say: other suites rely on it."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx.reference import ReferenceEvaluator
from tokenizers import Tokenizer

from tests.builders import clip_image_vector, clip_text_vector, face_vector, marker_photo, write_clip, write_faces
from tests.builders.clip import MEAN, STD


def _run(graph: Path, **feeds: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
    return [np.asarray(output) for output in ReferenceEvaluator(str(graph)).run(None, feeds)]


def test_a_photos_vector_is_that_of_its_mean_colour(tmp_path: Path) -> None:
    colours = np.array([[200, 30, 60], [0, 0, 255]], np.float32)
    images = np.broadcast_to(((colours / 255 - MEAN) / STD)[:, :, None, None], (2, 3, 32, 32)).astype(np.float32)
    (vectors,) = _run(write_clip(tmp_path) / "visual/model.onnx", image=images)
    for vector, colour in zip(vectors, colours, strict=True):
        assert vector == pytest.approx(clip_image_vector(colour.tolist()), abs=1e-5)


@pytest.mark.parametrize(
    ("word", "colour"),
    [("红", 0), ("绿", 1), ("蓝", 2), ("red", 0), ("green", 1), ("blue", 2)],
)
def test_colour_words_find_their_colour(tmp_path: Path, word: str, colour: int) -> None:
    tokenizer = Tokenizer.from_file(str(files("mesh.hub.clip_import") / "tokenizer.json"))
    ids = tokenizer.encode(word).ids
    tokens = np.zeros((1, 52), np.int64)
    tokens[0, : len(ids)] = ids
    ((vector,),) = _run(write_clip(tmp_path) / "textual/model.onnx", text=tokens)
    photos = [clip_image_vector(rgb) for rgb in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    assert int(np.argmax([vector @ photo for photo in photos])) == colour
    assert vector == pytest.approx(clip_text_vector(ids), abs=1e-5)


def test_the_detector_reports_each_marker_exactly(tmp_path: Path) -> None:
    photo = marker_photo(320, 256, {"magenta": (40, 16, 104, 80), "yellow": (150, 60, 310, 220)})
    blob = ((photo.astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]
    outputs = _run(write_faces(tmp_path) / "detection/model.onnx", **{"input.1": blob})
    scores_8, scores_16, _, boxes_8, boxes_16, *_ = outputs
    assert scores_8.shape == (320 // 8 * 256 // 8 * 2, 1)
    for scores, boxes, stride, box in (
        (scores_8, boxes_8, 8, (40, 16, 104, 80)),
        (scores_16, boxes_16, 16, (150, 60, 310, 220)),
    ):
        (winner,) = np.flatnonzero(scores[:, 0] > 0.1)
        row, column = divmod(winner // 2, 320 // stride)
        left, top, right, bottom = boxes[winner] * stride
        x, y = column * stride, row * stride
        assert (x - left, y - top, x + right, y + bottom) == pytest.approx(box, abs=1e-3)


def test_the_recogniser_answers_from_the_crops_colour(tmp_path: Path) -> None:
    crop = np.broadcast_to(np.array([1, -1, 1], np.float32)[:, None, None], (1, 3, 112, 112))
    ((vector,),) = _run(write_faces(tmp_path) / "recognition/model.onnx", **{"input.1": crop})
    assert vector == pytest.approx(face_vector((255, 0, 255)), abs=1e-4)
