"""Bent lines are cut out straight, whatever the photo's size, and without much memory."""

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_service.detection.boxes import Bend, Boxes
from ocr_service.recognition.crops import cut, cut_all, straightened
from ocr_service.recognition.plausible import MOST_OF_THE_PHOTO


def photo(rows: int, columns: int) -> NDArray[np.uint8]:
    """A photo without two equal places near each other."""
    y, x = np.indices((rows, columns), np.uint32)
    return np.stack([3 * x + y, x + 5 * y, x * y // 7], axis=2).astype(np.uint8)


def wave(start: float, length: float, height: float = 14) -> Bend:
    """A line that winds down a photo 60 pixels wide."""
    y = np.linspace(start, start + length, 24)
    return Bend(np.stack([30 + 8 * np.sin((y - start) / 90), y], axis=1).astype(np.float32), height, runs_down=True)


def box(left: float, top: float, right: float, bottom: float, bend: Bend) -> Boxes:
    quad = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)
    return Boxes(quad[None], np.ones(1, np.float32), {0: bend})


@pytest.mark.parametrize("start", [0, 20_000, 39_400])
def test_a_bent_line_in_a_photo_too_long_for_opencv(start: int) -> None:
    """It comes out as from the part of the photo around it, at the photo's edges too."""
    pixels = photo(40_000, 60)
    (crop,) = cut_all(pixels, box(10, start, 50, start + 599, wave(start, 600)))
    first = max(0, start - 100)
    around = straightened(pixels[first : start + 700], wave(start - first, 600))
    assert around is not None
    assert crop.turns == 1
    assert crop.pixels.shape[0] == 14
    np.testing.assert_allclose(crop.pixels.astype(int), around.pixels.astype(int), atol=2)  # remap rounds to 1/32 pixel


@pytest.mark.parametrize("length", [32_766, 39_000])
def test_a_bent_line_itself_too_long_for_opencv_is_cut_plainly(length: int) -> None:
    pixels = photo(40_000, 60)
    straight = Bend(np.array([[30, 100], [30, 100 + length]], np.float32), 14, runs_down=True)
    boxes = box(20, 100, 40, 100 + length, straight)
    (crop,) = cut_all(pixels, boxes)
    np.testing.assert_array_equal(crop.pixels, cut(pixels, boxes.quads[0]).pixels)


def test_a_bend_over_most_of_the_photo_is_cut_plainly() -> None:
    pixels = photo(400, 60)
    for share, plain in ((MOST_OF_THE_PHOTO + 0.02, True), (MOST_OF_THE_PHOTO - 0.02, False)):
        boxes = box(0, 0, 60, 400 * share, wave(20, 200))
        (crop,) = cut_all(pixels, boxes)
        assert np.array_equal(crop.pixels, cut(pixels, boxes.quads[0]).pixels) is plain


def test_straightening_takes_little_memory() -> None:
    x = np.linspace(100, 2900, 24)
    bend = Bend(np.stack([x, 700 + 80 * np.cos(x / 400)], axis=1).astype(np.float32), 500, runs_down=False)
    pixels = np.zeros((1400, 3000, 3), np.uint8)
    tracemalloc.start()
    try:
        crop = straightened(pixels, bend)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert crop is not None
    assert peak < 14 * crop.pixels.shape[0] * crop.pixels.shape[1], "two float32 and three bytes per pixel, and change"
