"""What counts as the same text with an error."""

import re

import pytest

from sql.search.query.terms import FoldedTerm, Run
from sql.search.query.text_query import TextQuery
from sql.search.results import Match
from sql.search.steps.approximate import condition
from sql.search.steps.patterns import misread, one_replaced, one_unknown, pieces_of, read_alike, two_unknown


@pytest.mark.parametrize(
    "read", ["payment", "paymert", "paynent", "paymen", "pavment", "payrnent", "xpayment", "aayment"]
)
def test_one_unknown_matches_one_error(read: str) -> None:
    assert re.search(one_unknown("payment"), read)


@pytest.mark.parametrize("read", ["pzzzent", "statement", "pay", "poyrnant"])
def test_one_unknown_matches_no_more(read: str) -> None:
    assert not re.search(one_unknown("payment"), read)


def test_the_unknown_character_may_be_any_inner_one_and_of_five_any() -> None:
    assert misread("增值税票") == ["'增':* <2> '税票'", "'增值' <3> '票':*"]
    assert misread("增值税发票")[:2] == ["'值税' <1> '税发' <1> '发票'", "'增值' <1> '值税' <1> '税发'"]
    assert len(misread("增值税发票")) == 5


def test_of_a_long_text_pieces_are_looked_for_and_the_rest_is_read() -> None:
    assert pieces_of("增值税专用发票", 2) == ["'增值' <1> '值税'", "'专用' <1> '用发' <1> '发票'"]
    text = "上海市第一人民医院"
    for read in ("上海市第一入民医院", "上海巿第一人民医院", "上海市第一人民医完", "上海市第人民医院"):
        assert re.search(one_replaced(text), read)
    assert re.search(two_unknown(text), "上每市第一人民医完")
    assert not re.search(one_replaced(text), "上每市第一人民医完")
    assert not re.search(two_unknown(text), "上每市第一入民医完")


@pytest.mark.parametrize(
    ("term", "steps"),
    [
        (FoldedTerm((Run("票", True),)), set()),
        (FoldedTerm((Run("发票", True),)), {Match.LOOSE, Match.FUZZY}),
        (FoldedTerm((Run("增值税票", True),)), {Match.LOOSE, Match.FUZZY, Match.APART}),
        (FoldedTerm((Run("增值税票", True),), quoted=True), {Match.LOOSE, Match.FUZZY}),
        (FoldedTerm((Run("word", False),)), {Match.LOOSE}),
        (FoldedTerm((Run("no", False),)), set()),
        (FoldedTerm((Run("5678", False),)), {Match.LOOSE}),
        (FoldedTerm((Run("payment", False),)), {Match.LOOSE, Match.FUZZY}),
        (FoldedTerm((Run("12345678", False),)), {Match.LOOSE, Match.FUZZY, Match.APART}),
        (FoldedTerm((Run("第", True), Run("3", False))), {Match.APART}),
        (FoldedTerm((Run("wi", False), Run("fi", False))), {Match.LOOSE, Match.APART}),
    ],
)
def test_which_steps_have_something_to_offer(term: FoldedTerm, steps: set[Match]) -> None:
    offered = {step for step in (Match.LOOSE, Match.FUZZY, Match.APART) if condition(TextQuery(((term,),)), step)}
    assert offered == steps


def test_characters_that_look_alike_are_tried_but_not_words_of_their_own() -> None:
    assert "'发粟'" in read_alike("发票", (0, 1))
    assert "'人口'" not in read_alike("入口", (0, 1))
