"""From probability maps to boxes, and bent lines made straight."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from rapidocr_onnxruntime.ch_ppocr_det.utils import DBPostProcess

from ocr_service.detection.boxes import FAINT, MAX_FAINT, NO_BOXES, Boxes
from ocr_service.detection.regions import to_boxes
from ocr_service.recognition.crops import cut_all


def text_map(rows: int, columns: int, *boxes: tuple[int, int, int, int], certainty: float = 0.9) -> NDArray[np.float32]:
    """A probability map with boxes (left, top, right, bottom)."""
    probabilities = np.zeros((rows, columns), np.float32)
    for left, top, right, bottom in boxes:
        probabilities[top:bottom, left:right] = certainty
    return probabilities


def test_boxes_in_pixels_of_the_photo_with_their_own_scores() -> None:
    probabilities = text_map(320, 640, (100, 50, 300, 70)) + text_map(320, 640, (100, 200, 300, 220), certainty=0.6)
    boxes = to_boxes(probabilities, (640, 1280), 0.5)
    order = boxes.quads[:, 0, 1].argsort()
    np.testing.assert_allclose(boxes.scores[order], [0.9, 0.6], atol=0.05)
    upper = boxes.quads[order[0]]
    assert upper[:, 0].min() < 200
    assert upper[:, 0].max() > 600
    assert to_boxes(probabilities, (640, 1280), 0.7).scores.shape == (1,)


def test_boxes_stay_inside_the_photo() -> None:
    boxes = to_boxes(text_map(64, 320, (0, 0, 320, 64)), (64, 320), 0.5)
    assert boxes.quads.min() >= 0
    assert boxes.quads.max() <= 319


def test_an_empty_map_has_no_boxes() -> None:
    assert len(to_boxes(text_map(64, 64), (64, 64), 0.0)) == 0


def test_specks_do_not_crowd_out_text() -> None:
    probabilities = text_map(640, 640, (100, 300, 300, 330))
    probabilities[::10, ::10] = np.maximum(probabilities[::10, ::10], 0.35)
    assert len(to_boxes(probabilities, (640, 640), 0.5)) == 1


def test_straight_lines_have_the_boxes_and_scores_of_rapidocr() -> None:
    canvas = np.zeros((480, 640), np.float32)
    for centre, size, angle in (((200, 80), (220, 12), 0), ((320, 240), (300, 14), 17), ((560, 260), (12, 240), -8)):
        corners = cv2.boxPoints((centre, size, angle)).astype(np.int32)
        cv2.fillPoly(canvas, [corners], 0.85)
    settings = {"thresh": 0.3, "box_thresh": 0.5, "unclip_ratio": 1.6, "use_dilation": True, "score_mode": "fast"}
    theirs, scores = DBPostProcess(**settings)(canvas[None, None], (960, 1280))
    ours = to_boxes(canvas, (960, 1280), 0.5)
    assert not ours.bends
    np.testing.assert_allclose(ours.quads, np.asarray(theirs, np.float32), atol=6)
    np.testing.assert_allclose(ours.scores, scores, atol=0.02)


def arc(*, down: bool) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A map of (320, 640) with one bent core, and the photo, twice as large, whose text is the stripe around it."""
    x = np.arange(60, 580)
    y = 160 + 60 * np.cos((x - 320) / 110)
    points = np.stack([x, y], axis=1)
    core, photo = np.zeros((320, 640), np.float32), np.zeros((640, 1280, 3), np.uint8)
    cv2.polylines(core, [points.astype(np.int32)], False, 0.9, 12)
    cv2.polylines(photo, [(2 * points).astype(np.int32)], False, (255, 255, 255), 30)
    if down:
        return np.ascontiguousarray(core.T), np.ascontiguousarray(photo.transpose(1, 0, 2))
    return core, photo


@pytest.mark.parametrize("down", [False, True])
def test_a_bent_line_is_found_and_comes_out_straight(*, down: bool) -> None:
    probabilities, photo = arc(down=down)
    boxes = to_boxes(probabilities, (photo.shape[0], photo.shape[1]), 0.5)
    assert list(boxes.bends) == [0]
    assert boxes.scores[0] > 0.7, "the emptiness around a bent line does not count"
    (crop,) = cut_all(photo, boxes)
    rows, columns = crop.pixels.shape[:2]
    assert crop.turns == int(down)
    assert columns > 12 * rows
    ink = crop.pixels[:, rows : columns - rows, 0] > 128
    middles = (ink * np.arange(rows)[:, None]).sum(axis=0) / ink.sum(axis=0)
    assert np.abs(middles - (rows - 1) / 2).max() < 4
    assert ink[rows // 2].all()


@pytest.mark.parametrize("down", [False, True])
def test_a_bent_line_is_as_high_as_the_photo_shows_it_across(*, down: bool) -> None:
    probabilities, _ = arc(down=down)
    rows, columns = probabilities.shape
    (as_is,) = to_boxes(probabilities, (rows, columns), 0.5).bends.values()
    (taller,) = to_boxes(probabilities, (3 * rows, columns), 0.5).bends.values()
    (wider,) = to_boxes(probabilities, (rows, 3 * columns), 0.5).bends.values()
    stretched, lengthened = (wider, taller) if down else (taller, wider)
    assert stretched.height == pytest.approx(3 * as_is.height)
    assert lengthened.height == pytest.approx(as_is.height)
    np.testing.assert_allclose(wider.course, as_is.course * (3, 1), rtol=1e-5)


def test_bends_follow_their_boxes() -> None:
    probabilities, photo = arc(down=False)
    bent = to_boxes(probabilities, (photo.shape[0], photo.shape[1]), 0.5)
    straight = Boxes(bent.quads, bent.scores, {})
    both = NO_BOXES.with_more(straight).with_more(bent.moved(np.array([10, 5], np.float32)))
    assert list(both.bends) == [1]
    np.testing.assert_allclose(both.bends[1].course, bent.bends[0].course + np.array([10, 5]))
    assert list(both.where(np.array([False, True])).bends) == [0]
    assert not both.where(np.array([True, False])).bends


def test_of_a_thousand_faint_boxes_the_surest_stay_and_all_of_print() -> None:
    scores = np.concatenate([np.linspace(0.5, FAINT - 0.001, 900), np.full(100, 0.8)]).astype(np.float32)
    quads = np.zeros((1000, 4, 2), np.float32)
    assert sorted(Boxes(quads, scores, {}).with_few_faint().scores) == sorted(scores[900 - MAX_FAINT :])
    few = Boxes(quads[:MAX_FAINT], scores[:MAX_FAINT], {})
    assert few.with_few_faint() is few
