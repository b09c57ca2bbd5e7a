"""A forced run that Immich lost, in part or whole: the moment at which it emptied its table tells."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from sql.refresh import Missing, MissingReason, RefreshRepository
from tests.integration.sql.conftest import OWNER, ImmichDatabase, settings

BEFORE = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
async def refreshing(database: ImmichDatabase) -> AsyncIterator[RefreshRepository]:
    async with RefreshRepository(settings(database.url)) as repository:
        yield repository


async def read(database: ImmichDatabase, photo: UUID, at: datetime | None = None) -> None:
    """Immich's note that the photo's OCR job has ended, now unless told otherwise."""
    await database.connection.execute(
        'INSERT INTO asset_job_status ("assetId", "ocrAt") VALUES ($1, coalesce($2, clock_timestamp()))'
        ' ON CONFLICT ("assetId") DO UPDATE SET "ocrAt" = excluded."ocrAt"',
        photo,
        at,
    )


async def preview(database: ImmichDatabase, *photos: UUID) -> None:
    for photo in photos:
        await database.connection.execute(
            "INSERT INTO asset_file (\"assetId\", type, path) VALUES ($1, 'preview', '/preview.jpg')", photo
        )


async def texts(refreshing: RefreshRepository) -> dict[UUID, MissingReason]:
    """Why photos lack their text."""
    return {one.photo: one.reason for one in await refreshing.missing(OWNER) if one.kind == "text"}


async def test_a_forced_run_that_was_lost_whole_is_missing(
    database: ImmichDatabase, refreshing: RefreshRepository
) -> None:
    photos = [await database.photo("发票"), await database.photo()]
    await preview(database, *photos)
    for photo in photos:
        await read(database, photo)
    assert await texts(refreshing) == {}
    await database.connection.execute("TRUNCATE asset_ocr")
    assert await texts(refreshing) == dict.fromkeys(photos, MissingReason.LOST)


async def test_what_was_read_after_the_table_was_emptied_is_not_missing(
    database: ImmichDatabase, refreshing: RefreshRepository
) -> None:
    without_text, lost, with_text = [await database.photo() for _ in range(3)]
    await preview(database, without_text, lost, with_text)
    for photo in (without_text, lost, with_text):
        await read(database, photo)
    await database.connection.execute("TRUNCATE asset_ocr")
    await read(database, without_text)
    await database.lines(with_text, "收据")
    await read(database, with_text)
    assert await texts(refreshing) == {lost: MissingReason.LOST}


async def test_what_was_read_before_the_schema_came_may_hold_no_text(
    database: ImmichDatabase, refreshing: RefreshRepository
) -> None:
    empty, with_text = await database.photo(), await database.photo("发票")
    await preview(database, empty, with_text)
    for photo, ocr_at in ((empty, BEFORE), (with_text, BEFORE + timedelta(hours=1))):
        await read(database, photo, ocr_at)
    assert await texts(refreshing) == {empty: MissingReason.NOTHING_FOUND}
    await refreshing.replace_text(empty, [], (100, 100), datetime.now(UTC))
    assert await texts(refreshing) == {}, "it was read anew, and nothing was found again"
    await read(database, with_text)
    assert await texts(refreshing) == {}, "that another photo was read later says nothing of it"


async def test_without_a_preview_nothing_can_be_made(database: ImmichDatabase, refreshing: RefreshRepository) -> None:
    photo, whole = await database.photo(), await database.photo("发票")
    await preview(database, whole)
    await read(database, whole)
    for kind in ("text", "vector", "faces"):
        assert Missing(kind, photo, MissingReason.NO_PREVIEW) in await refreshing.missing(OWNER)
    await preview(database, photo)
    assert {one.reason for one in await refreshing.missing(OWNER)} == {MissingReason.NEVER}


async def test_faces_are_missing_until_immich_has_looked(
    database: ImmichDatabase, refreshing: RefreshRepository
) -> None:
    photo = await database.photo("发票")
    await preview(database, photo)
    await read(database, photo)
    faces = Missing("faces", photo, MissingReason.NEVER)
    assert faces in await refreshing.missing(OWNER)
    assert await refreshing.faces_at(photo) is None
    await database.connection.execute('UPDATE asset_job_status SET "facesRecognizedAt" = $1', BEFORE)
    assert faces not in await refreshing.missing(OWNER)
    assert await refreshing.faces_at(photo) == BEFORE
    await database.connection.execute('ALTER TABLE asset_job_status DROP COLUMN "facesRecognizedAt"')
    assert await refreshing.faces_at(photo) is None
    assert {one.kind for one in await refreshing.missing(OWNER)} == {"vector"}
