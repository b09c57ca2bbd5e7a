"""What sets of sizes cost, counted in pixels; and what a comparison counts."""

from collections import Counter
from itertools import count

import numpy as np
import pytest

from bench.ocr.evaluate import ReadLine
from bench.ocr.readers import Reader
from bench.ocr.shapes import best_sizes, compare, more_pixels

SIZES = ((64, 64), (64, 128), (128, 128))


def test_padding_adds_the_pixels_of_the_next_size() -> None:
    seen = Counter({(64, 64): 3, (32, 128): 1})
    assert more_pixels(seen, SIZES) == pytest.approx((3 * 64 * 64 + 64 * 128) / (3 * 64 * 64 + 32 * 128) - 1)
    assert more_pixels(Counter({(64, 64): 1}), SIZES) == 0


def test_what_is_missed_least_is_left_out_first_but_never_what_holds_all() -> None:
    seen = Counter({(64, 64): 3, (32, 128): 1})
    assert best_sizes(seen, SIZES, 2) == [(64, 64), (128, 128)]
    assert best_sizes(seen, SIZES, 1) == [(128, 128)]


def reader(*lines: tuple[str, float]) -> Reader:
    return lambda data: [ReadLine(text, np.full((4, 2), place, np.float32)) for text, place in lines]


def test_a_photo_that_reads_otherwise_or_stands_elsewhere_is_counted() -> None:
    plain, tick = reader(("one", 0), ("two", 1)), count().__next__
    same = compare(iter([b"", b""]), plain, reader(("one", 0), ("two", 1)), tick)
    assert (same.photos, same.lines, same.other_texts, same.moved_boxes) == (2, 4, 0, 0)
    assert (same.seconds, same.padded_seconds, same.cost) == (2, 2, 0)
    moved = compare(iter([b""]), plain, reader(("one", 0), ("two", 2)), tick)
    assert (moved.other_texts, moved.moved_boxes) == (0, 1)
    other = compare(iter([b""]), plain, reader(("one", 0)), tick)
    assert (other.other_texts, other.moved_boxes) == (1, 1)
