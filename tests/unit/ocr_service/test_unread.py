"""Ink that no character was read from."""

import cv2
import numpy as np

from ocr_service.recognition.unread import unread_share


def bars(*left_edges: int, width: int = 400) -> np.ndarray:
    """A line of letters, each 20 pixels wide, on paper."""
    line = np.full((40, width, 3), 230, np.uint8)
    for left in left_edges:
        cv2.rectangle(line, (left, 6), (left + 18, 34), (30, 30, 30), 2)
    return line


def test_all_ink_was_read() -> None:
    assert unread_share(bars(10, 40, 70), [20 / 400, 50 / 400, 80 / 400]) == 0
    assert unread_share(bars(10, 200, 380), [20 / 400, 210 / 400, 390 / 400]) == 0  # letters stand wide apart
    assert unread_share(bars(), []) == 0


def test_letters_that_were_passed_over() -> None:
    assert unread_share(bars(10, 100, 200, 300), [20 / 400]) > 0.7
    assert unread_share(bars(10, 100), []) == 1


def test_a_rule_to_write_on_is_no_letter() -> None:
    line = bars(10)
    line[33:35, 60:220] = 30
    line[18:22, 230:390:12] = 30
    assert unread_share(line, [20 / 400]) == 0
