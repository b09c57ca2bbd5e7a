"""What stands alone in a frame of one colour is looked at by itself."""

from collections.abc import Sequence

import cv2
import numpy as np

from mesh.serving.images import Pixels
from ocr_service.detection.boxes import NO_BOXES, Boxes
from ocr_service.detection.lone_ink import lone_ink
from ocr_service.detection.small_text import CloserLook


def frame(*words: tuple[int, int], size: tuple[int, int] = (1080, 1920), ground: int = 240) -> Pixels:
    """A frame with words of 60 x 30 pixels, at these places (x, y)."""
    pixels = np.full((*size, 3), ground, np.uint8)
    for x, y in words:
        for left in (x, x + 34):
            cv2.rectangle(pixels, (left, y), (left + 25, y + 29), (20, 20, 20), 4)
    return pixels


def looks(pixels: Pixels, boxes: Boxes = NO_BOXES) -> Sequence[CloserLook]:
    return [look for _, look in lone_ink(pixels, boxes)]


def test_a_word_is_looked_at_with_room_around_it() -> None:
    [(place, look)] = lone_ink(frame((1500, 600)), NO_BOXES)
    assert (np.abs(place - (1500, 600, 1560, 630)) <= 6).all()
    assert look.left < 1440
    assert look.right > 1620
    assert look.top < 560
    assert 0.8 < look.ratio < 1.2  # it is seen about 32 pixels high


def test_also_at_the_edge_and_on_a_dark_ground() -> None:
    [look] = looks(frame((2, 1046), ground=128))
    assert (look.left, look.bottom) == (0, 1080)


def test_small_words_are_seen_larger() -> None:
    pixels = frame()
    cv2.rectangle(pixels, (500, 500), (530, 511), (0, 0, 0), -1)
    [look] = looks(pixels)
    assert 2 < look.ratio <= 3


def test_what_was_found_is_known() -> None:
    quad = np.array([[[1490, 590], [1570, 590], [1570, 640], [1490, 640]]], np.float32)
    found = Boxes(quad, np.ones(1, np.float32), {})
    assert not looks(frame((1500, 600)), found)
    assert len(looks(frame((1500, 600), (200, 200)), found)) == 1


def test_pages_photos_and_empty_frames_have_nothing_alone() -> None:
    assert not looks(frame())
    assert not looks(frame(*[(100 + 300 * column, 300) for column in range(6)]))
    noise = np.random.default_rng(1).integers(0, 255, (1080, 1920, 3), dtype=np.uint8)
    assert not looks(noise)
    assert not looks(frame((1, 1), size=(40, 70)))


def test_a_speck_of_dust_is_no_word() -> None:
    pixels = frame()
    pixels[500:504, 500:504] = 0
    assert not looks(pixels)
