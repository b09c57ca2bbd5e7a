"""Places where the detector is sure of something, but of too little for a box."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ocr_service.detection.boxes import NO_BOXES, Boxes
from ocr_service.detection.detector import TextDetector
from ocr_service.detection.missed_text import MAX_PLACES, look_at, missed_places, with_missed
from ocr_service.detection.regions import to_boxes
from ocr_service.detection.small_text import MAX_RATIO
from ocr_service.options import Options
from ocr_service.reader import find_boxes
from tests.unit.ocr_service.doubles import FakeEngine

SIZE, RATIO = (1080, 1920), 736 / 1080


def with_specks(*specks: tuple[float, float, float, float], boxes: Boxes = NO_BOXES) -> Boxes:
    return replace(boxes, missed=np.array(specks, np.float32).reshape(-1, 4))


def box(left: float, top: float, right: float, bottom: float) -> Boxes:
    quad = np.array([[[left, top], [right, top], [right, bottom], [left, bottom]]], np.float32)
    return Boxes(quad, np.array([0.9], np.float32), {})


def test_a_thin_core_is_remembered() -> None:
    probabilities = np.zeros((64, 96), np.float32)
    probabilities[30:32, 40:46] = 0.98
    probabilities[10, 10] = 0.5  # nobody is sure of this one
    boxes = to_boxes(probabilities, (128, 192), 0.5)
    assert len(boxes) == 0
    assert boxes.missed.tolist() == [[80, 60, 94, 66]]  # in pixels of the photo, with what dilation adds


def test_a_lone_word_is_looked_at_larger_and_with_its_surroundings() -> None:
    (place,) = missed_places(with_specks((900, 500, 920, 506), (926, 500, 940, 506)), SIZE, RATIO)
    look = look_at(place, SIZE, RATIO)
    assert look.ratio == 2 * RATIO
    assert look.left < 900 - 80
    assert look.right > 940 + 80
    assert (look.right - look.left) * look.ratio >= 319
    corner = look_at(missed_places(with_specks((2, 2, 9, 9)), SIZE, RATIO)[0], SIZE, RATIO)
    assert (corner.left, corner.top) == (0, 0)
    assert look_at(place, SIZE, 1.0).ratio == MAX_RATIO


def test_specks_of_found_text_and_of_textures_are_left() -> None:
    found = with_specks((900, 500, 904, 504), boxes=box(880, 480, 1200, 520))
    assert missed_places(found, SIZE, RATIO) == []
    texture = with_specks(*((x, 100, x + 5, 105) for x in range(0, 1900, 400)))
    assert len(texture.missed) > MAX_PLACES
    assert missed_places(texture, SIZE, RATIO) == []
    assert missed_places(with_specks((0, 0, 1500, 900)), SIZE, RATIO) == []
    assert missed_places(NO_BOXES, SIZE, RATIO) == []


def test_only_what_lies_in_the_place_is_new() -> None:
    (place,) = missed_places(with_specks((900, 500, 940, 506)), SIZE, RATIO)
    look = look_at(place, SIZE, RATIO)
    word = box(895 - look.left, 480 - look.top, 945 - look.left, 520 - look.top)
    elsewhere = box(0, 0, 20, 10)
    known = box(100, 100, 300, 130)
    boxes = with_missed(known, word.with_more(elsewhere), look, place)
    assert boxes.quads[:, 0].tolist() == [[100, 100], [895, 480]]


async def test_the_second_look_finds_what_the_first_all_but_missed() -> None:
    def probabilities(blob: NDArray[np.float32]) -> NDArray[np.float32]:
        rows, columns = blob.shape[2:]
        answer = np.zeros((1, 1, rows, columns), np.float32)
        if columns > 1000:  # the whole frame: too thin for a box
            answer[..., 340:342, 640:650] = 0.95
        else:
            answer[..., rows // 2 - 8 : rows // 2 + 8, columns // 2 - 20 : columns // 2 + 20] = 0.95
        return answer

    photo = np.full((1080, 1920, 3), 250, np.uint8)
    photo[500:520, 940:970] = 0
    engine = FakeEngine(probabilities)
    boxes = await find_boxes(photo, TextDetector(engine.as_engine()), Options())
    assert len(engine.shapes) == 2
    assert len(boxes) == 1
    assert np.abs(boxes.quads[0].mean(axis=0) - (945, 501)).max() < 30
