"""From pixels to lines of text: detect, look closer where text is small, cut, read, sort.

Every step that computes runs in the engines' threads; the event loop only waits.
"""

from dataclasses import dataclass

import numpy as np

from mesh.serving.images import Pixels
from ocr_service.detection.boxes import Boxes
from ocr_service.detection.detector import TextDetector, scale_to
from ocr_service.detection.lone_ink import lone_ink
from ocr_service.detection.missed_text import look_at, missed_places, with_missed
from ocr_service.detection.quads import Quad, areas, turned
from ocr_service.detection.small_text import CloserLook, closer_look, merged
from ocr_service.layout.columns import RUNS_DOWN, are_columns
from ocr_service.layout.reading_order import reading_order
from ocr_service.options import Options
from ocr_service.recognition.crops import Crop, cut_all
from ocr_service.recognition.marks import mistaken_marks
from ocr_service.recognition.orientation import Oriented, as_read, read_upright
from ocr_service.recognition.plausible import Candidate, cleaned, plausible
from ocr_service.recognition.recogniser import TextRecogniser
from ocr_service.recognition.stray_squares import turned_as_the_others
from ocr_service.recognition.unread import unread_share


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
    crops, readings = await turned_as_the_others(recogniser, crops, readings, options.language)
    columns = await are_columns(recogniser, crops, readings, options.language)
    marks = await mistaken_marks(recogniser, crops, readings, options.language)

    def lines() -> list[Line]:
        candidates = _candidates(boxes, crops, readings, pixels, marks, recogniser.half_known)
        likely = zip(plausible(candidates), candidates, strict=True)
        least = options.min_recognition_score
        kept = [index for index, (keep, one) in enumerate(likely) if keep and one.score >= least]
        frames = [turned(boxes.quads[index], readings[index].turns) for index in kept]
        order = reading_order(np.stack(frames)) if frames else []
        return [_line(boxes, readings, kept[place], columns=columns) for place in order]

    return await detector.engine.in_thread(lines)


async def find_boxes(pixels: Pixels, detector: TextDetector, options: Options) -> Boxes:
    """Where text stands: a look at the whole photo, more at the region of small text, and at what was missed or stands
    alone."""
    ratio = scale_to(pixels.shape, options.max_resolution)
    size = (pixels.shape[0], pixels.shape[1])

    async def seen(look: CloserLook) -> Boxes:
        region = pixels[look.top : look.bottom, look.left : look.right]
        return await detector.detect(region, ratio=look.ratio, min_score=options.min_detection_score)

    first = await detector.detect(pixels, ratio=ratio, min_score=options.min_detection_score)
    closer = await detector.engine.in_thread(lambda: closer_look(first, pixels, ratio))
    boxes = first if closer is None else merged(first, await seen(closer), closer)
    for place in missed_places(boxes, size, ratio):
        look = look_at(place, size, ratio)
        boxes = with_missed(boxes, await seen(look), look, place)
    known = boxes
    for place, look in await detector.engine.in_thread(lambda: lone_ink(pixels, known)):
        boxes = with_missed(boxes, await seen(look), look, place)
    return boxes.with_few_faint()


def _candidates(
    boxes: Boxes,
    crops: list[Crop],
    readings: list[Oriented],
    pixels: Pixels,
    marks: frozenset[int],
    half_known: frozenset[str],
) -> list[Candidate]:
    """What speaks for and against each reading, in the order of the boxes."""
    coverages = (areas(boxes.quads) / (pixels.shape[0] * pixels.shape[1])).tolist()
    return [
        Candidate(
            text=cleaned(found.reading.text),
            score=found.reading.score,
            detection_score=float(boxes.scores[index]),
            coverage=coverages[index],
            aspect=crops[index].aspect,
            unread=unread_share(as_read(crops[index], found.turns), found.reading.places),
            half_known=sum(character in half_known for character in found.reading.text),
            is_mark=index in marks,
        )
        for index, found in enumerate(readings)
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
