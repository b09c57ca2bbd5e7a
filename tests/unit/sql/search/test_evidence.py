"""What it takes to read a query in a text: errors of OCR's are cheap, other words are not."""

import pytest

from sql.search.evidence import LIKELY, cost
from sql.search.query.terms import FoldedTerm, Run
from sql.search.query.text_query import TextQuery


def asked(text: str) -> TextQuery:
    return TextQuery(((FoldedTerm((Run(text, unsegmented=True),)),),))


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("增值税发票", "增值税发栗 12.00"),
        ("营业执照", "营 业 执 煦"),
        ("上海市第一人民医院", "上彐市第一人民医丨"),
        ("高速公路通行费", "高速公通行费"),
        ("燃气缴费单", "二月 燃乞缴费单 金额"),
        ("机动车驾驶证", "机动车驾驰证"),
    ],
)
def test_errors_of_reading_are_likely(query: str, body: str) -> None:
    assert 0 < cost(asked(query), body) <= LIKELY


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("南京东路", "南京西路"),
        ("南京东路步行街", "南京西路步行街"),
        ("王府井大街", "王府中大街"),
        ("杭州文一路", "杭州文二路"),
        ("北京大学", "北方大雪"),
        ("高速公路通行费", "高速路费 通行"),
    ],
)
def test_other_words_are_not(query: str, body: str) -> None:
    assert cost(asked(query), body) > LIKELY


def test_what_is_there_costs_nothing() -> None:
    assert cost(asked("增值税发票"), "电子 增值 税发票") == 0
