"""Self-healing in a real database: lost forced runs are found again, and routers agree; crops outlive a refresh."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from mesh.core.errors import UnavailableError
from router.front_door.healing.postgres_coordination import PostgresCoordination
from router.front_door.healing.queues import Queue
from sql.healing import HealingRepository
from sql.refresh import OcrLine, RefreshRepository
from sql.settings import DatabaseSettings
from tests.doubles.immich import ImmichDouble
from tests.integration.front_door.conftest import FrontDoorDatabase
from tests.waiting import PATIENCE_SECONDS

BEFORE = datetime(2020, 1, 1, tzinfo=UTC)


def reach(database: FrontDoorDatabase) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(database.url), statement_timeout_ms=5000)


async def test_a_forced_run_lost_whole_is_found_by_immichs_own_missing_job(
    database: FrontDoorDatabase, immich: ImmichDouble
) -> None:
    alice = immich.user("alice")
    run = database.connection.execute
    photos = {name: immich.photo(alice, name=name) for name in ("lost", "read again", "new", "trashed", "hidden")}
    photos["trashed"].trashed, photos["hidden"].visibility = True, "hidden"
    for photo in photos.values():
        await database.photo(photo, "text")
        await run('INSERT INTO asset_job_status ("assetId", "ocrAt") VALUES ($1, $2)', photo.id, BEFORE)
    async with HealingRepository(reach(database)) as repository:
        assert await repository.requeue_lost_text(10) == 0  # nothing was ever emptied
        await run("TRUNCATE asset_ocr")
        later = datetime.now(UTC) + timedelta(minutes=1)
        await run('UPDATE asset_job_status SET "ocrAt" = $2 WHERE "assetId" = $1', photos["new"].id, later)
        await run(
            'INSERT INTO asset_ocr ("assetId", x1, y1, x2, y2, x3, y3, x4, y4, "boxScore", "textScore", text)'
            " VALUES ($1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 'x')",
            photos["read again"].id,
        )
        assert await repository.requeue_lost_text(10) == 1
        assert await repository.requeue_lost_text(10) == 0
    missing = await database.connection.fetch('SELECT "assetId" FROM asset_job_status WHERE "ocrAt" IS NULL')
    assert [row["assetId"] for row in missing] == [photos["lost"].id]


async def test_lost_runs_come_back_in_batches(database: FrontDoorDatabase, immich: ImmichDouble) -> None:
    alice = immich.user("alice")
    for _ in range(5):
        photo = immich.photo(alice)
        await database.photo(photo)
        await database.connection.execute(
            'INSERT INTO asset_job_status ("assetId", "ocrAt") VALUES ($1, $2)', photo.id, BEFORE
        )
    await database.connection.execute("TRUNCATE asset_ocr")
    async with HealingRepository(reach(database)) as repository:
        assert [await repository.requeue_lost_text(2) for _ in range(4)] == [2, 2, 1, 0]


@asynccontextmanager
async def routers(database: FrontDoorDatabase, count: int) -> AsyncIterator[list[PostgresCoordination]]:
    opened = [PostgresCoordination(reach(database)) for _ in range(count)]
    try:
        yield opened
    finally:
        for router in opened:
            await router.close()


async def test_routers_agree_through_the_database(database: FrontDoorDatabase) -> None:
    async with routers(database, 3) as (first, second, late):
        assert await first.join()
        assert await second.join()
        assert await first.lead()
        assert not await second.lead()
        await first.close()  # as a router that dies: its locks go with it
        await until(second.lead)
        assert await first.join()
        assert [await first.leave(), await second.leave()] == [False, True]
        await second.note([Queue.OCR, Queue.FACES])
        assert not await late.join()  # the last one is still pausing
        await second.close()
        await until(late.join)
        assert await late.noted() == {Queue.OCR, Queue.FACES}
        await late.forget([Queue.OCR])
        assert await late.noted() == {Queue.FACES}


async def test_a_connection_that_is_lost_is_opened_again(database: FrontDoorDatabase) -> None:
    async with routers(database, 1) as (router,):
        assert await router.join()
        await database.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'immich-mesh-healing'"
        )
        await until_lost(router)
        assert await router.join()
        assert await router.lead()


async def until_lost(router: PostgresCoordination) -> None:
    """The news of a connection's end takes a moment; what was asked before it is answered."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await router.note([])
            except UnavailableError:
                return
            await asyncio.sleep(0.01)


async def until(ask: Callable[[], Awaitable[bool]]) -> None:
    """The server notices a moment later that a session has ended."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await ask():  # noqa: ASYNC110 - polled from outside
            await asyncio.sleep(0.01)


async def test_what_is_no_database_is_one_error() -> None:
    router = PostgresCoordination(DatabaseSettings(url=SecretStr("postgresql://u:p@127.0.0.1:1/immich")))
    with pytest.raises(UnavailableError):
        await router.join()


@pytest.mark.parametrize(("orientation", "crop"), [("1", (0, 0, 1000, 400)), ("6", (0, 0, 800, 500))])
async def test_a_refresh_keeps_cropped_lines_hidden(
    database: FrontDoorDatabase, immich: ImmichDouble, orientation: str, crop: tuple[int, int, int, int]
) -> None:
    run = database.connection.execute
    await run(
        'ALTER TABLE asset_exif ADD "exifImageWidth" integer, ADD "exifImageHeight" integer, ADD orientation varchar'
    )
    await run('CREATE TABLE asset_edit ("assetId" uuid, action varchar, parameters jsonb, sequence integer)')
    photo = immich.photo(immich.user("alice"))
    await database.photo(photo, "old")
    await run(
        'UPDATE asset_exif SET "exifImageWidth" = 1000, "exifImageHeight" = 800, orientation = $2 WHERE "assetId" = $1',
        photo.id, orientation,
    )  # fmt: skip
    lines = [
        OcrLine("inside", (0.1, 0.1, 0.6, 0.1, 0.6, 0.2, 0.1, 0.2), 0.9, 0.9),
        OcrLine("mostly inside", (0.1, 0.4, 0.6, 0.4, 0.6, 0.55, 0.1, 0.55), 0.9, 0.9),
        OcrLine("cut away", (0.1, 0.8, 0.6, 0.8, 0.6, 0.9, 0.1, 0.9), 0.9, 0.9),
    ]
    async with RefreshRepository(reach(database)) as repository:
        await repository.replace_text(photo.id, lines, (1440, 1920), datetime.now(UTC))
        shown = 'SELECT text FROM asset_ocr WHERE "assetId" = $1 AND "isVisible" ORDER BY ctid'
        assert len(await database.connection.fetch(shown, photo.id)) == 3  # not cropped
        x, y, width, height = crop
        parameters = f'{{"x": {x}, "y": {y}, "width": {width}, "height": {height}}}'
        await run("INSERT INTO asset_edit VALUES ($1, 'crop', $2, 0)", photo.id, parameters)
        await repository.replace_text(photo.id, lines, (1440, 1920), datetime.now(UTC))
        assert [row["text"] for row in await database.connection.fetch(shown, photo.id)] == ["inside", "mostly inside"]
        tokens = await database.connection.fetchval('SELECT text FROM ocr_search WHERE "assetId" = $1', photo.id)
        assert tokens == "inside mostly inside"
        body = await database.connection.fetchval("SELECT body FROM mesh.ocr_document WHERE asset_id = $1", photo.id)
        assert "cut" not in body
        await repository.replace_text(photo.id, lines[2:], (1440, 1920), datetime.now(UTC))
        assert await database.connection.fetchval("SELECT count(*) FROM ocr_search") == 0
