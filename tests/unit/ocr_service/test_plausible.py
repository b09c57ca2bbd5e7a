"""What is text and what is not."""

from typing import Any

import pytest

from ocr_service.recognition.plausible import Candidate, cleaned, plausible

SURE = Candidate("营业时间", 0.99)
"""A line that shows that the photo's script is known."""


def is_plausible(text: str, score: float, **seen: Any) -> bool:
    """Whether a line is kept in a photo whose script is known."""
    return plausible([SURE, Candidate(text, score, **seen)])[1]


@pytest.mark.parametrize(
    ("raw", "clean"), [("a\x00b", "ab"), (" \u3000 发票 \n", "发票"), ("\x00\t\x1f", ""), ("two words", "two words")]
)
def test_cleaned(raw: str, clean: str) -> None:
    assert cleaned(raw) == clean


@pytest.mark.parametrize("text", ["发票", "7", "a", "é!", "か", "½ kg", "ABC"])
def test_letters_and_digits_are_text(text: str) -> None:
    assert is_plausible(text, 0.85)


@pytest.mark.parametrize("text", ["", " ", "---", "…·", "③", "♥", "|", "、。"])
def test_marks_alone_are_not(text: str) -> None:
    assert not is_plausible(text, 0.99)


@pytest.mark.parametrize("text", ["II", "l", "O", "一", "目"])
def test_shapes_must_be_certain(text: str) -> None:
    assert not is_plausible(text, 0.9)
    assert is_plausible(text, 0.96)


def test_a_box_over_the_whole_photo_must_be_certain() -> None:
    assert not is_plausible("window", 0.9, coverage=0.8)
    assert is_plausible("window", 0.97, coverage=0.8)


@pytest.mark.parametrize("text", ["女女女女", "★女女女", "人人人", "555", "XXX"])
def test_a_row_of_one_character_may_be_marks_and_must_be_certain(text: str) -> None:
    assert not is_plausible(text, 0.9)
    assert is_plausible(text, 0.99)


def test_what_is_a_letter_in_one_way_of_reading_alone_is_a_mark() -> None:
    assert not is_plausible("月月月", 1.0, is_mark=True)


def test_a_word_of_a_script_that_is_known_in_part_must_be_certain() -> None:
    assert not is_plausible("Aπστλ", 0.91, half_known=4)
    assert not is_plausible("Avoιτ", 0.985, half_known=2)
    assert is_plausible("ΦAPMAKEIO", 0.99, half_known=2)
    assert is_plausible("5 μm", 0.9, half_known=1)


def test_words_of_a_half_known_script_make_a_photo_illegible() -> None:
    words = [Candidate("αραε", 0.87, half_known=4), Candidate("Aπστλ", 0.91, half_known=4)]
    assert plausible([*words, Candidate("no", 0.96)]) == [False, False, False]
    assert plausible([*words, Candidate("66.90", 0.99)]) == [False, False, True]


def test_shapes_in_faint_boxes_are_a_texture() -> None:
    assert not is_plausible("8", 0.99, detection_score=0.55)
    assert not is_plausible("十", 0.99, detection_score=0.6)
    assert is_plausible("8", 0.99, detection_score=0.72)
    assert is_plausible("好", 0.99, detection_score=0.55)


@pytest.mark.parametrize("text", ["0" * 37, "1" + "0" * 28, "OO00OO00OO00"])
def test_a_grid_is_no_number(text: str) -> None:
    assert not is_plausible(text, 0.99)
    assert is_plausible("100000000", 0.99)
    assert is_plausible("690000000001", 0.99)


def test_one_letter_of_a_word_is_no_reading_of_it() -> None:
    assert not is_plausible("3 κ", 0.91, unread=0.55)
    assert is_plausible("3 kg", 0.91, unread=0.1)
    assert is_plausible("搜索", 0.99, unread=0.5)  # a word beside a picture


def test_in_a_script_that_is_not_known_only_what_is_certain_counts() -> None:
    foreign = [Candidate("jnbw uvop", 0.55, aspect=4), Candidate("", 0.0, aspect=5)]
    found = [
        Candidate(text, score, aspect=1) for text, score in (("86", 1.0), ("96", 0.9), ("a", 0.99), ("Coca", 0.99))
    ]
    assert plausible(foreign + found) == [False, False, True, False, False, True]
    assert plausible([*found, Candidate("jnbw", 0.55, aspect=2)])[:4] == [True] * 4
    assert plausible([]) == []


def test_numbers_do_not_show_that_the_script_beside_them_is_known() -> None:
    illegible = [Candidate("UAUAUASU", 0.72), Candidate("", 0.0)]
    words = [Candidate("aasaw", 0.95), Candidate("LBBLRNLS", 0.97, aspect=3)]
    numbers = [Candidate("69.90", 1.0), Candidate("16:18", 0.9)] * 3
    assert plausible([*illegible, *words, *numbers]) == [False] * 4 + [True] * 6
    title = Candidate("全家便利店", 1.0, aspect=1)
    short = [Candidate("茶馆", 0.99, aspect=1), Candidate("发票", 0.96, aspect=1)]
    assert plausible([*illegible, title, Candidate("评价 562条", 0.96, aspect=1)]) == [False, False, True, True]
    assert plausible([*illegible, title, *short])[3:] == [True, False]


def test_a_number_may_have_a_unit_where_no_script_is_known() -> None:
    illegible = [Candidate("jnbw uvop", 0.55, aspect=15)]
    found = [Candidate(text, 0.96) for text in ("No 86", "¥66.90", "-5kg", "no", "170 Dn7")]
    assert plausible([*illegible, *found]) == [False, True, True, True, False, False]


def test_lines_that_were_read_in_part_are_not_known_either() -> None:
    parts = [Candidate("3 κ", 0.91, aspect=5, unread=0.55)]
    assert plausible([*parts, Candidate("162", 0.81, aspect=2)]) == [False, False]


def test_a_lone_word_shows_by_itself_that_its_script_is_known() -> None:
    assert plausible([Candidate("pebs", 0.94)]) == [False]
    assert plausible([Candidate("sale", 0.96), Candidate("ends", 0.9)]) == [True, False]
    assert plausible([Candidate("sale", 0.99), Candidate("ends", 0.9)]) == [True, True]
    assert plausible([Candidate("嗯", 0.96)]) == [True]
    assert plausible([Candidate("16.80", 0.85)]) == [True]
    assert plausible([Candidate("Ua", 0.97)]) == [False]
    assert plausible([Candidate("OK", 0.99)]) == [True]
