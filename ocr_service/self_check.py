"""What an OCR graph must still do in a precision below fp32: find the same lines, read the same text.

Judged on pictures drawn here; on noise a detector finds nothing, and its outputs would compare as one likes.
"""

from collections.abc import Sequence
from itertools import groupby

import cv2
import numpy as np

from mesh.serving.images import Pixels
from mesh.serving.runtimes.self_check import SelfCheck
from mesh.serving.runtimes.session import Array, TensorInfo
from ocr_service.detection import detector
from ocr_service.detection.regions import to_boxes
from ocr_service.raw_input import as_wanted
from ocr_service.recognition import recogniser

LINES = ("Immich Mesh", "2026-11-28 14:05", "Total 1,234.56 EUR", "The quick brown fox", "jumps over the lazy dog")
PAGE = (736, 992)
LINE = (48, 320)
"""Rows and columns of the pictures, as most photos and lines have them."""
MIN_SCORE = 0.5
LARGEST_SHIFT = 2.0
"""Pixels by which a corner may move."""


def detection_check(inputs: Sequence[TensorInfo]) -> SelfCheck:
    """Of a detector with these inputs: the same boxes on a page of text."""
    page = np.full((*PAGE, 3), 235, np.uint8)
    for number, line in enumerate(LINES):
        _write(page, line, (60, 120 + 130 * number), 1.0 + 0.3 * number)
    return SelfCheck([{inputs[0].name: as_wanted(detector.to_input(page, 1.0), inputs[0])}], _same_boxes)


def recognition_check(inputs: Sequence[TensorInfo]) -> SelfCheck:
    """Of a recogniser with these inputs: the same text in every line."""
    feeds = []
    for text in LINES:
        line = np.full((*LINE, 3), 235, np.uint8)
        _write(line, text, (8, 34), 0.8)
        feeds.append({inputs[0].name: as_wanted(recogniser.to_input(line), inputs[0])})
    return SelfCheck(feeds, _same_text)


def _write(picture: Pixels, text: str, where: tuple[int, int], size: float) -> None:
    cv2.putText(picture, text, where, cv2.FONT_HERSHEY_SIMPLEX, size, (20, 20, 20), 2, cv2.LINE_AA)


def _same_boxes(exact: Sequence[Array], outputs: Sequence[Array]) -> str:
    wanted, given = (
        to_boxes(maps[0].astype(np.float32).reshape(PAGE), PAGE, MIN_SCORE).quads for maps in (exact, outputs)
    )
    if len(wanted) != len(given):
        return f"it finds {len(given)} lines where fp32 finds {len(wanted)}"
    shift = max((float(np.abs(given - quad).max(axis=(1, 2)).min()) for quad in wanted), default=0.0)
    return "" if shift <= LARGEST_SHIFT else f"a box moves by {shift:.1f} pixels"


def _same_text(exact: Sequence[Array], outputs: Sequence[Array]) -> str:
    return "" if _classes(exact[0]) == _classes(outputs[0]) else "it reads another text than fp32"


def _classes(probabilities: Array) -> list[int]:
    """The characters' numbers, repeats and blanks (0) dropped: from probabilities of shape (1, steps, classes), or from
    the choice that a graph made of them, (1, steps)."""
    best = probabilities[0].argmax(axis=-1) if probabilities.ndim == 3 else probabilities[0]
    return [int(number) for number, _ in groupby(best) if number]
