"""`mesh.fold` and `mesh.runs`: one form for documents and queries."""

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.sql.conftest import ImmichDatabase

# PostgreSQL's text holds no NUL, and UTF-8 no lone surrogate.
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=60)
EXAMPLES = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def fold(connection: asyncpg.Connection, text: str) -> str:
    folded: str = await connection.fetchval("SELECT mesh.fold($1)", text)
    return folded


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ＡＢＣ　１２３", "abc 123"),
        ("INVOICE", "invoice"),
        ("發票", "发票"),
        ("電子普通發票", "电子普通发票"),
        ("Crème Brûlée", "creme brulee"),
        ("Straße Łódź Ærø", "strasse lodz aero"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("ﾃﾞｰﾀ", "データ"),
        ("がぎぐ", "がぎぐ"),
        ("한국어", "한국어"),
        ("发\u200b票\ufeff", "发票"),
        ("发\u0007票", "发票"),
        ("a\u00adb", "ab"),
        (" a \t\n b ", "a b"),
        ("①㈱ﬁ", "1(株)fi"),
        ("İI", "ii"),
        ("", ""),
    ],
)
async def test_folding(database: ImmichDatabase, text: str, folded: str) -> None:
    assert await fold(database.connection, text) == folded


@EXAMPLES
@given(text=TEXT)
async def test_folding_is_idempotent(database: ImmichDatabase, text: str) -> None:
    once = await fold(database.connection, text)
    assert await fold(database.connection, once) == once


@EXAMPLES
@given(text=TEXT)
async def test_case_does_not_matter(database: ImmichDatabase, text: str) -> None:
    folded = await fold(database.connection, text)
    assert await fold(database.connection, text.lower()) in (
        folded,
        await fold(database.connection, text.lower().upper()),
    )
    assert await fold(database.connection, folded.upper()) == await fold(database.connection, folded.upper().lower())


@EXAMPLES
@given(text=TEXT)
async def test_runs_hold_letters_only_and_lose_none(database: ImmichDatabase, text: str) -> None:
    folded = await fold(database.connection, text)
    runs = [
        row["run"] for row in await database.connection.fetch("SELECT run FROM mesh.runs($1) ORDER BY ordinal", folded)
    ]
    kept = "".join(runs)
    assert not set(kept) & set(" '\"\\&|!<>():*,.-\u3000")
    assert [character for character in folded if character.isascii() and character.isalnum()] == [
        character for character in kept if character.isascii() and character.isalnum()
    ]


async def test_runs(database: ImmichDatabase) -> None:
    rows = await database.connection.fetch(
        "SELECT unsegmented, run FROM mesh.runs('第3页 iphone15价格:7,999 日本のデータ・ベース')"
    )
    assert [tuple(row) for row in rows] == [
        (True, "第"), (False, "3"), (True, "页"), (False, "iphone15"), (True, "价格"), (False, "7"), (False, "999"),
        (True, "日本のデータ"), (True, "ベース"),
    ]  # fmt: skip


async def test_functions_hold_without_a_search_path(database: ImmichDatabase) -> None:
    """As while a backup is restored: nothing may be found by the session's search path."""
    await database.connection.execute("SET search_path = ''")
    assert await fold(database.connection, "發票") == "发票"
    body = await database.connection.fetchval(
        "SELECT (mesh.document(ARRAY[ROW(NULL, 1, '發票 No.1', 0.9, 0.1)::mesh.line])).body"
    )
    assert body == "发票 no 1"
