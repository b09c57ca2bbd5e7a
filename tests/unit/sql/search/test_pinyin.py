"""What a query in pinyin may stand for."""

import pytest

from sql.search.query.pinyin import MOST_TEXTS, written


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("fapiao", "发票"),
        ("beijing", "北京"),
        ("zengzhishuifapiao", "增值税发票"),
        ("xi'an", "西安"),
        ("yinhang", "银行"),
        ("changcheng", "长城"),
        ("nvren", "女人"),
    ],
)
def test_words_are_read(typed: str, text: str) -> None:
    assert text in written(typed)
    assert len(written(typed)) <= MOST_TEXTS


@pytest.mark.parametrize("typed", ["fa", "invoice", "fapiao1", "发票", "", "x" * 40, "shishishishishishishishishishis"])
def test_what_is_no_pinyin_of_words_stands_for_none(typed: str) -> None:
    assert all(len(text) > 1 for text in written(typed))
    assert typed.startswith("shi") or written(typed) == ()
