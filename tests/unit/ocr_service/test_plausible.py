"""What is text and what is not."""

import pytest

from ocr_service.recognition.plausible import cleaned, is_plausible


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
