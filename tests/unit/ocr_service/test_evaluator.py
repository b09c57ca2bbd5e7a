"""The evaluator counts what a person would."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.ocr import fonts
from bench.ocr.evaluate import ReadLine, edit_distance, evaluate, kendall_tau
from bench.ocr.scene import LabelledLine


def quad(left: float, top: float, right: float, bottom: float) -> NDArray[np.float32]:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


TRUTH = [LabelledLine("total amount", quad(0, 0, 200, 20)), LabelledLine("发票：２", quad(0, 40, 100, 60))]


def test_a_perfect_reading() -> None:
    score = evaluate(TRUTH, [ReadLine("total amount", quad(0, 0, 200, 20)), ReadLine("发票:2", quad(0, 40, 100, 60))])
    assert (score.errors, score.characters, score.words, score.right_words) == (0, 15, 2, 2)
    assert (score.found, score.labelled, score.read, score.false_positives, score.tau) == (2, 2, 2, 0, 1.0)


def test_a_line_read_in_two_pieces_has_its_characters_but_not_its_box() -> None:
    pieces = [ReadLine("total", quad(0, 0, 90, 20)), ReadLine("amount", quad(110, 0, 200, 20))]
    score = evaluate(TRUTH[:1], pieces)
    assert (score.errors, score.right_words, score.found, score.false_positives) == (0, 2, 0, 0)


def test_missed_and_invented_lines_count_all_their_characters() -> None:
    score = evaluate(TRUTH, [ReadLine("ghost", quad(500, 500, 600, 520))])
    assert (score.errors, score.false_positives, score.found) == (15 + 5, 1, 0)
    assert evaluate([], []).tau is None


def test_what_is_not_there_is_wrong() -> None:
    right = [ReadLine("total amount", quad(0, 0, 200, 20)), ReadLine("发票:2", quad(0, 40, 100, 60))]
    assert evaluate(TRUTH, right).wrong == 0
    assert evaluate(TRUTH, [ReadLine("66", quad(0, 0, 200, 20))]).wrong == 1
    assert evaluate([], [ReadLine("十", quad(0, 0, 20, 20))]).wrong == 1


def test_a_script_that_nobody_knows_need_not_be_read_but_not_be_guessed_either() -> None:
    label = LabelledLine("Έξοδος ΤΟΡ", quad(0, 0, 200, 20), legible=False)
    assert evaluate([label], []) == evaluate([], [])
    guessed, alike = (evaluate([label], [ReadLine(text, quad(0, 0, 200, 20))]) for text in ("98", "Eξoδος TOP"))
    assert (guessed.wrong, guessed.read, guessed.labelled) == (1, 0, 0)
    assert alike.wrong == 0


def test_order() -> None:
    assert kendall_tau([0, 1, 2, 3]) == 1
    assert kendall_tau([3, 2, 1, 0]) == -1
    assert kendall_tau([0, 2, 1]) == pytest.approx(1 / 3)
    assert kendall_tau([4]) is None
    read = [ReadLine(line.text, line.outline) for line in reversed(TRUTH)]
    assert evaluate(TRUTH, read).tau == -1


@pytest.mark.parametrize(
    ("one", "other", "edits"), [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("发票", "发禀", 1)]
)
def test_edit_distance(one: str, other: str, edits: int) -> None:
    assert edit_distance(one, other) == edits


def test_missing_fonts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "FONTS", fonts.FONTS / "nowhere")
    with pytest.raises(SystemExit, match=r"apt-get install .*fonts-noto-cjk.*fonts-wqy-zenhei"):
        fonts.require()
