"""From scores of photos to what a report says."""

import pytest

from bench.ocr.evaluate import ReadLine, evaluate
from bench.ocr.report import Result, summarise, table
from tests.unit.ocr_service.test_evaluator import TRUTH, quad


def test_a_library_of_mostly_photos_without_text() -> None:
    with_text, without = evaluate(TRUTH, []), evaluate([], [])
    results = [Result("clean", with_text, 2.0), Result("clean", with_text, 4.0), Result("flags", without, 0.5)]
    assert summarise(results).photos_per_second(0.8) == pytest.approx(1 / (0.8 * 0.5 + 0.2 * 3.0))
    assert summarise(results[:2]).photos_per_second(0.8) == 0


def test_wrong_texts_per_photo_of_each_class() -> None:
    ghost = evaluate([], [ReadLine("十", quad(0, 0, 20, 20))])
    summary = summarise([Result("flags", ghost, 1.0), Result("flags", evaluate([], []), 1.0)])
    assert summary.wrong == {"flags": 0.5}
    assert "| wrong texts per photo, flags | 0.50 | 0.05 |" in table({"mesh": summary})
