"""A forced run that Immich lost, in part or whole: the moment at which it emptied its table tells."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from sql.refresh import RefreshRepository
from tests.integration.sql.conftest import OWNER, ImmichDatabase, settings


@pytest.fixture
async def refreshing(database: ImmichDatabase) -> AsyncIterator[RefreshRepository]:
    async with RefreshRepository(settings(database.url)) as repository:
        yield repository


async def read(database: ImmichDatabase, photo: UUID) -> None:
    """Immich's note that the photo's OCR job has ended."""
    await database.connection.execute(
        'INSERT INTO asset_job_status ("assetId", "ocrAt") VALUES ($1, clock_timestamp())'
        ' ON CONFLICT ("assetId") DO UPDATE SET "ocrAt" = excluded."ocrAt"',
        photo,
    )


async def test_a_forced_run_that_was_lost_whole_is_missing(
    database: ImmichDatabase, refreshing: RefreshRepository
) -> None:
    photos = [await database.photo("发票"), await database.photo()]
    for photo in photos:
        await read(database, photo)
    assert await refreshing.missing_text(OWNER) == []
    await database.connection.execute("TRUNCATE asset_ocr")
    assert set(await refreshing.missing_text(OWNER)) == set(photos)


async def test_what_was_read_after_the_table_was_emptied_is_not_missing(
    database: ImmichDatabase, refreshing: RefreshRepository
) -> None:
    without_text, lost, with_text = [await database.photo() for _ in range(3)]
    for photo in (without_text, lost, with_text):
        await read(database, photo)
    await database.connection.execute("TRUNCATE asset_ocr")
    await read(database, without_text)
    await database.lines(with_text, "收据")
    await read(database, with_text)
    assert await refreshing.missing_text(OWNER) == [lost]
