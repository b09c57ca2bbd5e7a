"""What counts as the same text with an error."""

import re

import pytest

from sql.search.query.terms import FoldedTerm, Run
from sql.search.query.text_query import TextQuery
from sql.search.results import Match
from sql.search.steps.approximate import condition
from sql.search.steps.patterns import halves, misread, one_misread, one_unknown, piece_pairs, read_alike


@pytest.mark.parametrize(
    "read", ["payment", "paymert", "paynent", "paymen", "pavment", "payrnent", "xpayment", "aayment"]
)
def test_one_unknown_matches_one_error(read: str) -> None:
    assert re.search(one_unknown("payment"), read)


@pytest.mark.parametrize("read", ["pzzzent", "statement", "pay", "poyrnant"])
def test_one_unknown_matches_no_more(read: str) -> None:
    assert not re.search(one_unknown("payment"), read)


@pytest.mark.parametrize("word", ["monday", "receipt", "traditional", "supermarkets"])
def test_one_misread_allows_the_same_errors_in_each_letter_and_letters_that_look_alike(word: str) -> None:
    for at in range(len(word)):
        for read in ("", "x", "xx"):
            text = word[:at] + read + word[at + 1 :]
            assert re.search(one_misread(word), text), text
            assert re.search(halves(word), text), text
    for at in range(len(word) - 1):
        text = word[:at] + "x" + word[at + 2 :]
        assert re.search(halves(word), text), text
    assert re.search(one_misread(word), word.translate(str.maketrans("oilsbz", "011582")))
    assert not re.search(one_misread(word), f"{word[0]}xx{word[3:-3]}xx{word[-1]}")


def test_two_letters_read_as_one_may_be_of_two_quarters() -> None:
    assert re.search(one_misread("morning"), "moming")
    assert re.search(one_misread("morning"), "mornig")


def test_the_unknown_character_may_be_any_inner_one_and_of_five_any() -> None:
    assert misread("增值税票")[2:] == ["'增':* <2> '税票'", "'增值' <3> '票':*"]
    assert misread("增值税发票")[:2] == ["'值税' <1> '税发' <1> '发票'", "'增值' <1> '值税' <1> '税发'"]
    assert len(misread("增值税发票")) == 5


def test_of_a_long_text_any_two_pieces_are_looked_for_as_far_apart_as_they_stand() -> None:
    assert piece_pairs("增值税专用发票", 3) == [
        "'增值' <1> '值税' <1> '税专'",
        "((('增值') <4> ('用发' <1> '发票')) | (('增值') <3> ('用发' <1> '发票'))) & (('值税') | ('专用'))",
        "'税专' <1> '专用' <1> '用发' <1> '发票'",
    ]
    assert len(piece_pairs("上海市第一人民医院", 4)) == 6


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
    first, last = read_alike("发票", (0, 1))
    assert "'发粟'" in last
    assert "'发" not in first
    assert not any("'人口'" in way for way in read_alike("入口", (0, 1)))
    assert read_alike("营业执照", (-1,))[0].startswith("('营业' <1> '业执') <1> (('执")
