"""From pixels to lines of text: detect, look closer where text is small, cut, read, sort.

Every step that computes runs in the engines' threads; the event loop only waits.
"""

from dataclasses import dataclass

import numpy as np

from mesh.serving.images import Pixels
from ocr_service.detection.boxes import Boxes
from ocr_service.detection.detector import TextDetector, scale_to
from ocr_service.detection.quads import Quad, areas, turned
from ocr_service.detection.small_text import closer_look, merged
from ocr_service.layout.columns import RUNS_DOWN, are_columns
from ocr_service.layout.reading_order import reading_order
from ocr_service.options import Options
from ocr_service.recognition.crops import Crop, cut_all
from ocr_service.recognition.orientation import Oriented, read_upright
from ocr_service.recognition.plausible import cleaned, is_plausible, least_score
from ocr_service.recognition.recogniser import TextRecogniser


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text.

    Attributes:
        text: never empty, without control characters.
        quad: four corners in pixels of the photo, inside it, clockwise from the text's own top left.
        detection_score: how certain the box is, 0 to 1.
        recognition_score: how certain the text is, 0 to 1.
    """

    text: str
    quad: Quad
    detection_score: float
    recognition_score: float


async def read_photo(
    pixels: Pixels, detector: TextDetector, recogniser: TextRecogniser, options: Options
) -> list[Line]:
    """Reads the text of a photo.

    Args:
        pixels: shape (rows, columns, 3), uint8, BGR, upright; any size from 1x1.
        detector: finds lines.
        recogniser: reads them.
        options: of this call.

    Returns:
        Lines in reading order; none for a photo without text.

    Raises:
        OverloadedError, DeadlineExceededError: from the engines.
    """
    boxes = await find_boxes(pixels, detector, options)
    if len(boxes) == 0:
        return []
    crops: list[Crop] = await detector.engine.in_thread(lambda: cut_all(pixels, boxes))
    readings = await read_upright(recogniser, crops, options.language)
    columns = await are_columns(recogniser, crops, readings, options.language)

    def lines() -> list[Line]:
        kept = _kept(boxes, crops, readings, pixels, options)
        frames = [turned(boxes.quads[index], readings[index].turns) for index in kept]
        order = reading_order(np.stack(frames)) if frames else []
        return [_line(boxes, readings, kept[place], columns=columns) for place in order]

    return await detector.engine.in_thread(lines)


async def find_boxes(pixels: Pixels, detector: TextDetector, options: Options) -> Boxes:
    """Where text stands: a first look at the whole photo, a second at the region of small text."""
    ratio = scale_to(pixels.shape, options.max_resolution)
    boxes = await detector.detect(pixels, ratio=ratio, min_score=options.min_detection_score)
    look = await detector.engine.in_thread(lambda: closer_look(boxes, pixels, ratio))
    if look is None:
        return boxes
    region = pixels[look.top : look.bottom, look.left : look.right]
    return merged(boxes, await detector.detect(region, ratio=look.ratio, min_score=options.min_detection_score), look)


def _kept(boxes: Boxes, crops: list[Crop], readings: list[Oriented], pixels: Pixels, options: Options) -> list[int]:
    """Indices of the readings that are text and certain enough."""
    # A reading of nothing but spaces has a score too.
    scores = [found.reading.score if cleaned(found.reading.text) else 0.0 for found in readings]
    least = max(options.min_recognition_score, least_score(scores, [crop.aspect for crop in crops]))
    coverages = areas(boxes.quads) / (pixels.shape[0] * pixels.shape[1])
    return [
        index
        for index, (oriented, coverage) in enumerate(zip(readings, coverages.tolist(), strict=True))
        if oriented.reading.score >= least
        and is_plausible(cleaned(oriented.reading.text), oriented.reading.score, coverage)
    ]


def _line(boxes: Boxes, readings: list[Oriented], index: int, *, columns: bool) -> Line:
    reading, turns = readings[index].reading, readings[index].turns
    stands_upright = columns and turns == RUNS_DOWN
    return Line(
        text=cleaned(reading.text),
        quad=boxes.quads[index] if stands_upright else turned(boxes.quads[index], turns),
        detection_score=float(boxes.scores[index]),
        recognition_score=reading.score,
    )
