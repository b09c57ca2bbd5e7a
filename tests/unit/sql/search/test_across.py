"""Whether a word of two characters is one where it stands."""

import pytest

from sql.search.across import Across


@pytest.mark.parametrize(
    ("word", "body", "only"),
    [
        ("车站", "汽车站点图", True),
        ("车站", "公交车站点 火车站", False),
        ("车站", "长途汽车站", False),
        ("明星", "光明星座", True),
        ("学会", "大学会议室", True),
        ("车站", "火车票", False),
    ],
)
def test_a_word_is_across_two_others_or_meant(word: str, body: str, *, only: bool) -> None:
    assert Across(word).only(body) is only
