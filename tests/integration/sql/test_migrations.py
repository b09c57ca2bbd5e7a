"""Schema `mesh` comes, stays the same, and goes."""

# ruff: noqa: E501 - tables read best as lines

import asyncio

import asyncpg
import pytest

from mesh.core.errors import UnavailableError
from sql.migrate import Migration, migrate, migrations, uninstall
from sql.upkeep.backfill import backfill
from sql.upkeep.status import status
from tests.integration.sql.conftest import ImmichDatabase


async def objects(connection: asyncpg.Connection) -> set[str]:
    """Everything of ours: relations, functions and types of the schema, triggers on Immich's tables."""
    rows = await connection.fetch(
        """
        SELECT 'relation ' || relname AS name FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'mesh'
        UNION SELECT 'function ' || proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'mesh'
        UNION SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgname LIKE 'mesh%'
        UNION SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname = 'mesh'
        """
    )
    return {row["name"] for row in rows}


async def test_a_second_migration_changes_nothing(unmigrated: ImmichDatabase) -> None:
    progress: list[tuple[int, int]] = []
    assert len(await migrate(unmigrated.connection, lambda done, total: progress.append((done, total)))) == len(
        migrations()
    )
    before = await objects(unmigrated.connection)
    assert await migrate(unmigrated.connection) == ()
    assert await objects(unmigrated.connection) == before
    assert progress[0] == (0, len(migrations()))
    assert progress[-1] == (len(migrations()), len(migrations()))


async def test_two_migrations_at_once_apply_everything_once(unmigrated: ImmichDatabase) -> None:
    connections = [await asyncpg.connect(unmigrated.url) for _ in range(4)]
    applied = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert sorted(len(steps) for steps in applied) == [0, 0, 0, len(migrations())]
    assert (await status(unmigrated.connection)).problems == ()
    for connection in connections:
        await connection.close()


async def test_uninstall_leaves_nothing_of_ours_and_everything_of_immichs(unmigrated: ImmichDatabase) -> None:
    await unmigrated.photo("发票")
    immich = await unmigrated.connection.fetch("SELECT * FROM asset_ocr")
    await migrate(unmigrated.connection)
    await backfill(unmigrated.connection)
    assert (await uninstall(unmigrated.connection)).steps == len(migrations())
    assert await objects(unmigrated.connection) == set()
    assert await unmigrated.connection.fetch("SELECT * FROM asset_ocr") == immich
    assert (await uninstall(unmigrated.connection)).steps == 0
    await unmigrated.photo("收据")
    assert len(await migrate(unmigrated.connection)) == len(migrations())


async def test_a_failing_migration_leaves_no_half(unmigrated: ImmichDatabase) -> None:
    broken = (*migrations(), Migration(99, "broken", "CREATE TABLE mesh.half (); SELECT 1 / 0", ""))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(unmigrated.connection, steps=broken)
    assert await objects(unmigrated.connection) == set()
    assert len(await migrate(unmigrated.connection)) == len(migrations())


async def test_a_changed_migration_is_told_and_can_be_mended(database: ImmichDatabase) -> None:
    first, *others = migrations()
    changed = Migration(first.version, first.name, first.up + "-- changed", first.down)
    with pytest.raises(UnavailableError, match="db uninstall"):
        await migrate(database.connection, steps=(changed, *others))
    await database.connection.execute("UPDATE mesh.migration SET checksum = 'another' WHERE version = 1")
    (problem,) = (await status(database.connection)).problems
    assert problem.startswith("migration 1 of this program is not the one that was applied: `immich-mesh db uninstall`")
    await uninstall(database.connection)
    await migrate(database.connection)
    assert (await status(database.connection)).problems == ()


async def test_a_newer_schema_is_left_alone(database: ImmichDatabase) -> None:
    with pytest.raises(UnavailableError, match="newer than this program"):
        await migrate(database.connection, steps=migrations()[:2])


async def test_status_says_what_to_do(unmigrated: ImmichDatabase) -> None:
    await unmigrated.photo("发票")
    assert (await status(unmigrated.connection)).problems == ("schema mesh is not there: run `immich-mesh db migrate`",)
    await migrate(unmigrated.connection)
    found = await status(unmigrated.connection)
    assert (found.photos_with_text, found.documents, found.missing) == (1, 0, 1)
    assert "1 photos with text cannot be found yet" in found.problems[0]
    await backfill(unmigrated.connection)
    found = await status(unmigrated.connection)
    assert (found.documents, found.missing, found.problems) == (1, 0, ())
    await unmigrated.connection.execute("DROP TRIGGER mesh_insert ON asset_ocr; DROP INDEX mesh.ocr_document_words")
    problems = (await status(unmigrated.connection)).problems
    assert "asset_ocr.mesh_insert" in problems[0]
    assert "ocr_document_words" in problems[1]


@pytest.mark.parametrize("version", [step.version for step in migrations()])
def test_every_step_has_a_way_down(version: int) -> None:
    step = next(step for step in migrations() if step.version == version)
    assert "DROP" in step.down
