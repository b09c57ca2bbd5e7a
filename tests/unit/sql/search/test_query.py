"""Parsing what was typed, and the full-text queries made of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sql.search.query.parse import MAX_TERMS, Term, parse
from sql.search.query.terms import FoldedTerm, Run, spaced_phrase
from sql.search.query.text_query import TextQuery, fold


def han(text: str) -> Run:
    return Run(text, unsegmented=True)


def word(text: str) -> Run:
    return Run(text, unsegmented=False)


@pytest.mark.parametrize(
    ("query", "groups"),
    [
        ("发票 上海", ((Term("发票"), Term("上海")),)),
        ("发票　上海", ((Term("发票"), Term("上海")),)),
        ('"total amount" due', ((Term("total amount", quoted=True), Term("due")),)),
        ("“合计 金额”", ((Term("合计 金额", quoted=True),),)),
        ("发票 -收据", ((Term("发票"), Term("收据", excluded=True)),)),
        ("发票 －收据", ((Term("发票"), Term("收据", excluded=True)),)),
        ('发票 -"已 作废"', ((Term("发票"), Term("已 作废", quoted=True, excluded=True)),)),
        ("a OR b c", ((Term("a"),), (Term("b"), Term("c")))),
        ("2024-01-02", ((Term("2024-01-02", dates=("20240102",)),),)),
        ("发票 2024 年 1 月 2 日", ((Term("发票"), Term("2024·年·1·月·2·日", dates=("20240102",))),)),
        ("日期:2024-01-02", ((Term("日期:2024-01-02"),),)),
        ("-20", ((Term("20"),),)),
        ("OR", ()),
        ("OR OR a", ((Term("a"),),)),
        ('"', ()),
        ('a "b', ((Term("a"), Term("b")),)),
        ("", ()),
        ("a\x00b", ((Term("a"), Term("b")),)),
    ],
)
def test_parse(query: str, groups: tuple[tuple[Term, ...], ...]) -> None:
    assert parse(query) == groups


@given(st.text(max_size=2000))
def test_parse_takes_any_string_and_limits_it(query: str) -> None:
    groups = parse(query)
    assert sum(len(group) for group in groups) <= MAX_TERMS
    assert all(any(not term.excluded for term in group) for group in groups)


@pytest.mark.parametrize(
    ("runs", "phrase"),
    [
        ((han("发票"),), "'发票'"),
        ((han("增值税"),), "'增值' <1> '值税'"),
        ((han("票"),), "'票':*"),
        ((word("invoice"),), "'invoice':*"),
        ((word("iphone15"), han("价格")), "'iphone15' <1> '价格'"),
        ((han("订单"), word("a1")), "'订单' <2> 'a1':*"),
        ((han("第"), word("3"), han("页")), "'第' <1> '3' <1> '页'"),
        ((han("发票"), han("的")), "'发票' <2> '的':*"),
        ((word("x" * 100),), f"'{'x' * 64}':*"),
    ],
)
def test_a_term_is_a_phrase_of_tokens(runs: tuple[Run, ...], phrase: str) -> None:
    assert FoldedTerm(runs).phrase() == phrase


def test_quoted_words_do_not_go_on() -> None:
    assert FoldedTerm((word("total"), word("amount")), quoted=True).phrase() == "'total' <1> 'amount'"


def test_terms_of_punctuation_alone_drop_out() -> None:
    query = fold(parse("发票 ... -!!! OR ???"), [[han("发票")], [], [], []])
    assert query.all_words() == "(('发票'))"
    assert not fold(parse("..."), [[]])


def test_exclusions_exclude_broken_forms_too() -> None:
    query = TextQuery(((FoldedTerm((han("发票"),)), FoldedTerm((han("作废"),), excluded=True)),))
    assert query.all_words() == "(('发票') & !(('作废') | (('作废') | ('作' <1> '废'))))"
    assert query.all_words(exclude=False) == "(('发票'))"


def test_spaced_at_any_places() -> None:
    assert spaced_phrase("发票") == "('发票') | ('发' <1> '票')"
    assert spaced_phrase("增值税") == "(('增值' | '增') <1> '值税') | (('增值' | '增') <1> '值' <1> '税')"


@pytest.mark.parametrize(
    ("typed", "folded", "others"),
    [
        ("invoices", "invoices", ("invoice",)),
        ("boxes", "boxes", ("box", "boxe")),
        ("parties", "parties", ("party",)),
        ("glass", "glass", ()),
        ("bus", "bus", ()),
        ("Köln", "koln", ("koeln",)),
        ("Koeln", "koeln", ("koln",)),
        ("abc", "abc", ()),
        ("no1s", "no1s", ()),
    ],
)
def test_other_spellings_of_a_word(typed: str, folded: str, others: tuple[str, ...]) -> None:
    assert fold(((Term(typed),),), [[word(folded)]]).wanted[0].variants == others
    assert fold(((Term(typed, quoted=True),),), [[word(folded)]]).wanted[0].variants == ()


def test_a_date_is_asked_for_in_any_form() -> None:
    query = fold(parse("2024/3/5"), [[word("2024"), word("3"), word("5")]])
    assert query.all_words() == "((('2024' <1> '3' <1> '5':*) | ('#20240305')))"


def test_codes_typed_with_spaces_are_one_code() -> None:
    query = fold(parse("139 0000 1111"), [[word("139")], [word("0000")], [word("1111")]])
    assert query.code is not None
    assert query.code.squeezed == "13900001111"
    assert fold(parse("发票 139"), [[han("发票")], [word("139")]]).code is None
    assert fold(parse("139"), [[word("139")]]).code is None
