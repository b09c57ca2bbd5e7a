"""Text search: what is found, in which order, and that no string is too strange."""

# ruff: noqa: E501 - tables read best as lines

from collections.abc import Sequence
from itertools import combinations
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sql.filters import Scope, Visibility
from sql.repository import SearchRepository
from sql.search import text_search
from sql.search.results import Match
from tests.integration.sql.conftest import OWNER, PARTNER, STRANGER, ImmichDatabase
from tests.integration.sql.conftest import settings as database_settings

SCOPE = Scope((OWNER,))
EXAMPLES = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SYNTAX = st.text(st.sampled_from(list("发票a1 \"“”'\\&|!<->():*%_-－OR　,.;$\0\n")), max_size=30)


async def found(repository: SearchRepository, query: str, scope: Scope = SCOPE) -> list[UUID]:
    return [hit.asset_id for hit in (await repository.search_text(query, scope)).hits]


@pytest.mark.parametrize(
    "query",
    [
        "发票", "發票", "增值税电子普通发票", "增值稅電子普通發票", "子普通", "票", "增", "税", "no", "NO", "ＮＯ", "12345678", "1234", "5678", "456789",
        "2024年01月02日", "2024-01-02", "２０２４年", "iphone15pro", "iPhone", "IPHONE15", "7,999.00", "7999", "价格7999", "Crème", "creme brulee",
        "发票 iphone", '"crème brûlée"', "“发票”", "发票 -收据", "收据 OR 发票", "发票号", "ダイヤ", "ﾀﾞｲﾔ", "서울역", "울역", "กรุงเทพ",
    ],
)  # fmt: skip
async def test_is_found(database: ImmichDatabase, repository: SearchRepository, query: str) -> None:
    photo = await database.photo(
        "增值税電子普通發票", "發票號碼 NO.123456789 5678", "開票日期：2024年01月02日 2024-01-02", "iPhone15Pro 价格7,999.00",
        "crème brûlée", "ダイヤモンド 서울역 กรุงเทพมหานคร",
    )  # fmt: skip
    await database.photo("火车站", "欢迎您")
    assert await found(repository, query) == [photo]


@pytest.mark.parametrize(
    "query",
    [
        "发票据", "票发", "增税", "税增", "9876", "23456", "hone", "fakturen", '"no iphone"', '"发票iphone"', "发票 -iphone", "发票 -增值税", "零零零零",
        "发票 火车", "-发票x", "。。。", "", "   ", "?!", "\x00",
    ],
)  # fmt: skip
async def test_is_not_found(database: ImmichDatabase, repository: SearchRepository, query: str) -> None:
    await database.photo("增值税電子普通發票", "NO.1234567890", "iPhone15Pro 价格7,999.00")
    assert await found(repository, query) == []


@EXAMPLES
@given(query=st.one_of(ANY_TEXT, SYNTAX))
async def test_any_string_is_a_valid_query(repository: SearchRepository, query: str) -> None:
    await repository.search_text(query, SCOPE)


LINE = st.text(
    st.one_of(
        st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF),
        st.sampled_from("abcXYZ0189發票"),
        st.sampled_from(" ，。-:"),
    ),
    min_size=1,
    max_size=24,
)


@EXAMPLES
@given(lines=st.lists(LINE, min_size=1, max_size=4), data=st.data())
async def test_every_phrase_cut_from_a_document_finds_it(
    database: ImmichDatabase, repository: SearchRepository, lines: Sequence[str], data: st.DataObject
) -> None:
    photo = await database.photo(*lines)
    line = data.draw(st.sampled_from(lines))
    # Cut anywhere but inside a word or number: those match from their beginning on.
    starts = [
        at
        for at in range(len(line))
        if not (line[at].isascii() and at and line[at - 1].isascii() and line[at - 1].isalnum())
    ]
    start = data.draw(st.sampled_from(starts))
    phrase = line[start : data.draw(st.integers(start + 1, len(line)))]
    if any(character.isalnum() for character in phrase):
        # A leading minus would be an exclusion, OR alternatives: typed as text they are quoted.
        hits = await repository.search_text(phrase.lstrip(" -"), SCOPE, limit=1000)
        assert photo in [hit.asset_id for hit in hits.hits]
    await database.connection.execute("DELETE FROM asset WHERE id = $1", photo)


async def test_broken_by_a_line_end_or_spaces_it_is_found_after_the_rest(
    database: ImmichDatabase, repository: SearchRepository
) -> None:
    spaced = await database.photo("收 据", "今收到 发 票 押金")
    broken = await database.photo("增值税发", "票联")
    whole = await database.photo("发票")
    page = await repository.search_text("发票", SCOPE)
    assert page.hits[0].asset_id == whole
    assert {hit.asset_id for hit in page.hits[1:]} == {spaced, broken}
    assert {hit.match for hit in page.hits[1:]} == {Match.LOOSE}


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("增值税电孑普通发票", "增值税电子普通发票"),
        ("增直税发票", "增值税发票"),
        ("南京市鼓楼医阮", "南京市鼓楼医院"),
        ("Payrnent received", "payment"),
        ("Total arnount", "amount"),
        ("lnvoice", "invoice"),
        ("INV0ICE", "invoice"),
        ("SN8O11B2Z", "sn8011bzz"),
        ("restaurent", "restaurant"),
    ],
)
async def test_one_ocr_error_is_forgiven(
    database: ImmichDatabase, repository: SearchRepository, text: str, query: str
) -> None:
    photo = await database.photo(text)
    await database.photo("火车站", "welcome")
    page = await repository.search_text(query, SCOPE)
    assert [(hit.asset_id, hit.match) for hit in page.hits] == [(photo, Match.FUZZY)]


async def test_errors_are_not_forgiven_in_numbers_and_short_words(
    database: ImmichDatabase, repository: SearchRepository
) -> None:
    await database.photo("123456", "发票单", "word")
    for query in ("123457", "发鑫单", "ward"):
        assert await found(repository, query) == []


@pytest.mark.parametrize(
    "text", ["电子普通发票", "增值税专用发票", "上海市第一医院", "增值税电子普通发票", "国家税务总局监制发票联"]
)
async def test_a_text_is_found_wherever_characters_of_it_were_misread_or_lost(
    database: ImmichDatabase, repository: SearchRepository, text: str
) -> None:
    errors = 2 if len(text) >= 8 else 1
    wrong = [
        "".join("龘" if at in places else character for at, character in enumerate(text))
        for places in combinations(range(len(text)), errors)
    ]
    lost = [text[:at] + text[at + 1 :] for at in range(1, len(text) - 1)]
    misread = [await database.photo("日期", read) for read in wrong + lost]
    assert set(await found(repository, text)) == set(misread)


async def test_a_long_number_with_one_digit_misread_is_found_when_it_stands_nowhere_as_asked(
    database: ImmichDatabase, repository: SearchRepository
) -> None:
    misread = await database.photo("NO.1234-5673")
    assert await found(repository, "12345678") == [misread]
    right = await database.photo("NO.12345678")
    assert await found(repository, "12345678") == [right]


async def test_parts_are_found_apart_only_when_nothing_else_is(
    database: ImmichDatabase, repository: SearchRepository
) -> None:
    apart = await database.photo("增值税電子普通發票")
    page = await repository.search_text("增值税发票", SCOPE)
    assert [(hit.asset_id, hit.match) for hit in page.hits] == [(apart, Match.APART)]
    whole = await database.photo("增值税发票")
    assert await found(repository, "增值税发票") == [whole]


async def test_large_letters_come_before_small_ones_and_sure_readings_before_unsure(
    database: ImmichDatabase, repository: SearchRepository
) -> None:
    small = await database.photo("公司", "发票", sizes=(0.06, 0.015))
    middle = await database.photo("公司", "发票", sizes=(0.06, 0.03))
    large = await database.photo("发票", "公司", sizes=(0.06, 0.015))
    unsure = await database.photo("公司", "发票", sizes=(0.06, 0.03), score=0.8)
    assert (await found(repository, "发票"))[:2] == [large, middle]
    assert set((await found(repository, "发票"))[2:]) == {small, unsure}


async def test_words_close_together_come_before_words_far_apart(
    database: ImmichDatabase, repository: SearchRepository
) -> None:
    filler = ["天地玄黄宇宙洪荒日月盈昃"] * 8
    far = await database.photo("书", "上海", *filler, "发票", sizes=[0.02] * 11)
    near = await database.photo("书", *filler, "上海发票", sizes=[0.02] * 10)
    phrase = await database.photo("书", "上海发票", "x", sizes=[0.06, 0.02, 0.02])
    order = await found(repository, "上海 发票")
    assert order.index(near) < order.index(far)
    assert order.index(phrase) < order.index(far)


async def test_scope(database: ImmichDatabase, repository: SearchRepository) -> None:
    mine, partners = await database.photo("发票"), await database.photo("发票", owner=PARTNER)
    await database.photo("发票", owner=STRANGER)
    states = {}
    for state in ("archive", "hidden", "locked"):
        states[state] = await database.photo("发票")
        await database.connection.execute(
            "UPDATE asset SET visibility = $2::text::asset_visibility_enum WHERE id = $1", states[state], state
        )
    trashed = await database.photo("发票")
    await database.connection.execute('UPDATE asset SET "deletedAt" = now() WHERE id = $1', trashed)
    assert set(await found(repository, "发票", Scope((OWNER, PARTNER)))) == {mine, partners}
    assert await found(repository, "发票", Scope((PARTNER,))) == [partners]
    assert await found(repository, "发票", Scope(())) == []
    assert await found(repository, "发票", Scope((OWNER,), frozenset({Visibility.LOCKED}))) == [states["locked"]]
    assert set(await found(repository, "发票", Scope((OWNER,), with_deleted=True))) == {mine, trashed}


@pytest.mark.parametrize("window", [3, 7, 2000])
async def test_pages_are_cut_from_one_sequence(
    database: ImmichDatabase, repository: SearchRepository, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(text_search, "WINDOW", window)
    for number in range(9):
        await database.photo("发票" if number % 3 else "公司", "发票" if number % 2 else "发 票", str(number))
    hidden = await database.photo("发票")
    await database.connection.execute("UPDATE asset SET visibility = 'archive' WHERE id = $1", hidden)
    whole = await repository.search_text("发票", SCOPE, limit=100)
    assert len(whole.hits) == 9
    assert not whole.has_more
    for size in (1, 2, 4):
        pages = [
            await repository.search_text("发票", SCOPE, limit=size, offset=offset)
            for offset in range(0, 9 + size, size)
        ]
        assert tuple(hit for page in pages for hit in page.hits) == whole.hits
        assert [page.has_more for page in pages] == [offset + size < 9 for offset in range(0, 9 + size, size)]


async def test_an_injection_is_a_string_like_any_other(database: ImmichDatabase, repository: SearchRepository) -> None:
    photo = await database.photo("发票")
    for query in (
        "'; DROP TABLE asset; --",
        "发票'; DELETE FROM asset_ocr; --",
        "$1",
        "') OR 1=1 --",
        "\\'; SELECT pg_sleep(10); --",
        "'发票':* & 'x'::tsquery",
        "$$; DROP SCHEMA mesh CASCADE; $$",
    ):
        await repository.search_text(query, SCOPE)
    assert await found(repository, "发票") == [photo]


async def test_very_long_and_very_repetitive_queries_end(
    database: ImmichDatabase, repository: SearchRepository
) -> None:
    await database.photo("发票" * 200, "a" * 300)
    for query in ("发票" * 5000, "a" * 100_000, "a " * 5000, '"' * 999, "- " * 999, "OR " * 999, "字" * 40, "x1" * 16):
        await repository.search_text(query, SCOPE)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("SN5465KRH043G", "H043G"),
        ("Gruesse aus Wien", "grüße"),
        ("乀位证书", "学位证书"),
        ("海关申抿单", "海关申报单"),
        ("上彐市第一人民医丨", "上海市第一人民医院"),
    ],
)
async def test_is_found_though_written_or_read_otherwise(
    database: ImmichDatabase, repository: SearchRepository, text: str, query: str
) -> None:
    photo = await database.photo(text)
    await database.photo("火车站", "welcome")
    right = await database.photo(query)
    assert await found(repository, query) == [right, photo]


async def test_one_call_answers_a_search(database: ImmichDatabase, repository: SearchRepository) -> None:
    await database.photo("增值税发栗")
    calls: list[str] = []

    async def count(connection: asyncpg.Connection) -> None:
        connection.add_query_logger(lambda record: calls.append(record.query))

    await repository.schema()
    await repository.database.read(count)
    assert len(await found(repository, "增值税发票")) == 1
    assert [query for query in calls if "mesh." in query] == [calls[0], "SELECT * FROM mesh.find($1)"]


async def test_pinyin_finds_what_is_read_so_below_what_is_written_so(database: ImmichDatabase) -> None:
    read, written = await database.photo("增值税发票"), await database.photo("fapiao")
    await database.photo("火车站")
    async with SearchRepository(database_settings(database.url)) as plain:
        assert await found(plain, "fapiao") == [written]
    async with SearchRepository(database_settings(database.url, pinyin=True)) as repository:
        page = await repository.search_text("fapiao", SCOPE)
        assert [(hit.asset_id, hit.match) for hit in page.hits] == [(written, Match.HEADLINE), (read, Match.PINYIN)]
        assert await found(repository, "zengzhishui fapiao") == [read]
        (explained,) = await repository.explain("fapiao", SCOPE, [read])
        assert explained.hit.match is Match.PINYIN
        assert [line.text for line in explained.lines] == ["增值税发票"]
