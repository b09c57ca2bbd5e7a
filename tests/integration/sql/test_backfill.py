"""Backfill: the first time, after a kill, beside writers, after lost triggers."""

# ruff: noqa: E501 - tables read best as lines

import asyncio

import asyncpg
import pytest

from mesh.core.errors import UnavailableError
from sql.filters import Scope
from sql.migrate import migrate
from sql.repository import SearchRepository
from sql.upkeep import backfill as module
from sql.upkeep import indexes
from sql.upkeep.backfill import backfill
from sql.upkeep.status import status
from tests.integration.sql.conftest import OWNER, ImmichDatabase, settings

SCOPE = Scope((OWNER,))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 7)
    monkeypatch.setattr(module, "LINES_PER_BATCH", 10)


async def fill(database: ImmichDatabase, count: int) -> None:
    """Photos of three lines each, written in one statement."""
    await database.connection.execute(
        """
        WITH photo AS (INSERT INTO asset ("ownerId") SELECT '00000000-0000-0000-0000-000000000001' FROM generate_series(1, $1)
                       RETURNING id)
        INSERT INTO asset_ocr ("assetId", x1, y1, x2, y2, x3, y3, x4, y4, "boxScore", "textScore", text)
        SELECT id, 0, n * 0.1, 1, n * 0.1, 1, n * 0.1 + 0.05, 0, n * 0.1 + 0.05, 0.9, 0.9, '第' || n || '行发票'
        FROM photo, generate_series(1, 3) AS n
        """,
        count,
    )


async def documents(database: ImmichDatabase) -> int:
    found: int = await database.connection.fetchval("SELECT count(*) FROM mesh.ocr_document")
    return found


async def test_first_backfill_covers_every_photo(unmigrated: ImmichDatabase) -> None:
    await fill(unmigrated, 50)
    await migrate(unmigrated.connection)
    progress: list[tuple[int, int, int]] = []
    done = await backfill(unmigrated.connection, lambda *step: progress.append(step))
    assert (done.photos, done.changed) == (50, 50)
    assert progress[0] == (0, 50, 0)
    assert progress[-1] == (50, 50, 50)
    assert (await status(unmigrated.connection)).problems == ()
    assert (await backfill(unmigrated.connection)).changed == 0


async def test_until_the_first_backfill_immichs_own_search_is_the_better_one(unmigrated: ImmichDatabase) -> None:
    """One photo that was read since would hide all that were read before."""
    await fill(unmigrated, 3)
    await migrate(unmigrated.connection)
    await unmigrated.photo("发票")
    async with SearchRepository(settings(unmigrated.url)) as repository:
        with pytest.raises(UnavailableError, match="not indexed yet"):
            await repository.search_text("发票", SCOPE)
        problems = (await status(unmigrated.connection)).problems
        assert any("own until the texts are indexed: run `immich-mesh db backfill`" in problem for problem in problems)
        await backfill(unmigrated.connection)
        assert (await status(unmigrated.connection)).problems == ()
        assert len((await repository.search_text("发票", SCOPE)).hits) == 4


async def test_a_first_backfill_of_many_photos_builds_indexes_afterwards(
    unmigrated: ImmichDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BULK", 20)
    await fill(unmigrated, 30)
    await migrate(unmigrated.connection)
    assert set((await backfill(unmigrated.connection)).indexes) == set(indexes.DEFINITIONS)
    assert (await status(unmigrated.connection)).problems == ()


async def test_a_killed_backfill_goes_on_where_it_was(
    unmigrated: ImmichDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BULK", 20)
    await fill(unmigrated, 60)
    await migrate(unmigrated.connection)
    interrupted = await asyncpg.connect(unmigrated.url)
    killed = asyncio.Event()

    def kill(done: int, total: int, changed: int) -> None:
        if done >= 28 and not killed.is_set():
            killed.set()
            interrupted.terminate()

    with pytest.raises((asyncpg.InterfaceError, ConnectionError)):
        await backfill(interrupted, kill)
    assert killed.is_set()
    made = await documents(unmigrated)
    assert 28 <= made < 60
    assert (await status(unmigrated.connection)).missing_indexes
    done = await backfill(unmigrated.connection)
    assert done.changed == 60 - made
    assert (await status(unmigrated.connection)).problems == ()


async def test_an_index_build_that_was_killed_is_done_again(database: ImmichDatabase) -> None:
    await fill(database, 5)
    await database.connection.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'mesh.ocr_document_words'::regclass"
    )
    assert (await status(database.connection)).missing_indexes == ("ocr_document_words",)
    assert (await backfill(database.connection)).indexes == ("ocr_document_words",)
    assert (await status(database.connection)).problems == ()


async def test_writers_beside_a_backfill_are_not_held_up_and_win(unmigrated: ImmichDatabase) -> None:
    await fill(unmigrated, 60)
    await migrate(unmigrated.connection)
    photos = [row["assetId"] for row in await unmigrated.connection.fetch('SELECT DISTINCT "assetId" FROM asset_ocr')]
    other = await asyncpg.connect(unmigrated.url)
    running = asyncio.create_task(backfill(other))
    for number, photo in enumerate(photos):
        await unmigrated.lines(photo, f"新{number}")
    await running
    rows = await unmigrated.connection.fetch("SELECT asset_id, body FROM mesh.ocr_document")
    assert {row["asset_id"]: row["body"] for row in rows} == {
        photo: f"新{number}" for number, photo in enumerate(photos)
    }
    await other.close()


async def test_dropped_and_disabled_triggers_are_healed(database: ImmichDatabase) -> None:
    photo = await database.photo("发票")
    await database.connection.execute("DROP TRIGGER mesh_insert ON asset_ocr; DROP TRIGGER mesh_delete ON asset_ocr")
    await database.connection.execute("ALTER TABLE asset_ocr DISABLE TRIGGER mesh_update")
    await database.lines(photo, "收据")
    new = await database.photo("火车票")
    assert await database.body(photo) == "发票"
    done = await backfill(database.connection)
    assert set(done.triggers) == {"asset_ocr.mesh_insert", "asset_ocr.mesh_delete", "asset_ocr.mesh_update"}
    assert done.changed == 2
    assert (await database.body(photo), await database.body(new)) == ("收据", "火车票")
    await database.lines(photo, "发票")
    assert await database.body(photo) == "发票"


async def test_documents_of_photos_that_went_unseen_are_removed(database: ImmichDatabase) -> None:
    photo = await database.photo("发票")
    await database.connection.execute("ALTER TABLE asset_ocr DISABLE TRIGGER mesh_delete; DELETE FROM asset_ocr")
    assert await database.body(photo) == "发票"
    await backfill(database.connection)
    assert await documents(database) == 0


async def test_without_schema_or_text_tables_it_says_so(unmigrated: ImmichDatabase) -> None:
    with pytest.raises(UnavailableError, match="db migrate"):
        await backfill(unmigrated.connection)
    await migrate(unmigrated.connection)
    await unmigrated.connection.execute("DROP TABLE asset_ocr")
    with pytest.raises(UnavailableError, match="neither asset_ocr nor ocr_info"):
        await backfill(unmigrated.connection)
