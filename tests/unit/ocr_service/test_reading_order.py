"""Lines come in the order in which a person reads them."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_service.layout.reading_order import reading_order

Box = tuple[float, float, float, float]


def quads(boxes: list[Box], degrees: float = 0) -> NDArray[np.float32]:
    """Boxes (left, top, width, height), turned about (500, 500)."""
    corners = np.array(
        [[(x, y), (x + width, y), (x + width, y + height), (x, y + height)] for x, y, width, height in boxes]
    )
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turned: NDArray[np.float32] = ((corners - 500) @ turn + 500).astype(np.float32)
    return turned


RECEIPT: list[Box] = [(x, y, width, 20) for y in range(100, 500, 40) for x, width in ((100, 90), (400, 40))]


@pytest.mark.parametrize("degrees", [0, 5, -12, 40, 90, 135, 180, 270, 301])
def test_rows_whichever_way_the_text_lies(degrees: float) -> None:
    assert reading_order(quads(RECEIPT, degrees)) == list(range(len(RECEIPT)))


def test_the_given_order_does_not_matter() -> None:
    shuffled = np.random.default_rng(1).permutation(len(RECEIPT))
    order = reading_order(quads(RECEIPT)[shuffled])
    assert shuffled[order].tolist() == list(range(len(RECEIPT)))


def test_a_row_that_slopes_stays_a_row() -> None:
    words: list[Box] = [(100 + 150 * index, 200, 120, 30) for index in range(5)]
    below: list[Box] = [(100 + 150 * index, 245, 120, 30) for index in range(5)]
    assert reading_order(quads(words + below, 14)) == list(range(10))


def test_columns_of_vertical_text_go_from_right_to_left() -> None:
    columns: list[Box] = [(700 - 120 * index, 100, 40, 500) for index in range(4)]
    # Clockwise from the text's own top left, which is the photo's top right for text that runs down.
    assert reading_order(np.roll(quads(columns), -1, axis=1)) == [0, 1, 2, 3]


def test_columns_of_print_one_after_the_other_below_their_headline() -> None:
    headline: list[Box] = [(100, 40, 820, 40)]
    left: list[Box] = [(100, 100 + 30 * row, 400, 20) for row in range(6)]
    right: list[Box] = [(520, 100 + 30 * row, 400, 20) for row in range(6)]
    mixed = [box for pair in zip(left, right, strict=True) for box in pair]
    order = reading_order(quads(headline + mixed))
    assert [(headline + mixed)[index] for index in order] == headline + left + right


@pytest.mark.parametrize("left", [-700, 600])
@pytest.mark.parametrize("degrees", [0, 7, 90])
def test_a_banner_is_not_woven_into_the_receipt_beside_it(left: float, degrees: float) -> None:
    banner: list[Box] = [(left, 150, 500, 80), (left, 290, 500, 80)]
    blocks = banner + RECEIPT if left < 0 else RECEIPT + banner
    shuffled = sorted(blocks, key=lambda box: box[1])
    order = reading_order(quads(shuffled, degrees))
    assert [shuffled[index] for index in order] == blocks


def test_large_prices_stay_in_their_rows() -> None:
    rows: list[Box] = [(x, y, 200, high) for y in range(100, 600, 100) for x, high in ((100, 20), (500, 60))]
    level: list[Box] = [(x, y + (60 - high) / 2, wide, high) for x, y, wide, high in rows]
    assert reading_order(quads(level)) == list(range(len(level)))


def test_messages_from_left_and_right_alternate() -> None:
    chat: list[Box] = [(60 if row % 2 else 600, 100 + 90 * row, 300, 34) for row in range(8)]
    assert reading_order(quads(chat)) == list(range(8))


def test_signs_of_a_panorama_go_from_left_to_right() -> None:
    signs: list[Box] = [(100, 700, 300, 50), (1200, 200, 400, 50), (2600, 500, 300, 50), (4000, 100, 300, 50)]
    assert reading_order(quads(signs)) == [0, 1, 2, 3]


def test_signs_are_no_row_that_are_level_by_chance_with_far_ones() -> None:
    signs: list[Box] = [(100, 700, 300, 50), (1100, 200, 400, 50), (2100, 510, 300, 50), (3100, 705, 300, 50)]
    signs += [(4100, 205, 300, 50), (5100, 450, 300, 50)]
    assert reading_order(quads(signs)) == [0, 1, 2, 3, 4, 5]
    shelf: list[Box] = [(left, top, 300, 50) for top in (200, 700) for left in range(100, 6000, 1000)]
    assert reading_order(quads(shelf)) == list(range(12))


def test_few_lines() -> None:
    assert reading_order(np.empty((0, 4, 2), np.float32)) == []
    assert reading_order(quads([(1, 1, 5, 5)])) == [0]
