"""Documents follow Immich's rows, and never stand in Immich's way."""

# ruff: noqa: E501 - tables read best as lines

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from sql.migrate import migrate
from sql.upkeep.backfill import backfill
from sql.upkeep.status import status
from tests.integration.sql.conftest import OWNER, ImmichDatabase, Server, immich_database


async def test_a_document_is_made_replaced_and_removed(database: ImmichDatabase) -> None:
    photo = await database.photo("增值税電子普通發票", "NO.12345678")
    assert await database.body(photo) == "增值税电子普通发票 no 12345678"
    await database.lines(photo, "收據")
    assert await database.body(photo) == "收据"
    await database.connection.execute('DELETE FROM asset_ocr WHERE "assetId" = $1', photo)
    assert await database.body(photo) is None


async def test_hidden_lines_are_not_searched(database: ImmichDatabase) -> None:
    photo = await database.photo("发票", "密码123456")
    await database.connection.execute("""UPDATE asset_ocr SET "isVisible" = false WHERE text LIKE '密码%'""")
    assert await database.body(photo) == "发票"
    await database.connection.execute('UPDATE asset_ocr SET "isVisible" = true')
    assert await database.body(photo) == "发票 密码123456"


async def test_a_line_moved_to_another_photo_changes_both(database: ImmichDatabase) -> None:
    first, second = await database.photo("发票"), await database.photo("收据")
    await database.connection.execute('UPDATE asset_ocr SET "assetId" = $1 WHERE "assetId" = $2', first, second)
    assert await database.body(second) is None
    assert await database.body(first) in ("发票 收据", "收据 发票")


async def test_deleting_photos_and_truncating_remove_documents(database: ImmichDatabase) -> None:
    gone = await database.photo("发票")
    await database.connection.execute("DELETE FROM asset WHERE id = $1", gone)
    assert await database.body(gone) is None
    await database.photo("收据")
    await database.connection.execute("TRUNCATE asset_ocr")
    assert await database.connection.fetchval("SELECT count(*) FROM mesh.ocr_document") == 0


async def test_one_statement_for_many_photos(database: ImmichDatabase) -> None:
    photos = [await database.photo("发票") for _ in range(20)]
    await database.connection.execute("UPDATE asset_ocr SET text = text || '存根'")
    assert {await database.body(photo) for photo in photos} == {"发票存根"}


async def test_lines_are_read_row_by_row_from_left_to_right(database: ImmichDatabase) -> None:
    photo = await database.connection.fetchval('INSERT INTO asset ("ownerId") VALUES ($1) RETURNING id', OWNER)
    for text, x, y in (("右上", 0.6, 0.101), ("下", 0.1, 0.3), ("左上", 0.1, 0.1)):
        await database.connection.execute(
            'INSERT INTO asset_ocr ("assetId", x1, y1, x2, y2, x3, y3, x4, y4, "boxScore", "textScore", text)'
            " SELECT $1, x, y, x + 0.2, y, x + 0.2, y + 0.05, x, y + 0.05, 0.9, 0.9, $2 FROM (SELECT $3::real AS x, $4::real AS y) AS at",
            photo, text, x, y,
        )  # fmt: skip
    assert await database.body(photo) == "左上 右上 下"


async def test_blank_and_odd_texts_are_stored_without_complaint(database: ImmichDatabase) -> None:
    for text in ("   ", "…—！", "\\'\"':*&|!<->", "x" * 5000, "字" * 20000, "\u200b", "a\u0301" * 3):
        photo = await database.photo(text)
        assert await database.body(photo) is not None
    assert await database.connection.fetchval("SELECT count(*) FROM mesh.stale") == 0


async def until_somebody_waits(database: ImmichDatabase) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    while not await database.connection.fetchval(waiting):  # noqa: ASYNC110 - the event is in another process
        await asyncio.sleep(0)


async def test_two_writers_of_one_photo_leave_the_document_of_both(database: ImmichDatabase) -> None:
    """The second writer's trigger must see what the first has committed, though it began before that."""
    photo = await database.photo("初")
    insert = (
        'INSERT INTO asset_ocr ("assetId", x1, y1, x2, y2, x3, y3, x4, y4, "boxScore", "textScore", text)'
        " VALUES ($1, 0, 0.5, 1, 0.5, 1, 0.6, 0, 0.6, 0.9, 0.9, $2)"
    )
    first, second = await asyncpg.connect(database.url), await asyncpg.connect(database.url)
    transaction = first.transaction()
    await transaction.start()
    await first.execute(insert, photo, "甲")
    waiting = asyncio.create_task(second.execute(insert, photo, "乙"))
    await until_somebody_waits(database)
    await transaction.commit()
    await waiting
    assert set((await database.body(photo) or "").split()) == {"初", "甲", "乙"}
    await first.close()
    await second.close()


@pytest.mark.parametrize(
    "change",
    [
        'ALTER TABLE asset_ocr DROP COLUMN "textScore"',
        "ALTER TABLE asset_ocr RENAME COLUMN text TO content",
        'ALTER TABLE asset_ocr RENAME COLUMN "assetId" TO "photoId"',
        "ALTER TABLE asset_ocr ALTER COLUMN x1 TYPE double precision",
        "ALTER TABLE asset_ocr RENAME TO asset_text",
        "DROP TABLE asset_ocr",
        'ALTER TABLE asset RENAME COLUMN "ownerId" TO owner',
        "DROP TABLE smart_search",
        "ALTER TABLE smart_search ALTER COLUMN embedding TYPE vector(768) USING NULL::vector(768)",
        'DROP TABLE "user" CASCADE',
    ],
)
async def test_immich_may_change_its_tables_and_go_on_writing(database: ImmichDatabase, change: str) -> None:
    await database.photo("发票")
    if "768" in change:
        await database.connection.execute(
            "DELETE FROM smart_search; ALTER TABLE smart_search ALTER embedding DROP NOT NULL"
        )
    await database.connection.execute(change)
    columns = [
        row["attname"]
        for row in await database.connection.fetch(
            """SELECT attname FROM pg_attribute WHERE attrelid = coalesce(to_regclass('asset_ocr'),
            to_regclass('asset_text'))
               AND attnum > 0 AND NOT attisdropped AND attname <> 'id'"""
        )
    ]
    table = "asset_text" if "RENAME TO" in change else "asset_ocr"
    if columns:
        listed = ", ".join(f'"{name}"' for name in columns)
        await database.connection.execute(f"INSERT INTO {table} ({listed}) SELECT {listed} FROM {table}")
        await database.connection.execute(f"DELETE FROM {table}")
    found = await status(database.connection)
    harmless = "x1 TYPE" in change or "user" in change or "768" in change
    assert bool(found.problems) != harmless


async def test_what_a_trigger_cannot_follow_is_told_and_healed(database: ImmichDatabase) -> None:
    await database.connection.execute('ALTER TABLE asset_ocr RENAME COLUMN "textScore" TO confidence')
    photo = await database.connection.fetchval('INSERT INTO asset ("ownerId") VALUES ($1) RETURNING id', OWNER)
    await database.connection.execute(
        'INSERT INTO asset_ocr ("assetId", x1, y1, x2, y2, x3, y3, x4, y4, "boxScore", confidence, text)'
        " VALUES ($1, 0, 0, 1, 0, 1, 1, 0, 1, 0.9, 0.9, '发票')",
        photo,
    )
    problems = " ".join((await status(database.connection)).problems)
    assert "lacks textScore" in problems
    assert "1 changes could not be followed" in problems
    await database.connection.execute('ALTER TABLE asset_ocr RENAME COLUMN confidence TO "textScore"')
    await backfill(database.connection)
    assert await database.body(photo) == "发票"
    assert (await status(database.connection)).problems == ()


class TestFork:
    """The predecessor's fork's table."""

    @pytest.fixture
    async def fork(self, postgres: Server) -> AsyncIterator[ImmichDatabase]:
        async with immich_database(postgres, "fork.sql") as database:
            await migrate(database.connection)
            yield database

    async def write(self, fork: ImmichDatabase, text: str, found: object) -> UUID:
        photo = uuid4()
        await fork.connection.execute('INSERT INTO asset (id, "ownerId") VALUES ($1, $2)', photo, OWNER)
        await fork.connection.execute("INSERT INTO ocr_info VALUES ($1, $2, $3)", photo, text, json.dumps(found))
        return photo

    async def test_lines_come_from_its_json(self, fork: ImmichDatabase) -> None:
        boxes = [{"x1": 10, "y1": 10, "x2": 500, "y2": 60}, {"x1": 10, "y1": 900, "x2": 300, "y2": 12}]
        found = {"texts": ["增值税發票", "备注"], "scores": ["0.98", "0.70"], "boxes": boxes}
        for nested in (found, {"ocr": "增值税發票 备注", "result": found}):
            photo = await self.write(fork, "增值税發票 备注", nested)
            row = await fork.connection.fetchrow("SELECT * FROM mesh.ocr_document WHERE asset_id = $1", photo)
            assert row["body"] == "增值税发票 备注"
            assert "备注" not in row["headline"]
            assert "'备注':6 " in row["words"]  # D, the weight of unsure lines, has no letter

    @pytest.mark.parametrize(
        "found", [None, {}, [], "text", {"texts": "发票"}, {"texts": [1, None]}, {"texts": ["发票"], "boxes": [7]}]
    )
    async def test_odd_json_is_no_obstacle(self, fork: ImmichDatabase, found: object) -> None:
        photo = await self.write(fork, "发票", found)
        assert await fork.body(photo) is not None
        assert await fork.connection.fetchval("SELECT count(*) FROM mesh.stale") == 0

    async def test_updates_and_deletes_are_followed(self, fork: ImmichDatabase) -> None:
        photo = await self.write(fork, "发票", None)
        await fork.connection.execute("UPDATE ocr_info SET text = '收据'")
        assert await fork.body(photo) == "收据"
        await fork.connection.execute("DELETE FROM ocr_info")
        assert await fork.body(photo) is None
        assert (await status(fork.connection)).problems == ()


async def test_immich_2_2(postgres: Server) -> None:
    async with immich_database(postgres, "early.sql") as database:
        await migrate(database.connection)
        photo = await database.photo("发票")
        assert await database.body(photo) == "发票"
        assert (await status(database.connection)).problems == ()
        await database.connection.execute('ALTER TABLE asset_ocr ADD COLUMN "isVisible" boolean NOT NULL DEFAULT true')
        await database.connection.execute('UPDATE asset_ocr SET "isVisible" = false')
        assert await database.body(photo) is None


async def test_no_plan_of_ours_is_compiled_in_immichs_sessions(database: ImmichDatabase) -> None:
    """Compiling takes hundreds of milliseconds for what runs in one; triggers and backfill enter by these two."""
    rows = await database.connection.fetch(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'mesh'::regnamespace AND proconfig @> '{jit=off}'"
    )
    assert {row["proname"] for row in rows} == {"document", "refresh"}
