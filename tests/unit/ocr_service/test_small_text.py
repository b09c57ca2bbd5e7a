"""A closer look where text is small, and only there."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_service.detection.boxes import NO_BOXES, Boxes
from ocr_service.detection.small_text import MAX_PIXELS, CloserLook, closer_look, merged


def boxes(*places: tuple[int, int, int, int]) -> Boxes:
    quads = [[(x, y), (x + width, y), (x + width, y + height), (x, y + height)] for x, y, width, height in places]
    return Boxes(np.array(quads, np.float32).reshape(-1, 4, 2), np.full(len(places), 0.9, np.float32), {})


def photo(found: Boxes, ink: float) -> NDArray[np.uint8]:
    """A photo with stripes of ink that fill a part of each box's height."""
    pixels = np.full((1440, 1080, 3), 250, np.uint8)
    for left, top, right, bottom in [(*quad[0], *quad[2]) for quad in found.quads.astype(int)]:
        middle, half = (top + bottom) // 2, max(1, round((bottom - top) * ink / 2))
        pixels[middle - half : middle + half, left + 5 : right - 5 : 4] = 20
    return pixels


RECEIPT = boxes(*((300, 300 + 40 * row, 200, 30) for row in range(12)))


def test_loose_boxes_of_small_text_are_looked_at_again() -> None:
    look = closer_look(RECEIPT, photo(RECEIPT, 0.4), 0.5)
    assert look is not None
    assert (look.left, look.right) == (240, 560)
    assert look.top < 300 < 770 < look.bottom
    assert look.ratio == pytest.approx(34 / 30)
    assert (look.right - look.left) * (look.bottom - look.top) * look.ratio**2 <= MAX_PIXELS


def test_boxes_that_fit_are_good_as_they_are() -> None:
    assert closer_look(RECEIPT, photo(RECEIPT, 0.8), 0.5) is None


def test_large_text_needs_no_second_look() -> None:
    large = boxes((100, 100, 600, 80))
    assert closer_look(large, photo(large, 0.4), 0.5) is None
    assert closer_look(NO_BOXES, photo(NO_BOXES, 0.4), 0.5) is None


def test_two_specks_far_apart_are_not_worth_all_between() -> None:
    specks = boxes((10, 10, 30, 20), (1000, 1400, 30, 20))
    assert closer_look(specks, photo(specks, 0.4), 0.5) is None


def test_a_photo_seen_in_full_size_already() -> None:
    small = boxes((20, 20, 60, 14), (20, 50, 60, 14))
    assert closer_look(small, photo(small, 0.4), 1.4) is None


def test_the_second_look_replaces_its_region() -> None:
    first = boxes((10, 10, 50, 20), (300, 300, 50, 20))
    second = boxes((5, 5, 40, 10), (5, 30, 40, 10))
    both = merged(first, second, CloserLook(280, 280, 400, 400, 1.0))
    assert both.quads[:, 0].tolist() == [[10, 10], [285, 285], [285, 310]]
    assert len(both.scores) == 3
