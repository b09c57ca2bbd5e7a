"""Nothing of ours fails or holds up a write of Immich's, and nobody gains rights through it."""

# ruff: noqa: E501 - statements read best as lines

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from sql.refresh import OcrLine, RefreshRepository
from sql.upkeep.backfill import backfill
from sql.upkeep.status import status
from tests.integration.sql.conftest import OWNER, ImmichDatabase, settings

WRITE = (
    'INSERT INTO asset_ocr ("assetId", x1, y1, x2, y2, x3, y3, x4, y4, "boxScore", "textScore", text)'
    " VALUES ($1, 0, 0, 1, 0, 1, 1, 0, 1, 0.9, 0.9, $2)"
)
AUDIT = """
CREATE TABLE asset_ocr_audit (id uuid DEFAULT gen_random_uuid(), "assetId" uuid NOT NULL);
CREATE FUNCTION asset_ocr_delete_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO asset_ocr_audit ("assetId") SELECT "assetId" FROM old;
  RETURN NULL;
END $$;
CREATE TRIGGER asset_ocr_delete_audit AFTER DELETE ON asset_ocr REFERENCING OLD TABLE AS old
  FOR EACH STATEMENT EXECUTE FUNCTION asset_ocr_delete_audit();
"""
"""Immich 3's audit of deleted lines, which finds its table by the session's search path."""


@pytest.fixture
async def searcher(database: ImmichDatabase) -> AsyncIterator[asyncpg.Connection]:
    """A role that may only search, where everybody may create in schema public, as PostgreSQL 14 has it."""
    role = f"searcher_{database.name}"
    await database.connection.execute(f"CREATE ROLE {role} LOGIN; GRANT CREATE ON SCHEMA public TO PUBLIC")
    await database.connection.execute("SELECT mesh.grant_to($1, false)", role)
    connection = await asyncpg.connect(database.url.replace("postgres@", f"{role}@"))
    yield connection
    await connection.close()
    await database.connection.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


EVIL = """
CREATE FUNCTION public.evil(id uuid) RETURNS uuid LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    EXECUTE format('ALTER ROLE %I SUPERUSER', session_user);
    EXECUTE (SELECT string_agg(format('ALTER ROLE %I SUPERUSER', rolname), ';') FROM pg_roles WHERE rolname LIKE 'searcher_%');
  END IF;
  RETURN id;
END $$;
CREATE FUNCTION public.evil(value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM public.evil(gen_random_uuid()); RETURN value; END $$;
CREATE FUNCTION public.f_unaccent(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN public.evil($1); END $$;
CREATE FUNCTION public.f_unaccent(varchar) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN public.evil($1::text); END $$;
CREATE VIEW public.ocr_info AS SELECT public.evil(gen_random_uuid()) AS "assetId", public.evil('x'::text) AS text, '{}'::jsonb AS "ocrJson";
CREATE VIEW public.system_metadata AS SELECT 'system-config' AS key, jsonb_build_object('machineLearning', public.evil('x'::text)) AS value;
CREATE TEMP TABLE asset (id uuid, "ownerId" uuid);
CREATE FUNCTION public.equals(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.evil($1); RETURN true; END $$;
CREATE OPERATOR public.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = public.equals);
GRANT SELECT ON public.ocr_info, public.system_metadata TO PUBLIC;
"""


async def test_a_role_that_may_search_does_not_become_more(
    database: ImmichDatabase, searcher: asyncpg.Connection
) -> None:
    photo = await database.photo("before")
    await searcher.execute(EVIL)
    empty = await database.photo()
    await database.connection.execute(WRITE, empty, "hello")
    await database.connection.execute('DELETE FROM asset_ocr WHERE "assetId" = $1', empty)
    await database.connection.execute("UPDATE asset_ocr SET text = 'after'")
    await backfill(database.connection)
    names = '[{"field": "originalFileName", "op": "like", "value": "a"}]'
    scope = f'{{"owners": ["{OWNER}"], "visibilities": ["timeline"], "deleted": false}}'
    step = '{"match": "text", "where": {"words": "\'after\'"}, "rank": {"column": "words", "query": "\'after\'"}}'
    asked = (
        f'{{"steps": [{step}], "window": 10, "start": 0, "end": 10, "scope": {scope},'
        f' "filters": {{"all": {names}, "any": []}}}}'
    )
    await searcher.fetch("SELECT * FROM mesh.find($1)", asked)
    await searcher.fetch("SELECT * FROM mesh.nearest($1, $2, NULL, 5)", str([0.1] * 512), asked)
    for call in (
        "mesh.ml_settings()",
        "mesh.lines(ARRAY[$1::uuid])",
        "mesh.missing_text($1)",
        "mesh.missing($1)",
        "mesh.faces_at($1)",
    ):
        await searcher.fetch(f"SELECT count(*), $1::uuid FROM {call}", photo)
    await database.connection.execute("TRUNCATE asset_ocr")
    assert not await database.connection.fetchval(
        "SELECT rolsuper FROM pg_roles WHERE rolname = $1", await searcher.fetchval("SELECT session_user::text")
    )


@pytest.mark.parametrize(
    ("where", "rest"),
    [
        ('{"words": "\'a\'\'; DROP TABLE asset; --"}', ""),
        ('{"sql": "true"}', ""),
        ('{"body": "a\') OR true --"}', ""),
        ('{"words": "\'a\'"}', '"scope": {"owners": ["x\'"], "visibilities": [], "deleted": false}, '),
        ('{"words": "\'a\'"}', '"filters": {"all": [{"field": "ownerId; --", "op": "eq", "value": "x"}], "any": []}, '),
        ('{"words": "\'a\'"}', '"window": "1; --", '),
    ],
)
async def test_what_is_asked_is_data(
    database: ImmichDatabase, searcher: asyncpg.Connection, where: str, rest: str
) -> None:
    await database.photo("a' OR true")
    plain = '"window": 10, "scope": {"owners": null, "visibilities": ["timeline"], "deleted": false}'
    step = f'{{"match": "text", "where": {where}, "rank": {{"column": "words", "query": "a"}}}}'
    # The last of two keys counts.
    asked = f'{{{plain}, {rest}"start": 0, "end": 10, "steps": [{step}]}}'
    with pytest.raises(asyncpg.PostgresError) as raised:
        await searcher.fetch("SELECT * FROM mesh.find($1)", asked)
    assert not isinstance(raised.value, asyncpg.PostgresSyntaxError) or "tsquery" in str(raised.value)
    assert await database.connection.fetchval("SELECT to_regclass('public.asset') IS NOT NULL")


async def test_every_function_with_its_owners_rights_has_a_fixed_search_path(database: ImmichDatabase) -> None:
    rows = await database.connection.fetch(
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'mesh'::regnamespace AND prosecdef"
    )
    assert rows
    assert all("search_path=pg_catalog, pg_temp" in row["proconfig"] for row in rows)


@pytest.mark.parametrize(
    "lock",
    [
        "LOCK TABLE mesh.ocr_document IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE mesh.turn IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE mesh.ocr_document, mesh.stale IN ACCESS EXCLUSIVE MODE",
    ],
)
async def test_a_lock_of_ours_holds_up_no_write(database: ImmichDatabase, lock: str) -> None:
    photo = await database.photo()
    holder = await asyncpg.connect(database.url)
    await holder.execute("BEGIN")
    await holder.execute(lock)
    await asyncio.wait_for(database.connection.execute(WRITE, photo, "发票"), 30)
    await holder.execute("ROLLBACK")
    await holder.close()
    assert await database.connection.fetchval("SELECT text FROM asset_ocr") == "发票"
    assert (await status(database.connection)).problems
    await backfill(database.connection)
    assert await database.body(photo) == "发票"
    assert (await status(database.connection)).problems == ()


async def test_who_may_search_can_lock_nothing_that_a_write_waits_for(
    database: ImmichDatabase, searcher: asyncpg.Connection
) -> None:
    for statement in ("SELECT FROM mesh.turn FOR UPDATE", "DELETE FROM mesh.stale", "SELECT mesh.take_turns('{}')"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await searcher.execute(statement)


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE mesh.stale",
        "DROP FUNCTION mesh.fold(text) CASCADE; DROP TABLE mesh.ocr_document CASCADE; DROP TABLE mesh.stale",
        "DROP TABLE mesh.emptied, mesh.turn",
        "ALTER TABLE mesh.ocr_document ADD CHECK (false) NOT VALID; ALTER TABLE mesh.stale ADD CHECK (false) NOT VALID",
    ],
)
async def test_damage_to_our_schema_fails_no_write(database: ImmichDatabase, damage: str) -> None:
    photo = await database.photo()
    await database.connection.execute(damage)
    await database.connection.execute(WRITE, photo, "发票")
    await database.connection.execute("TRUNCATE asset_ocr")
    await database.connection.execute(WRITE, photo, "收据")
    assert await database.connection.fetchval("SELECT text FROM asset_ocr") == "收据"
    if "DROP TABLE" in damage:
        assert "tables of schema mesh are gone" in " ".join((await status(database.connection)).problems)


@pytest.mark.parametrize(
    "text", ["ab " * 17_000, "狗" * 17_000, "发票ab " * 5_000, "x" * 50_000, "2024年03月05日 " * 2_500]
)
async def test_a_long_text_costs_in_proportion(database: ImmichDatabase, text: str) -> None:
    async def seconds(content: str) -> float:
        photo = await database.photo()
        started = time.perf_counter()
        await database.connection.execute(WRITE, photo, content)
        return time.perf_counter() - started

    await seconds("warm")
    quarter = min([await seconds(text[: len(text) // 4]) for _ in range(3)])
    whole = min([await seconds(text) for _ in range(3)])
    # Four times the text; what grows with the square would take sixteen times as long.
    assert whole < max(10 * quarter, 0.2)
    assert await database.connection.fetchval("SELECT count(*) FROM mesh.stale") == 0


async def test_a_refresh_writes_what_immichs_own_triggers_write(database: ImmichDatabase) -> None:
    line = OcrLine("收据", (0.1, 0.2, 0.6, 0.2, 0.6, 0.3, 0.1, 0.3), 0.95, 0.99)
    await database.connection.execute(AUDIT)
    photo = await database.photo("发票")
    role = f"refresher_{database.name}"
    await database.connection.execute(f"CREATE ROLE {role} LOGIN")
    await database.connection.execute("SELECT mesh.grant_to($1, true)", role)
    async with RefreshRepository(settings(database.url.replace("postgres@", f"{role}@"))) as refreshing:
        change = await refreshing.replace_text(photo, [line], (1, 1), datetime.now(UTC))
    assert change.before == ("发票",)
    assert await database.connection.fetchval("SELECT count(*) FROM asset_ocr_audit") == 1
    assert await database.body(photo) == "收据"
    await database.connection.execute(f"DROP ROLE {role}")
