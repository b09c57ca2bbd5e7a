"""What is text and what is not."""

import pytest

from ocr_service.recognition.plausible import VERY_CERTAIN, cleaned, is_plausible, least_score


@pytest.mark.parametrize(
    ("raw", "clean"), [("a\x00b", "ab"), (" \u3000 发票 \n", "发票"), ("\x00\t\x1f", ""), ("two words", "two words")]
)
def test_cleaned(raw: str, clean: str) -> None:
    assert cleaned(raw) == clean


@pytest.mark.parametrize("text", ["发票", "7", "a", "é!", "か", "½ kg", "ABC"])
def test_letters_and_digits_are_text(text: str) -> None:
    assert is_plausible(text, 0.85, 0.1)


@pytest.mark.parametrize("text", ["", " ", "---", "…·", "③", "♥", "|", "、。"])
def test_marks_alone_are_not(text: str) -> None:
    assert not is_plausible(text, 0.99, 0.1)


@pytest.mark.parametrize("text", ["II", "l", "O", "一", "目"])
def test_shapes_must_be_certain(text: str) -> None:
    assert not is_plausible(text, 0.9, 0.1)
    assert is_plausible(text, 0.96, 0.1)


def test_a_box_over_the_whole_photo_must_be_certain() -> None:
    assert not is_plausible("window", 0.9, 0.8)
    assert is_plausible("window", 0.97, 0.8)


@pytest.mark.parametrize("text", ["女女女女", "★女女女", "人人人", "555", "XXX"])
def test_a_row_of_one_character_may_be_marks_and_must_be_certain(text: str) -> None:
    assert not is_plausible(text, 0.9, 0.1)
    assert is_plausible(text, 0.99, 0.1)


def test_in_a_script_that_is_not_known_only_what_is_certain_counts() -> None:
    assert least_score([0.55, 0.6, 1.0], [4.0, 5.0, 2.0]) == VERY_CERTAIN
    assert least_score([0.55, 0.9, 1.0], [2.0, 5.0, 4.0]) == 0
    assert least_score([], []) == 0
