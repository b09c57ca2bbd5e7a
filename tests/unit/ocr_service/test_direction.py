import pytest

from ocr_service.recognition.direction import has_right_to_left, logical_order


@pytest.mark.parametrize(
    ("stands", "is_read"),
    [
        ("\u0645\u0644\u0627\u0633", "\u0633\u0627\u0644\u0645"),
        ("2026 \u0645\u0627\u0639", "\u0639\u0627\u0645 2026"),
        ("12.50 \u062f", "\u062f 12.50"),
        ("iPhone 15 Pro \u0639", "\u0639 iPhone 15 Pro"),
        ("Hello 12", "Hello 12"),
        ("", ""),
    ],
)
def test_lines_are_turned_and_what_runs_the_other_way_inside_stays(stands: str, is_read: str) -> None:
    assert logical_order(stands) == is_read


def test_only_recognisers_that_know_such_letters_turn_anything() -> None:
    assert has_right_to_left(["blank", "a", "\u0639", " "])
    assert not has_right_to_left(["blank", "a", "\u4e2d", "\uac00", "\u0431", " "])
